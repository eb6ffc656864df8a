"""What was dialled, by logs of DNS, proxies and connections: streamed, one line at a time.

Of a line only the host that was asked for is looked at, in the field in which the format has it:
not who referred, nor what somebody calls itself. A host is found once a file, with how often it is
there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

import msgspec

from gateway.domain.identity import UNKNOWN
from gateway.readiness.scan.finding import Confidence, Signal
from gateway.readiness.scan.notes import Note, Notes, host_of
from gateway.readiness.scan.source import Unreadable

LONGEST = 8_192
"""Bytes of a line that are looked at."""
MOST_HOSTS = 10_000
"""Distinct hosts of vendors that are kept of one file."""
_SNIFFED = 200
"""Lines after which a file without any known form is given up."""

Form: TypeAlias = Callable[[str], str | None]
"""The host that a line of a format tells, ``None`` where the line is of another."""

_BIND = re.compile(r"(?:\((?P<a>[\w.-]+)\): )?query: (?P<b>[\w.-]+) IN ")
_DNSMASQ = re.compile(r"(?:dnsmasq|pihole)\S*:? .*?query\[\w+\] (?P<a>[\w.-]+) from ")
_UNBOUND = re.compile(r"unbound\S*:?.* info: \S+ (?P<a>[\w.-]+)\.? [A-Z]+ IN")
_COREDNS = re.compile(r"\"[A-Z]+ IN (?P<a>[\w.-]+)\.? (?:udp|tcp)")
_SQUID = re.compile(
    r"\s*\d{9,}\.\d{3}\s+\d+ \S+ [A-Z_]+/\d{3} \d+ [A-Z]+ (?:\w+://)?(?P<a>[\w.-]+)(?:[:/?]|\s)"
)
_COMMON = re.compile(
    r"\S+ \S+ \S+ \[[^\]]+\] \""
    r"(?:CONNECT (?P<a>[\w.-]+):\d+|[A-Z]+ https?://(?P<b>[\w.-]+)|[A-Z]+ \S)"
)
_WITH_HOST = re.compile(r"(?P<a>[\w-]+(?:\.[\w-]+)+)(?::\d+)? \S+ \S+ \S+ \[[^\]]+\] \"[A-Z]+ /")
_HOST_KEYS = frozenset(
    {
        ":authority",
        "authority",
        "dest_domain",
        "dest_host",
        "destination.domain",
        "destination_host",
        "dns.question.name",
        "domain",
        "dst_host",
        "fqdn",
        "host",
        "hostname",
        "http_host",
        "qname",
        "query",
        "query_name",
        "question",
        "request_host",
        "request_url",
        "requested_server_name",
        "rrname",
        "server_name",
        "servername",
        "sni",
        "tls.client.server_name",
        "upstream_host",
        "uri",
        "url",
        "url.domain",
        "url.full",
    }
)
_DECODER = msgspec.json.Decoder()


def read_log(lines: Iterable[bytes], notes: Notes, *, certain: bool) -> None:
    """A log. Raises ``Unreadable`` where no line has a form that is known and it is not ``certain``
    by its name that it is one of these.
    """
    found: dict[str, Note] = {}
    forms: list[Form] = []
    unknown = lost = 0
    for number, raw in enumerate(lines, 1):
        line = raw[:LONGEST].decode("utf-8", "replace").rstrip("\r\n")
        if line.startswith("#"):
            forms = _zeek(line) or forms
            continue
        host = None
        for form in forms or _FORMS:
            host = form(line)
            if host is not None:
                forms = forms or [form]
                break
        if host is None:
            unknown += bool(line)
            if not forms and unknown >= _SNIFFED and not certain:
                break
            continue
        lost += _count(host, number, found, notes)
    if not forms:
        raise Unreadable("it is no log of a form that is known")
    if lost:
        notes.unread.append(f"more than {MOST_HOSTS} hosts of vendors: {lost} lines are not told")
    notes.taken += found.values()


def _count(host: str, number: int, found: dict[str, Note], notes: Notes) -> int:
    """Count a line; 1 where it had to be left out."""
    host = host.lower().rstrip(".")
    known = found.get(host)
    if known is not None:
        found[host] = replace(known, count=known.count + 1)
        return 0
    sign = notes.signals.host(host, web=True)
    if sign is None:
        return 0
    if len(found) >= MOST_HOSTS:
        return 1
    confidence = Confidence.HIGH if sign.channel != UNKNOWN else Confidence.MEDIUM
    found[host] = Note(Signal.HOST, host, (number, 1), sign, confidence)
    return 0


def _by(pattern: re.Pattern[str]) -> Form:
    names = tuple(pattern.groupindex)

    def host(line: str) -> str | None:
        found = pattern.match(line) if pattern in _AT_START else pattern.search(line)
        if found is None:
            return None
        return next((found[name] for name in names if found[name]), "")

    return host


_AT_START = frozenset({_SQUID, _COMMON, _WITH_HOST})


def _json(line: str) -> str | None:
    """The first host of an object, in a field of a name that is known; ``""`` where it has none."""
    if not line.startswith("{"):
        return None
    try:
        record = _DECODER.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    for name, value in _fields(record):
        if name in _HOST_KEYS or name.rpartition(".")[2] in _HOST_KEYS:
            host = host_of(value.rstrip("."))
            if host is not None:
                return host
        if name == "dns.question.name":
            return value
    return ""


def _fields(record: object) -> Iterator[tuple[str, str]]:
    """The texts of nested objects, by their dotted names."""
    stack: list[tuple[str, object]] = [("", record)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, str):
            yield name.lower(), value
        elif isinstance(value, dict) and name.count(".") < 8:
            stack += [(f"{name}.{key}" if name else str(key), one) for key, one in value.items()]


def _zeek(line: str) -> list[Form]:
    """The form that a header of Zeek's tables tells."""
    if not line.startswith("#fields\t"):
        return []
    names = line.split("\t")[1:]
    wanted = [names.index(one) for one in ("query", "server_name", "host", "uri") if one in names]
    if not wanted:
        return []

    def host(row: str) -> str | None:
        parts = row.split("\t")
        return next(
            (parts[at] for at in wanted if at < len(parts) and parts[at] not in ("-", "")), ""
        )

    return [host]


_FORMS: tuple[Form, ...] = (
    _json,
    *map(_by, (_BIND, _DNSMASQ, _UNBOUND, _COREDNS, _SQUID, _COMMON, _WITH_HOST)),
)
