"""The log as one flat table: a row a request, or an event, for spreadsheets and data lakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from enum import StrEnum
from typing import Any

import msgspec

from gateway.audit.chosen import vendors
from gateway.audit.reader import Event, Line, Request
from gateway.audit.record import JudgedTarget, Record
from gateway.audit.sentence import deciding, first_content


class Type(StrEnum):
    TEXT = "text"
    WHOLE = "whole"
    TRUTH = "truth"
    TIME = "time"
    """A ``datetime`` in UTC."""


@dataclass(frozen=True, slots=True)
class Column:
    """``of_request`` and ``of_event`` tell what stands in it; where one does not, nothing does."""

    name: str
    type: Type
    says: str
    of_request: Callable[[Record], Any] | None = None
    of_event: Callable[[Event], Any] | None = None


Row = tuple[Any, ...]


def row(line: Line) -> Row | None:
    """One value for each of ``COLUMNS``; ``None`` of a checkpoint and of what is no line."""
    if isinstance(line, Request):
        fixed: Row = ("request", line.seq, line.record.at.astimezone(UTC))
        return fixed + tuple(
            None if column.of_request is None else column.of_request(line.record)
            for column in COLUMNS[3:]
        )
    if isinstance(line, Event):
        fixed = ("event", line.seq, line.happening.at.astimezone(UTC))
        return fixed + tuple(
            None if column.of_event is None else column.of_event(line) for column in COLUMNS[3:]
        )
    return None


def _label(name: str) -> Callable[[Record], Any]:
    return lambda record: getattr(record.labels, name)


def _field(name: str) -> Callable[[Record], Any]:
    return lambda record: getattr(record, name)


def _of_decision(tell: Callable[[JudgedTarget], Any]) -> Callable[[Record], Any]:
    def told(record: Record) -> Any:
        judged = deciding(record)
        return None if judged is None else tell(judged)

    return told


def _served(record: Record) -> str | None:
    for judged in record.targets:
        if judged.target == record.served_by:
            return " ".join(sorted(vendors(judged)))
    return None


def _denied(record: Record) -> str:
    return " ".join(one.target for one in record.targets if one.left_out in ("policy", "risky"))


def _tried(record: Record) -> str:
    return " ".join(f"{one.target}={one.outcome}" for one in record.attempts)


def _detail(event: Event) -> str:
    return msgspec.json.encode(event.happening.detail, order="sorted").decode()


COLUMNS = (
    Column("kind", Type.TEXT, "`request` or `event`"),
    Column("seq", Type.WHOLE, "the line in the log"),
    Column("at", Type.TIME, "when it came or happened, UTC"),
    Column("id", Type.TEXT, "our id of the request", _field("id")),
    Column("client_request_id", Type.TEXT, "the app's id of it", _field("client_request_id")),
    Column("api", Type.TEXT, "the path behind the version", _field("api")),
    Column("model", Type.TEXT, "the model that was asked for", _field("model")),
    Column("stream", Type.TRUTH, "whether the answer was streamed", _field("stream")),
    Column("key", Type.TEXT, "the id of the key", _field("key")),
    Column("team", Type.TEXT, "of the key", _label("team")),
    Column("app", Type.TEXT, "of the key", _label("app")),
    Column("environment", Type.TEXT, "of the key or the request", _label("environment")),
    Column("data_class", Type.TEXT, "of the key or the request", _label("data_class")),
    Column(
        "tags",
        Type.TEXT,
        "of the key or the request, with spaces between",
        lambda record: " ".join(sorted(record.labels.tags)),
    ),
    Column("outcome", Type.TEXT, "`served`, `cancelled`, `broken` or a code", _field("outcome")),
    Column("status", Type.WHOLE, "the HTTP status that the app got", _field("status")),
    Column("served_by", Type.TEXT, "the target that ended the answer", _field("served_by")),
    Column("locality", Type.TEXT, "where that is", _field("locality")),
    Column("vendors", Type.TEXT, "who is behind that target", _served),
    Column(
        "verdict",
        Type.TEXT,
        "on that target, or on the first left out",
        _of_decision(lambda judged: judged.verdict.value),
    ),
    Column("rule", Type.TEXT, "that decided so", _of_decision(lambda judged: judged.rule)),
    Column(
        "reason",
        Type.TEXT,
        "that the rule gives, or whoever did it",
        _of_decision(lambda judged: judged.reason),
        lambda event: event.happening.reason,
    ),
    Column("denied", Type.TEXT, "the targets that policy left out", _denied),
    Column("failover", Type.TEXT, "why another target was taken", _field("failover")),
    Column("tried", Type.TEXT, "each target that was tried, and how that ended", _tried),
    Column("prompt_tokens", Type.WHOLE, "", _field("prompt_tokens")),
    Column("completion_tokens", Type.WHOLE, "", _field("completion_tokens")),
    Column("cached_tokens", Type.WHOLE, "of those of the prompt", _field("cached_tokens")),
    Column(
        "reasoning_tokens", Type.WHOLE, "of those of the completion", _field("reasoning_tokens")
    ),
    Column("cost", Type.WHOLE, "millionths of the currency of the prices", _field("cost")),
    Column("duration_us", Type.WHOLE, "microseconds", _field("duration_us")),
    Column("first_content_us", Type.WHOLE, "of the last attempt", first_content),
    Column(
        "needs",
        Type.TEXT,
        "capabilities that it took, with commas between",
        lambda record: ", ".join(record.needs),
    ),
    Column("drill", Type.TEXT, "the drill that it was part of", _field("drill")),
    Column("origin", Type.TEXT, "why the gateway asked by itself", _field("origin")),
    Column("repeats", Type.TEXT, "the request that a canary asked again", _field("repeats")),
    Column(
        "differs",
        Type.TEXT,
        "what that answer did otherwise, with commas between",
        lambda record: ", ".join(record.differs),
    ),
    Column(
        "unwritten",
        Type.TEXT,
        "fields that could not be written, with commas between",
        lambda record: ", ".join(record.unwritten),
    ),
    Column("policy", Type.TEXT, "the revision that decided", _field("policy")),
    Column("traceparent", Type.TEXT, "the app's trace", _field("traceparent")),
    Column("event", Type.TEXT, "what happened", None, lambda event: event.happening.event),
    Column("actor", Type.TEXT, "who did it", None, lambda event: event.happening.actor),
    Column("subject", Type.TEXT, "to what", None, lambda event: event.happening.subject),
    Column("detail", Type.TEXT, "more of it, as JSON", None, _detail),
)
