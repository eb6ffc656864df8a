"""In what order equal targets are tried. Pure.

Each target of a group gets a number from a hash of its id and a key (weighted rendezvous hashing):
the order of these numbers spreads keys over the targets by their weights, and the same key always
gives the same order, in every process and after every restart. So what an app says belongs
together goes to one target, whose prompt cache is then warm, and only the keys of a target that is
left out go elsewhere. Without such a key the request's own id is the key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from gateway.domain.target import Target

LOPSIDED = 1.25
"""How much more than its share a target may have under way and still be given its sessions."""


class By(StrEnum):
    """How one of a group is chosen."""

    WEIGHT = "weight"
    LEAST_BUSY = "least_busy"


@dataclass(frozen=True, slots=True)
class Group:
    """Targets that are as good as each other; ``weights`` are their shares."""

    targets: tuple[Target, ...]
    weights: tuple[float, ...]
    by: By = By.WEIGHT

    def __post_init__(self) -> None:
        if len(self.targets) != len(self.weights) or not self.targets:
            raise ValueError("a group needs targets, and a weight for each")


def in_order(*targets: Target) -> tuple[Group, ...]:
    """Groups of one each: the targets are tried as they stand."""
    return tuple(Group((target,), (1.0,)) for target in targets)


def ordered(
    group: Group, key: str, *, session: bool, busy: Mapping[str, int]
) -> tuple[Target, ...]:
    """The group's targets in the order of trying. ``key`` is the session's where ``session``;
    ``busy`` says how many attempts each target has under way.
    """
    if len(group.targets) == 1:
        return group.targets
    shares = dict(zip((target.id for target in group.targets), group.weights, strict=True))
    drawn = sorted(group.targets, key=lambda t: _drawn(t.id, key, shares[t.id]), reverse=True)
    if group.by is By.WEIGHT:
        return tuple(drawn)
    loads = {name: busy.get(name, 0) / weight for name, weight in shares.items()}
    if session and _bearable(drawn[0].id, shares, busy):
        return (drawn[0], *sorted(drawn[1:], key=lambda target: loads[target.id]))
    return tuple(sorted(drawn, key=lambda target: loads[target.id]))


def _drawn(target: str, key: str, weight: float) -> float:
    digest = blake2b(f"{target}\0{key}".encode(), digest_size=8).digest()
    # In (0, 1): the largest of -weight/ln(u) falls on each target as often as its weight says.
    u = (int.from_bytes(digest, "big") + 0.5) / 2**64
    return -weight / math.log(u) if u < 1 else math.inf


def _bearable(target: str, shares: Mapping[str, float], busy: Mapping[str, int]) -> bool:
    """Whether one more would leave a target with not much more than its share."""
    under_way = 1 + sum(busy.get(name, 0) for name in shares)
    fair = under_way * shares[target] / sum(shares.values())
    return busy.get(target, 0) + 1 <= math.ceil(fair * LOPSIDED)
