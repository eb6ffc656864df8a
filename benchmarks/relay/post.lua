-- wrk's request, from files, so that no key stands on a command line: BODY is the body's file, HEADERS
-- one of lines "name: value". What was found is the last line, as JSON; times are in microseconds.
local function read(name)
   local file = assert(io.open(assert(os.getenv(name), name .. " is not set"), "rb"))
   local text = file:read("*a")
   file:close()
   return text
end

wrk.method = "POST"
wrk.body = read("BODY")
for name, value in read("HEADERS"):gmatch("([^:\n]+): ([^\n]*)") do
   wrk.headers[name] = value
end

function done(summary, latency, requests)
   local wrong = summary.errors
   io.write(string.format(
      '{"requests": %d, "us": %d, "bytes": %d, "p50": %g, "p95": %g, "p99": %g, "max": %g, '
         .. '"refused": %d, "broken": %d, "late": %d}\n',
      summary.requests, summary.duration, summary.bytes, latency:percentile(50),
      latency:percentile(95), latency:percentile(99), latency.max, wrong.status,
      wrong.connect + wrong.read + wrong.write, wrong.timeout))
end
