"""A drill's records and readings to its report. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from gateway.audit.record import Record
from gateway.config.channels import LOCAL
from gateway.domain.drill import Drill
from gateway.domain.drilled import End, Load, Moved, Report
from gateway.readiness.capacity import Capacity
from gateway.readiness.drill.counting import Counted, counted, share
from gateway.readiness.drill.judging import changes, verdict
from gateway.readiness.drill.sampling import Queue
from gateway.readiness.work import Sum


def report(
    drill: Drill,
    records: Iterable[Record],
    queues: Mapping[str, Queue],
    capacity: Mapping[str, Capacity],
    *,
    now: datetime,
    end: End | None = None,
    final: bool = False,
    moved: Sequence[Moved] = (),
    can: Mapping[str, Collection[str]] | None = None,
) -> Report:
    """What is to be told of a drill as of ``now``, or of its ``end``. ``records`` are those that
    are part of it, in any order; ``queues`` and ``capacity`` are by the names of local models,
    ``moved`` the configured models that the ban would move, and ``can`` the capabilities of targets
    by their ids, where they are known.
    """
    found = counted(records, can or {})
    until = min(now, drill.until) if end is None else end.at
    seconds = max((until - drill.started).total_seconds(), 1e-6)
    local = tuple(
        _load(target, drill, found, queues.get(name), capacity.get(name), seconds)
        for target, name in _targets(found, queues, moved)
    )
    parts, gaps = found.parts(), found.gaps()
    held = verdict(parts, found.passing, local, moved)
    return Report(
        drill=drill,
        end=end,
        final=final,
        seconds=round(seconds, 3),
        parts=parts,
        share=share(parts),
        first_token=found.first_token.spread(),
        answer=found.answer.spread(),
        moved=tuple(moved),
        apps=found.apps(),
        faults=found.faults(),
        local=local,
        verdict=held,
        changes=changes(drill, gaps, local, moved),
    )


def _targets(
    found: Counted, queues: Mapping[str, Queue], moved: Sequence[Moved]
) -> list[tuple[str, str]]:
    """The local targets that had to do with it, each with its name."""
    asked = {*found.done, *found.refused, *(one.then for one in moved if one.then)}
    names = {target.partition("/")[2] for target in asked if target.partition("/")[0] == LOCAL}
    busy = {name for name, queue in queues.items() if queue.most_busy or queue.most_waiting}
    return [(f"{LOCAL}/{name}", name) for name in sorted(names | busy)]


def _load(
    target: str,
    drill: Drill,
    found: Counted,
    queue: Queue | None,
    capacity: Capacity | None,
    seconds: float,
) -> Load:
    done = found.done.get(target, Sum())
    busy = whole = None
    if capacity is not None:
        total = done if queue is None else Sum(0, queue.prompt, queue.completion)
        busy = round(capacity.seconds(total) / seconds, 4)
        if not drill.synthetic:
            whole = round(capacity.seconds(_whole(drill, found, target, total)) / seconds, 4)
    return Load(
        target=target,
        requests=done.requests,
        prompt=round(done.prompt_tokens / seconds, 1),
        completion=round(done.completion_tokens / seconds, 1),
        slots=0 if queue is None else queue.slots,
        seen=0 if queue is None else queue.seen,
        full=0 if queue is None else queue.full,
        waited=0 if queue is None else queue.waited,
        most_busy=0 if queue is None else queue.most_busy,
        most_waiting=0 if queue is None else queue.most_waiting,
        refused=found.refused[target],
        restarts=0 if queue is None else queue.restarts,
        measured=capacity is not None,
        busy=busy,
        whole=whole,
    )


def _whole(drill: Drill, found: Counted, target: str, total: Sum) -> Sum:
    """What a model would compute if the drill were of all requests, and none were refused: with
    what it computes for others anyway.
    """
    done, refused = found.done.get(target, Sum()), found.refused_work.get(target, Sum())

    def scaled(all_: int, of_drill: int, more: int) -> int:
        return round(max(0, all_ - of_drill) + (of_drill + more) / drill.share)

    return Sum(
        0,
        scaled(total.prompt_tokens, done.prompt_tokens, refused.prompt_tokens),
        scaled(total.completion_tokens, done.completion_tokens, refused.completion_tokens),
    )
