"""What operators see of readiness: if a vendor were banned now."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class ReadinessShares(BaseModel):
    """Of the requests that hung on a vendor, those for which a target that is left has all that
    they need: by where that is, and by any of them.
    """

    local: float
    sovereign: float
    cloud: float
    any: float


class MissingState(BaseModel):
    """Requests that no local target could take, and ``why`` not; ``detail`` says what capability is
    lacking, how long the longest context is, or what policy says.
    """

    app: str | None
    model: str
    why: Literal[
        "unconfigured", "no local target", "capability", "context", "other vectors", "policy"
    ]
    detail: str
    requests: int
    tokens: int


class MinuteState(BaseModel):
    """The minute in which a local model would have had most to do: ``busy`` 1 is all that it can,
    with what it did anyway.
    """

    at: datetime
    target: str
    busy: float


class VendorReadiness(BaseModel):
    """If one vendor were banned now. ``denied`` says that policy denies its ``targets`` already.
    ``requests`` and ``tokens`` of the day hung on it; shares are None where none did. ``capacity``
    is the share, of what local could take, that it would have had the time for, None too where a
    model that would get some of it is ``unmeasured``; ``score`` the share of all that it could take
    and had the time for. In ``crowded`` minutes it lacked the time; ``missing`` has the most
    requests first, without ``more`` rows.
    """

    vendor: str
    denied: bool
    targets: list[str]
    requests: int
    tokens: int
    capability: ReadinessShares | None
    capacity: float | None
    score: float | None
    crowded: int
    worst: MinuteState | None
    unmeasured: list[str]
    missing: list[MissingState]
    more: int


class DifferenceState(BaseModel):
    """So many canaries whose answer did ``what`` otherwise: failed, tools, functions, arguments,
    format, finish or empty.
    """

    what: str
    canaries: int


class AgreementState(BaseModel):
    """Of the ``canaries`` that repeat what apps asked for ``model`` (None: what the gateway asks of
    its own), those that ``agreed``: the answer of the local ``target`` did nothing otherwise than
    that which the app was given. ``differs`` has the most frequent first.
    """

    model: str | None
    target: str
    canaries: int
    agreed: int
    share: float
    differs: list[DifferenceState]


class ReadinessState(BaseModel):
    """Reckoned ``at``, of the requests that apps made ``since`` then, by the ``policy`` of a
    revision and the configuration in force. ``detail`` is what requests are told apart by: where
    there are too many kinds, apps are not, and then only models. ``all`` is for when every cloud
    vendor goes at once. ``canaries`` tell how answers compare, and are no part of a score.
    """

    at: datetime
    since: datetime
    policy: str
    requests: int
    detail: Literal["full", "without apps", "by model"]
    vendors: list[VendorReadiness]
    all: VendorReadiness
    canaries: list[AgreementState]
