"""What came of a drill: the report, as it is kept, told and printed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.drill import Drill, Moment


class Held(StrEnum):
    """The verdict."""

    HOLDS = "holds"
    GAPS = "holds with gaps"
    """All that others than the vendor could not answer is of kinds that they cannot do at all."""
    FAILS = "does not hold"
    UNKNOWN = "nothing to tell"
    """Nothing that the ban would have moved was asked."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A configured model that a ban would move: to the target ``then``, ``None`` for nothing."""

    model: str
    then: str | None
    locality: str | None


@dataclass(frozen=True, slots=True)
class End:
    """How a drill ended: by an ``actor``, or by itself when its time was over."""

    at: Moment
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds over so many requests."""

    count: int
    p50: float
    p95: float
    most: float


@dataclass(frozen=True, slots=True)
class Parts:
    """Requests by what became of them: answered by ``local`` targets, by ``sovereign`` ones, by an
    ``other`` vendor that policy allows; ``rescued`` by the vendor itself, which under a ban would
    have failed; ``failed``; or ``neither``: the app went away, or the vendor failed it too.
    """

    requests: int = 0
    local: int = 0
    sovereign: int = 0
    other: int = 0
    rescued: int = 0
    failed: int = 0
    neither: int = 0

    @property
    def served(self) -> int:
        """Without the vendor."""
        return self.local + self.sovereign + self.other

    @property
    def counted(self) -> int:
        """Those that say something."""
        return self.requests - self.neither


@dataclass(frozen=True, slots=True)
class Gap:
    """Requests of an app for a model that ``targets`` of our own could not answer, and ``what``
    they lacked: the word of a capability, ``context``, ``other vectors``, ``no local target``, or
    how they failed. ``lasting`` says that waiting, or more of the same, would not have helped.
    """

    app: str | None
    model: str
    what: str
    targets: tuple[str, ...]
    requests: int
    lasting: bool


@dataclass(frozen=True, slots=True)
class AppPart:
    """``share`` of an app's requests was answered without the vendor, ``None`` where none count."""

    app: str | None
    parts: Parts
    share: float | None
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong ``count`` times: at a target, or, with ``where`` of ``app``, what an app was
    told.
    """

    where: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Load:
    """What one local model had to do while the drill ran. Of ``seen`` seconds it was ``full`` for
    some, and requests ``waited`` in some. ``prompt`` and ``completion`` are tokens a second that it
    computed for the drill. ``busy`` is the share of its measured capacity that all it did took, and
    ``whole`` what it would take with all the traffic that the ban would move, 1 being all there is;
    ``None`` where it was never measured, or the drill was of the gateway's own requests.
    """

    target: str
    requests: int
    prompt: float
    completion: float
    slots: int
    seen: int
    full: int
    waited: int
    most_busy: int
    most_waiting: int
    refused: int
    restarts: int
    measured: bool
    busy: float | None
    whole: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """``final`` says that nothing of it can change any more. ``share`` of the requests was answered
    without the vendor. ``first_token`` and ``answer`` are times of what local targets answered,
    from the request on. ``changes`` says what would have to change.
    """

    drill: Drill
    end: End | None
    final: bool
    seconds: float
    parts: Parts
    share: float | None
    first_token: Spread | None
    answer: Spread | None
    moved: tuple[Moved, ...]
    apps: tuple[AppPart, ...]
    faults: tuple[Fault, ...]
    local: tuple[Load, ...]
    verdict: Held
    changes: tuple[str, ...]
