"""A drill's verdict, and what would have to change for a better one. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from gateway.domain.drill import Drill
from gateway.domain.drilled import Gap, Held, Load, Moved, Parts
from gateway.domain.events import FailureKind
from gateway.domain.plan import LeftOut
from gateway.domain.target import Capability
from gateway.readiness.drill.fates import CONTEXT, NO_TARGET, SLOW, VECTORS

LEAST = 0.5
"""The share of requests below which nothing is called held, whatever the gaps are."""
ALLOWED = 0.01
"""The share of requests that may fail for no lasting reason."""
MOST_NAMED = 5
_MORE = "more slots, a smaller model, more cores, or a second copy."


def verdict(parts: Parts, passing: int, local: Sequence[Load], moved: Sequence[Moved]) -> Held:
    """``passing`` requests went without an answer, and need not have at another time."""
    if not parts.counted:
        return Held.UNKNOWN
    overfull = any(one.whole is not None and one.whole > 1 for one in local)
    few = parts.served < LEAST * parts.counted
    if few or overfull or passing > ALLOWED * parts.counted:
        return Held.FAILS
    stranded = any(one.then is None for one in moved)
    return Held.GAPS if stranded or parts.rescued + parts.failed else Held.HOLDS


def changes(
    drill: Drill, gaps: Sequence[Gap], local: Sequence[Load], moved: Sequence[Moved]
) -> tuple[str, ...]:
    """Sentences, the weightiest first."""
    return (
        *_targets(gaps, moved),
        *_lasting(gaps),
        *_passing(gaps),
        *(sentence for one in local for sentence in _load(one, drill)),
    )


def _targets(gaps: Iterable[Gap], moved: Iterable[Moved]) -> Iterator[str]:
    asked: Counter[str] = Counter()
    for gap in gaps:
        if gap.what == NO_TARGET:
            asked[gap.model] += gap.requests
    names = {**asked, **{one.model: asked[one.model] for one in moved if one.then is None}}
    for model, count in sorted(names.items(), key=lambda one: (-one[1], one[0])):
        requests = f": {_requests(count)} had nowhere else to go" if count else ""
        yield f"Give model {model} a local target{requests}."


def _lasting(gaps: Iterable[Gap]) -> Iterator[str]:
    found: defaultdict[tuple[str, str, tuple[str, ...]], list[Gap]] = defaultdict(list)
    for gap in gaps:
        if gap.lasting and gap.what != NO_TARGET:
            found[gap.what, gap.model, gap.targets].append(gap)
    for (what, model, targets), rows in found.items():
        count, names = sum(row.requests for row in rows), _listed(targets)
        who = _apps(row.app for row in rows)
        match what:
            case _ if what in (*Capability, FailureKind.INCAPABLE):
                thing = "what it asks for" if what == FailureKind.INCAPABLE else what
                yield (
                    f"{who} {'needs' if len(rows) == 1 else 'need'} {thing} of model {model} "
                    f"({_requests(count)}): {names} cannot do that. Give the model a local target "
                    "that can."
                )
            case str() if what == CONTEXT:
                yield (
                    f"{_requests(count)} of {who} for model {model} had prompts longer than the "
                    f"context of {names}: raise its context, or give the model a local target with "
                    "a longer one."
                )
            case str() if what == VECTORS:
                yield (
                    f"The vectors of model {model} are its vendor's own ({_requests(count)} of "
                    f"{who}): choose a local model for embeddings now, and embed again what is "
                    "stored; no other may stand in."
                )
            case _:
                word = what.replace("_", " ")
                yield (
                    f"{_requests(count)} of {who} for model {model} could not go to {names} "
                    f"({word}): `gateway policy explain --model {model}` says why."
                )


def _passing(gaps: Iterable[Gap]) -> Iterator[str]:
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for gap in gaps:
        # Of what is full more is said with its queue.
        if not gap.lasting and gap.what != FailureKind.BUSY:
            found[gap.what, gap.targets] += gap.requests
    for (what, targets), count in found.most_common():
        names, word = _listed(targets), what.replace("_", " ")
        if what == SLOW:
            yield f"{names} was too slow for {_requests(count)}: {_MORE}"
        elif what == LeftOut.NOT_READY:
            yield f"{names} was not ready for {_requests(count)}: keep it loaded (preload: true)."
        else:
            yield f"{names} failed {_requests(count)} ({word}): its log says more."


def _load(one: Load, drill: Drill) -> Iterator[str]:
    if one.refused or one.most_waiting:
        refused = f", and {_requests(one.refused)} found it full" if one.refused else ""
        yield (
            f"{one.target}: {one.most_busy} of {one.slots} slots were busy and up to "
            f"{one.most_waiting} waited{refused}: {_MORE}"
        )
    if one.whole is not None and one.whole > 1:
        of = f"the apps {_listed(drill.apps)}" if drill.apps else "all requests"
        yield (
            f"{one.target}: with {of} moved it would have work for {one.whole:.0%} of its time. "
            f"It takes {one.whole:.1f} times what it can do now."
        )
    if one.restarts:
        times = "once" if one.restarts == 1 else f"{one.restarts} times"
        yield f"{one.target} ended {times} and was started again: its log says why."


def _apps(names: Iterable[str | None]) -> str:
    found = sorted({name or "(no app)" for name in names})
    return f"{'App' if len(found) == 1 else 'Apps'} {_listed(found)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _requests(count: int) -> str:
    return f"{count} request{'' if count == 1 else 's'}"
