"""What is told of readiness: plain data, the same for whoever asks."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.errors import NotThere

BRIEF = 3
"""Rows of what is missing that are told of each vendor where nobody asked for one."""
ALL = "(all)"
"""In the place of a vendor: every cloud target is gone."""


class Shares(msgspec.Struct, frozen=True):
    """Of the requests that hung on a vendor, those for which a target that is left has all that
    they need: by where that is, and by any of them.
    """

    local: float
    sovereign: float
    cloud: float
    any: float


class Missing(msgspec.Struct, frozen=True):
    """Requests that no local target could take, and why not: ``why`` is one of the words of
    ``landing.Why``, ``detail`` says more.
    """

    app: str | None
    model: str
    why: str
    detail: str
    requests: int
    tokens: int


class Minute(msgspec.Struct, frozen=True):
    """The minute in which a local model would have had most to do: ``busy`` 1 is all that it can,
    with what it did anyway.
    """

    at: datetime
    target: str
    busy: float


class Readiness(msgspec.Struct, frozen=True):
    """If one vendor went now. ``denied`` says that policy denies all its ``targets`` to nobody in
    particular already. ``requests`` and ``tokens`` of the day hung on it; shares are ``None`` where
    none did. ``capacity`` is the share, of what local could take, that it would have had the time
    for, ``None`` too where a model that would get some of it is ``unmeasured``; ``score`` the share
    of all that it could take and had the time for. In ``crowded`` minutes it lacked the time;
    ``missing`` is sorted, the most requests first, without ``more`` of the least.
    """

    vendor: str
    denied: bool
    targets: tuple[str, ...]
    requests: int
    tokens: int
    capability: Shares | None
    capacity: float | None
    score: float | None
    crowded: int
    worst: Minute | None
    unmeasured: tuple[str, ...]
    missing: tuple[Missing, ...]
    more: int


class Difference(msgspec.Struct, frozen=True):
    """``what`` is one of the words of ``differs`` in a canary's record."""

    what: str
    canaries: int


class Agreement(msgspec.Struct, frozen=True):
    """Of canaries that repeat what apps asked for ``model`` (``None``: what the gateway asks of its
    own), those that ``agreed``: the answer of the local ``target`` did nothing otherwise.
    ``differs`` is sorted, the most frequent first; one canary may have several.
    """

    model: str | None
    target: str
    canaries: int
    agreed: int
    share: float
    differs: tuple[Difference, ...]


class Report(msgspec.Struct, frozen=True):
    """Reckoned ``at``, of the requests that apps made ``since`` then, by the policy of a revision
    and the configuration in force. ``detail`` is what requests are told apart by. ``all`` is for
    when every cloud vendor goes at once. ``canaries`` tell of answers, and are no part of a score.
    """

    at: datetime
    since: datetime
    policy: str
    requests: int
    detail: str
    vendors: tuple[Readiness, ...]
    all: Readiness
    canaries: tuple[Agreement, ...]

    def brief(self) -> Report:
        """With the first few of all that is missing."""
        vendors = tuple(map(_brief, self.vendors))
        return msgspec.structs.replace(self, vendors=vendors, all=_brief(self.all))

    def of(self, vendor: str) -> Report:
        """What there is to say of one vendor, or of ``ALL``. Raises ``NotThere``."""
        if vendor == ALL:
            return msgspec.structs.replace(self, vendors=())
        vendors = tuple(one for one in self.vendors if one.vendor == vendor)
        if not vendors:
            known = ", ".join(one.vendor for one in self.vendors) or "none"
            raise NotThere(f"no configured target is {vendor[:64]!r}'s: there are {known}")
        return msgspec.structs.replace(self, vendors=vendors, all=_brief(self.all))


def _brief(one: Readiness) -> Readiness:
    more = one.more + max(0, len(one.missing) - BRIEF)
    return msgspec.structs.replace(one, missing=one.missing[:BRIEF], more=more)
