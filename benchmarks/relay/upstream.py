"""What stands in for a vendor, and nginx as a proxy: as fast as such a thing can be, so that what
is measured is in front of it.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ground import Ground, free_port
from benchmarks.processes import Process
from benchmarks.streams.flood import compiled

CHUNKS = 50
"""Of each streamed answer; the vendor takes it from ``max_tokens``."""
PLAIN, STREAMED = "gpt-4o", "streamed"
"""The models as apps name them, of one vendor each."""
KINDS = ("plain", "streamed")
ANSWER = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o",'
    '"choices":[{"index":0,"message":{"role":"assistant","content":"It is governed as a city and'
    ' as a department, by one council.","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":64,"completion_tokens":14,"total_tokens":78}}'
)
_MAIN = """\
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
 access_log off; keepalive_timeout 600; keepalive_requests 1000000000; server_tokens off;
 client_max_body_size 64m; client_body_buffer_size 1m;
 client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
 fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{servers}
}}
"""
_CONSTANT = """\
 server {{
  listen 127.0.0.1:{port} backlog=4096; default_type application/json;
  location / {{ return 200 '{answer}'; }}
 }}"""
_PROXY = """\
 upstream to{port} {{ server 127.0.0.1:{to}; keepalive 512; }}
 server {{
  listen 127.0.0.1:{port} backlog=4096;
  location / {{
   proxy_pass http://to{port}; proxy_http_version 1.1; proxy_set_header Connection "";
   proxy_buffering {buffering};
  }}
 }}"""


class NoNginx(RuntimeError):
    """It is not there."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Ports by kind of answer."""

    plain: int
    streamed: int

    def url(self, kind: str) -> str:
        return f"http://127.0.0.1:{self.streamed if kind == 'streamed' else self.plain}/v1"


def start(ground: Ground) -> Upstream:
    """nginx with a constant answer, and a vendor in C that streams as fast as it is read."""
    plain = free_port()
    servers = _CONSTANT.format(port=plain, answer=ANSWER)
    nginx(ground, servers, ground.load_core, "upstream", plain)
    streamed = free_port()
    command = [str(compiled(ground)), "vendor", "--port", str(streamed), "--interval-us", "0"]
    ground.start(command, core=ground.load_core, name="vendor", ready=streamed)
    return Upstream(plain, streamed)


def start_proxy(ground: Ground, upstream: Upstream) -> tuple[Process, Upstream]:
    """``proxy_pass``; streams are passed on as they come."""
    ports = Upstream(free_port(), free_port())
    servers = "\n".join(
        (
            _PROXY.format(port=ports.plain, to=upstream.plain, buffering="on"),
            _PROXY.format(port=ports.streamed, to=upstream.streamed, buffering="off"),
        )
    )
    return nginx(ground, servers, ground.server_core, "nginx", ports.plain), ports


def version(ground: Ground) -> str:
    """Of nginx."""
    done = subprocess.run(  # noqa: S603 - the machine's own
        [_program(ground), "-v"], capture_output=True, text=True, check=False
    )
    return done.stderr.strip().rpartition("/")[2]


def nginx(ground: Ground, servers: str, core: int, name: str, port: int) -> Process:
    """One process on that core, with these servers. Raises ``NoNginx``."""
    program = _program(ground)
    folder = ground.folder / name
    folder.mkdir()
    file = folder / "nginx.conf"
    file.write_text(_MAIN.format(folder=folder, servers=servers))
    command = [str(program), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    return ground.start(command, core=core, name=name, ready=port)


def _program(ground: Ground) -> Path:
    # Debian's is no program for everybody, and so not on everybody's path.
    found = ground.program("nginx") or Path("/usr/sbin/nginx")
    if not found.is_file():
        raise NoNginx("nginx is not installed (Debian: apt install nginx-light)")
    return found
