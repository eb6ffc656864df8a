"""Which lines of a log are asked for, and what they come to. Pure but for reading the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from gateway.audit.reader import BadLine, Event, Line, Place, Request, Text, parsed, texts
from gateway.audit.record import JudgedTarget, Record

LONGEST_REQUEST = timedelta(days=1)
"""A request is written when it ends, with the time at which it came. None takes longer than this:
by that, segments are left out that cannot hold what is asked for.
"""
LONGEST_WAIT = timedelta(hours=1)
"""That a line may have waited until it could be written, while the disk was full."""
ANY = "*"
"""Of a filter: whatever it is, if it is anything."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is asked for: each that is given must be so. ``since`` is the first instant, ``until``
    the first that is too late. ``target`` and ``vendor`` are those that were tried; ``rule`` is one
    that decided on any target; ``failover`` a reason, or ``ANY``; ``event`` the name of an event,
    its part before the point, or ``ANY``: then it is events that are asked for. ``id`` is ours or
    the app's.
    """

    since: datetime | None = None
    until: datetime | None = None
    key: str | None = None
    team: str | None = None
    app: str | None = None
    model: str | None = None
    target: str | None = None
    vendor: str | None = None
    outcome: str | None = None
    rule: str | None = None
    failover: str | None = None
    event: str | None = None
    id: str | None = None

    def takes(self, line: Line) -> bool:
        if isinstance(line, Request):
            return self.event is None and self._in_time(line.record.at) and self._fits(line.record)
        if isinstance(line, Event):
            happened = line.happening
            about = happened.event.partition(".")[0]
            named = self.event in (ANY, happened.event, about)
            return named and self._in_time(happened.at)
        return False

    def _in_time(self, at: datetime) -> bool:
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def _fits(self, record: Record) -> bool:
        told = {
            "key": record.key,
            "team": record.labels.team,
            "app": record.labels.app,
            "model": record.model,
            "outcome": record.outcome,
        }
        if any(getattr(self, name) not in (None, value) for name, value in told.items()):
            return False
        if self.id not in (None, record.id, record.client_request_id):
            return False
        if self.failover is not None and self.failover not in (record.failover, ANY):
            return False
        if self.failover == ANY and record.failover is None:
            return False
        if self.rule is not None and all(one.rule != self.rule for one in record.targets):
            return False
        tried = {attempt.target for attempt in record.attempts}
        if self.target is not None and self.target not in tried:
            return False
        return self.vendor is None or any(
            one.target in tried and self.vendor in vendors(one) for one in record.targets
        )

    @property
    def words(self) -> list[bytes]:
        """What must stand in a line that fits: a look that is faster than reading it."""
        given = (
            *(self.key, self.team, self.app, self.model, self.target, self.vendor),
            *(self.outcome, self.rule, self.id),
        )
        return [msgspec.json.encode(word) for word in given if word is not None]


@dataclass(slots=True)
class Sums:
    """What lines come to. ``cost`` is in millionths; ``priceless`` requests have none, and
    ``silent`` ones tell no tokens.
    """

    requests: int = 0
    events: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    silent: int = 0
    cost: int = 0
    priceless: int = 0

    @property
    def lines(self) -> int:
        return self.requests + self.events

    def add(self, line: Line) -> None:
        if isinstance(line, Event):
            self.events += 1
        if not isinstance(line, Request):
            return
        record = line.record
        self.requests += 1
        self.outcomes[record.outcome] += 1
        self.prompt_tokens += record.prompt_tokens or 0
        self.completion_tokens += record.completion_tokens or 0
        self.silent += record.prompt_tokens is None
        self.cost += record.cost or 0
        self.priceless += record.cost is None


def vendors(judged: JudgedTarget) -> set[str]:
    """Who is behind a target."""
    return {party.vendor for party in judged.parties} | {judged.developer}


def query(files: Sequence[Path], chosen: Chosen) -> Iterator[tuple[Line, Text]]:
    """The lines that are asked for and all that are none, each also as it stands, in the order of
    the log. Raises StateError where a file cannot be read.
    """
    words = chosen.words
    for file in within(files, chosen.since, chosen.until):
        name = str(file)
        for text in texts(file):
            if not all(word in text.content for word in words):
                continue
            line = parsed(text, Place(name, text.line))
            if isinstance(line, BadLine) or chosen.takes(line):
                yield line, text


def within(files: Sequence[Path], since: datetime | None, until: datetime | None) -> list[Path]:
    """The segments that may hold requests of a time. When the lines of one were written is known by
    its first line and that of the next one.
    """
    if since is None and until is None:
        return list(files)
    begun = [_written(next(texts(file), None)) for file in files]
    kept = []
    for file, begin, end in zip(files, begun, [*begun[1:], None], strict=True):
        over = since is not None and end is not None and end + LONGEST_WAIT < since
        ahead = until is not None and begin is not None and begin - LONGEST_REQUEST > until
        if not over and not ahead:
            kept.append(file)
    return kept


def _written(text: Text | None) -> datetime | None:
    """When a line was written, about, if it tells."""
    line = None if text is None else parsed(text, Place("", 1))
    if isinstance(line, Request):
        return line.record.at + timedelta(microseconds=line.record.duration_us)
    if isinstance(line, Event):
        return line.happening.at
    return None if line is None or isinstance(line, BadLine) else line.at
