"""What a line says, in words for people and as data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.audit.reader import BadLine, Checkpoint, Event, Line, Request
from gateway.audit.record import JudgedTarget, Record


def sentence(line: Line) -> str:
    """One line of text. Some of its words are what an app chose to send: it is not for a terminal
    as it stands.
    """
    if isinstance(line, BadLine):
        what = "cut off" if line.cut else line.reason
        return f"{line.place.file}:{line.place.line}: no line of a log ({what})"
    if isinstance(line, Checkpoint):
        return f"{_time(line.at)}  checkpoint {line.seq}, signed by {line.key}"
    if isinstance(line, Event):
        happened = line.happening
        reason = f": {happened.reason}" if happened.reason else ""
        details = "".join(f" {name}={value}" for name, value in sorted(happened.detail.items()))
        words = (happened.event, happened.subject, f"by {happened.actor}{reason}")
        return f"{_time(happened.at)}  {' '.join(filter(None, words))}{details}"
    return _of_request(line.record)


"""
"""


def data(line: Line) -> dict[str, Any]:
    """All that a line says, with its defaults; of one that is none, where it is and why."""
    if isinstance(line, BadLine):
        told = msgspec.to_builtins(line)
        return {"kind": "bad", **told.pop("place"), **told}
    links = {"seq": line.seq, "prev": line.prev}
    if isinstance(line, Request):
        return {"kind": "request", **links, **msgspec.to_builtins(line.record, order="sorted")}
    if isinstance(line, Event):
        return {"kind": "event", **links, **msgspec.to_builtins(line.happening)}
    told = {"at": line.at, "key": line.key, "signature": line.signature}
    return {"kind": "checkpoint", **links, **told}


def deciding(record: Record) -> JudgedTarget | None:
    """Of the target that ended the answer; where none did, the one that policy left out first, or
    that was asked for first.
    """
    served = (one for one in record.targets if one.target == record.served_by)
    denied = (one for one in record.targets if one.left_out)
    return next(served, next(denied, next(iter(record.targets), None)))


def first_content(record: Record) -> int | None:
    """Microseconds from the beginning of the attempt that ended the answer."""
    return record.attempts[-1].first_content_us if record.attempts else None


def _of_request(record: Record) -> str:
    labels = "/".join(filter(None, (record.labels.team, record.labels.app)))
    judged = deciding(record)
    if judged is None:
        verdict = ""
    else:
        whom = "" if judged.target == record.served_by else f" {judged.target}"
        verdict = f"{judged.verdict.value}{whom} by {judged.rule}"
    status = "" if record.status is None else f" {record.status}"
    began = first_content(record)
    first = "" if began is None else f" (first {began // 1000})"
    tokens = ""
    if record.prompt_tokens is not None or record.completion_tokens is not None:
        tokens = f"{record.prompt_tokens or 0}+{record.completion_tokens or 0} tokens"
    words = (
        _time(record.at),
        " ".join(filter(None, (record.key or record.origin or "no key", labels))),
        f"{record.model or record.api} → {record.served_by or 'nobody'}",
        verdict,
        f"failover: {record.failover}" if record.failover else "",
        f"{record.outcome}{status}",
        f"{record.duration_us // 1000} ms{first}",
        tokens,
    )
    return "  ".join(filter(None, words))


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"
