"""Put a running gateway under load, and say what it stood.

    python -m benchmarks.load --url http://127.0.0.1:8080 --model gpt-4o --key-file key.txt
    python -m benchmarks.load --url … --model … --clients 32 --seconds 10 --stream --kb 4

Each client sends its next request when its last is answered, on a connection that stays open. Each
is a real request: with a vendor behind the gateway it costs what the vendor asks. Ends by itself,
with 1 where anything was not answered as it should be. docs/load.md says more.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.load.asked import Unusable, address, body, read_key, request
from benchmarks.load.load import MOST, Found, Load, probe, put_under

CLIENTS, SECONDS = 10_000, 3_600.0
BUSY = 0.9
SEE_TO = {
    "401": "the gateway wants another key: --key-file FILE, with a key of `gateway keys create`",
    "403": "the key is known, but may not do this",
    "404": "the gateway has no such model: --model, and `GET /v1/models` lists those it has",
    "429": "a limit of the key is reached: `gateway keys list` shows its limits",
    "503": "policy denies all targets, or none of them answers: `gateway policy explain`",
    "refused": "is the gateway running, and is that its port? --url",
}


def main() -> int:
    options = _options()
    try:
        load = _load(options)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    return uvloop.run(_run(options, load))


async def _run(options: argparse.Namespace, load: Load) -> int:
    tally = await probe(load)
    for kind in tally.kinds:
        print(f"not begun: {_told(kind, tally.said[kind])}", file=sys.stderr)
        return 1
    found = await put_under(load)
    told = found.data()
    if options.format == "json":
        asked = {"url": options.url, "model": options.model, "clients": load.clients}
        asked |= {"kb": options.kb, "bytes": len(load.request), "stream": load.stream}
        print(json.dumps(asked | told))
    else:
        print(_text(options, found, told))
    return 1 if found.failed else 0


def _load(options: argparse.Namespace) -> Load:
    where = address(options.url)
    if not where.here and not options.remote:
        raise Unusable(
            f"{where.host} is not this machine. If it is a gateway of yours, say --remote; nobody"
            " else's servers are to be put under load"
        )
    headers = dict(_header(line) for line in options.header)
    if options.key_file is not None:
        headers["authorization"] = f"Bearer {read_key(options.key_file)}"
    content = body(options.model, options.kb, stream=options.stream, max_tokens=options.max_tokens)
    sent = request(where, content, headers)
    _open_files(options.clients)
    return Load(
        where,
        sent,
        options.stream,
        options.clients,
        options.seconds,
        options.requests,
        options.patience,
    )


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not line.isascii() or not line.isprintable():
        raise Unusable(f"--header {line!r}: give it as 'name: value'")
    if name.strip().lower() == "authorization":
        raise Unusable("--header: a key belongs in a file, see --key-file")
    return name.strip().lower(), value.strip()


def _open_files(clients: int) -> None:
    """Each connection is an open file; as many are allowed as the machine lets us."""
    needed = clients + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise Unusable(f"--clients {clients}: this machine lets a process open {hard} files")
    if needed > soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _text(options: argparse.Namespace, found: Found, told: dict[str, Any]) -> str:
    kind = "streamed" if options.stream else "plain"
    lines = [
        f"{options.url}, model {options.model}: {options.clients} clients for"
        f" {found.seconds:.1f} s, {kind}, prompts of {options.kb:g} KB",
        f"  requests/s  {found.rate:,.1f}   ({told['answered']:,} answered,"
        f" {found.failed:,} failed)",
        _times("latency", told["latency_ms"]),
    ]
    if options.stream:
        lines.append(_times("first byte", told["first_byte_ms"]))
    for error in told["errors"]:
        lines.append(f"  {error['count']:,} × {_told(error['kind'], error['said'])}")
    if found.busy > BUSY:
        lines.append(
            f"  These clients took {found.busy:.0%} of a core: the gateway may stand more than"
            " they can send."
        )
    return "\n".join(lines)


def _times(name: str, told: dict[str, float] | None) -> str:
    if told is None:
        return f"  {name:10}  nothing was answered"
    figures = "   ".join(f"{share} {value:,.2f} ms" for share, value in told.items())
    return f"  {name:10}  {figures}"


def _told(kind: str, said: str) -> str:
    """What was wrong, an example of what was said of it, and what to do."""
    advice = next((text for word, text in SEE_TO.items() if kind.startswith(word)), "")
    return "".join((kind, f": {said}" if said else "", f"\n    ({advice})" if advice else ""))


def _within(most: float, kind: type[int] | type[float] = int) -> Any:
    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value <= most:
            raise argparse.ArgumentTypeError(f"more than 0 and at most {most:g}")
        return value

    return read


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--url", required=True, help="of the gateway, for instance http://127.0.0.1:8080")
    add("--model", required=True, help="as apps name it")
    add("--key-file", type=Path, help="a file whose first line is a key of the gateway")
    add("--header", action="append", default=[], metavar="'NAME: VALUE'", help="one more, sent too")
    add("--clients", type=_within(CLIENTS), default=32, help="connections (default: 32)")
    add("--seconds", type=_within(SECONDS, float), default=10.0, help="how long (default: 10)")
    add("--requests", type=_within(MOST), default=MOST, help=f"at most (default: {MOST:,})")
    add("--patience", type=_within(SECONDS, float), default=60.0, help="seconds for an answer")
    add("--stream", action="store_true", help="streamed answers")
    add("--kb", type=_within(16_000, float), default=0.3, help="of each prompt (default: 0.3)")
    add("--max-tokens", type=_within(1_000_000), default=16, help="of each answer (default: 16)")
    add("--remote", action="store_true", help="the URL is of another machine, and it is yours")
    add("--format", choices=("text", "json"), default="text")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
