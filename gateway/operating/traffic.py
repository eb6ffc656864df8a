"""Where the newest requests were served, out of the audit log that all serving processes share.

The log is read from its end to where it was read before, and what is kept of a request is little:
so whoever looks every other second costs what has been written since.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from gateway.audit.reader import SEGMENTS, Request, backwards
from gateway.audit.record import Record
from gateway.domain.identity import Locality
from gateway.http.seen import Moment, RequestShare, TargetTraffic, Traffic
from gateway.operating.decisions import SERVED

MOST = 10_000
"""Requests that are kept, and that are read at once."""
SPAN = 60
"""Seconds of a moment, where minutes are asked for; of few minutes there are shorter ones."""
SHORT_SPAN = 10
FEW = 5


class Seen(NamedTuple):
    """What is kept of a request."""

    at: datetime
    model: str
    served_by: str | None
    locality: str | None
    outcome: str
    status: int | None
    failed_over: bool

    @classmethod
    def of(cls, record: Record) -> Seen:
        return cls(
            record.at,
            record.model,
            record.served_by,
            record.locality,
            record.outcome,
            record.status,
            record.failover is not None,
        )


class Recent:
    """The newest requests of apps in the log in ``folder``, oldest first. Blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: deque[Seen] = deque(maxlen=MOST)
        self._seq = 0
        self._reading = threading.Lock()

    def since(self, start: datetime) -> list[Seen]:
        """Raises StateError where the log cannot be read."""
        with self._reading:
            self._read()
            return [one for one in self._kept if one.at >= start]

    def _read(self) -> None:
        new: list[Seen] = []
        newest = self._seq
        for line in backwards(self._folder.glob(SEGMENTS)):
            if not isinstance(line, Request):
                continue
            if line.seq <= self._seq or len(new) >= MOST:
                break
            newest = max(newest, line.seq)
            if line.record.origin is None:
                new.append(Seen.of(line.record))
        self._kept.extend(reversed(new))
        self._seq = newest


def traffic(requests: Iterable[Seen], minutes: int, now: datetime) -> Traffic:
    """``requests`` are those since ``minutes`` before ``now``."""
    span = SHORT_SPAN if minutes <= FEW else SPAN
    seconds = int(now.timestamp()) // span * span
    end = datetime.fromtimestamp(seconds, now.tzinfo) + timedelta(seconds=span)
    start = end - timedelta(minutes=minutes)
    moments = [Counter[str]() for _ in range(minutes * 60 // span)]
    served: Counter[tuple[str, str]] = Counter()
    failovers: Counter[str] = Counter()
    count = 0
    for one in requests:
        place = int((one.at - start).total_seconds() // span)
        if not 0 <= place < len(moments):
            continue
        count += 1
        moments[place][_kind(one)] += 1
        if one.served_by is not None and one.outcome == SERVED:
            served[one.served_by, one.locality or ""] += 1
            failovers[one.served_by] += one.failed_over
    return Traffic(
        since=start,
        until=end,
        span=span,
        requests=count,
        failovers=failovers.total(),
        moments=[
            Moment(
                at=start + timedelta(seconds=place * span),
                cloud=found[Locality.CLOUD],
                sovereign=found[Locality.SOVEREIGN],
                local=found[Locality.LOCAL],
                refused=found["refused"],
                failed=found["failed"],
            )
            for place, found in enumerate(moments)
        ],
        targets=[
            TargetTraffic(
                target=target, locality=locality, requests=number, failovers=failovers[target]
            )
            for (target, locality), number in served.most_common()
        ],
    )


def _kind(one: Seen) -> str:
    """What became of a request: one that was at fault itself, or that policy denied, is refused."""
    if one.outcome == SERVED and one.locality is not None:
        return one.locality
    return "refused" if one.status is not None and 400 <= one.status < 500 else "failed"


def share(
    requests: Collection[Seen],
    denied: Collection[str],
    stranded: Collection[str],
    since: datetime,
    names: Mapping[str, str],
) -> RequestShare:
    """Of these requests, those that a ban would move. ``names`` are the configured models by what
    apps asked for.
    """
    moved = [one for one in requests if one.served_by in denied]
    return RequestShare(
        since=since,
        requests=len(requests),
        moved=len(moved),
        stranded=sum(names.get(one.model) in stranded for one in moved),
    )
