"""What a route loses when only its local targets are left to answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.domain.identity import Locality
from gateway.domain.target import APIS, Capability, Target


@dataclass(frozen=True, slots=True)
class Gap:
    """``capabilities`` are those that some other target has, or is taken to have, and no local one,
    but for whole APIs: what a vendor is only taken to have says too little of those.
    ``context`` is the longest that a local target has, and ``wanted`` the longest of the others, in
    tokens, where that is known to be more.
    """

    local: tuple[str, ...]
    capabilities: frozenset[Capability] = frozenset()
    context: int | None = None
    wanted: int | None = None


def gap(targets: Sequence[Target]) -> Gap:
    """The gap of a route with these targets. One without a local target, or with no other, has
    none.
    """
    local = [target for target in targets if target.locality is Locality.LOCAL]
    others = [target for target in targets if target.locality is not Locality.LOCAL]
    names = tuple(target.id for target in local)
    if not local or not others:
        return Gap(names)
    lacking = _capabilities(others) - _capabilities(local) - APIS
    context, wanted = _longest(local), _longest(others)
    if context is None or wanted is None or wanted <= context:
        return Gap(names, lacking)
    return Gap(names, lacking, context, wanted)


def _capabilities(targets: Iterable[Target]) -> frozenset[Capability]:
    """What at least one of the targets can do."""
    found: set[Capability] = set()
    for target in targets:
        found.update(Capability if target.capabilities is None else target.capabilities)
    return frozenset(found)


def _longest(targets: Iterable[Target]) -> int | None:
    return max((t.context for t in targets if t.context is not None), default=None)
