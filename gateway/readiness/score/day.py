"""What the last day's requests asked, kept small: requests that are alike are one cell with their
number and their tokens, by the hour with who asked, and by the minute without.

Theory of operation. What local can do is a matter of each request, and whether policy lets it one
of who asked; whether there was time for it is one of all that came in a minute. So who asked is
kept by the hour, and when it was to the minute. What apps claim to be, and what they ask for, are
theirs to choose, and so is the number of cells; the memory is not. Where there are more than
``most``, all cells are made coarser, once and for as long as the day is kept: first they forget who
asked, then requests of a model are one whatever they ask, and count as asking for all that any of
them did.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.audit.record import JudgedTarget, Record
from gateway.domain.call import Api
from gateway.domain.decision import Labels
from gateway.domain.events import FailureKind
from gateway.domain.identity import SELF, Locality
from gateway.domain.plan import LeftOut
from gateway.policy.rules import DEFAULT_ROLES
from gateway.readiness.score.agreement import Canaries
from gateway.readiness.work import Sum

HOURS = 24
MOST_CELLS = 100_000
UNKNOWN = "(unknown)"
"""The model of requests for one that was configured when they came, and is no more."""
COUNTING = frozenset({Api.COUNT_TOKENS, Api.INPUT_TOKENS})
"""APIs that ask for no answer of a model."""
_NOBODY = Labels()
_EMBEDDINGS, _CLOUD, _LOCAL = Api.EMBEDDINGS, Locality.CLOUD, Locality.LOCAL
_REQUEST_FAULT = FailureKind.REQUEST_FAULT
_SMALLEST = 256
_LASTING = frozenset(
    {
        *(LeftOut.POLICY, LeftOut.RISKY, LeftOut.OFFLINE, LeftOut.NO_CREDENTIALS),
        *(LeftOut.CAPABILITY, LeftOut.OTHER_VECTORS, LeftOut.NOT_LISTED),
    }
)
"""Why a target would not have had a request on any day."""


class Detail(StrEnum):
    """What is still told apart."""

    FULL = "full"
    WITHOUT_APPS = "without apps"
    BY_MODEL = "by model"


class Kind(msgspec.Struct, frozen=True, cache_hash=True):
    """Requests that come out alike, whichever vendor goes. ``model`` is the configured name,
    ``room`` the tokens of prompt and answer, rounded up (0: not known), ``vendors`` those that it
    hung on, sorted, and ``cloud`` says that it hung on any cloud target; ``local`` is the id of the
    local target that served it, if one did.
    """

    model: str
    labels: Labels
    needs: tuple[str, ...]
    vectors: bool
    room: int
    vendors: tuple[str, ...]
    cloud: bool
    local: str | None


class Day:
    """``hours`` and ``minutes`` are since 1970, each with its cells; those of minutes are nobody's
    in particular. ``canaries`` are kept apart.
    """

    def __init__(self, most: int = MOST_CELLS) -> None:
        self.hours: dict[int, dict[Kind, Sum]] = {}
        self.minutes: dict[int, dict[Kind, Sum]] = {}
        self.detail = Detail.FULL
        self.cells = 0
        self.canaries = Canaries()
        self._most = most
        self._known: dict[Kind, tuple[Kind, Kind]] = {}
        self._united: dict[Kind, Kind] = {}

    def add(self, record: Record, model: str | None) -> None:
        """A request that an app made for the configured ``model``: none that never came so far as
        to be decided, or that was at fault itself; and canaries.
        """
        if record.origin is not None:
            self.canaries.add(record, model)
            return
        if not record.targets or record.api in COUNTING:
            return
        if record.attempts and record.attempts[-1].outcome == _REQUEST_FAULT:
            return
        work = Sum()
        work.add(record)
        kind = self._coarse(_kind(record, model or UNKNOWN))
        if kind.local is not None:
            # It did not compute what it held already.
            work.prompt_tokens -= record.cached_tokens or 0
        minute = int(record.at.timestamp()) // 60
        self._put(minute // 60, minute, kind, work)
        if self.cells > self._most and self.detail is not Detail.BY_MODEL:
            self._coarsen()

    def keep(self, first: int, last: int) -> None:
        """Forget what is of no hour from ``first`` to ``last``."""
        for hour in [one for one in self.hours if not first <= one <= last]:
            self.cells -= len(self.hours.pop(hour))
        for minute in [one for one in self.minutes if not first <= one // 60 <= last]:
            self.cells -= len(self.minutes.pop(minute))
        self.canaries.keep(first, last)
        if len(self._known) > self.cells:
            self._known.clear()

    def _put(self, hour: int, minute: int, kind: Kind, work: Sum) -> None:
        # The same object in every cell: there are far fewer kinds.
        known = self._known.get(kind)
        if known is None:
            known = self._known[kind] = kind, anybody(kind)
        for cells, one in (
            (self.hours.setdefault(hour, {}), known[0]),
            (self.minutes.setdefault(minute, {}), known[1]),
        ):
            found = cells.get(one)
            if found is None:
                found = cells[one] = Sum()
                self.cells += 1
            found.take(work)

    def _coarsen(self) -> None:
        full = self.detail is Detail.FULL
        self.detail = Detail.WITHOUT_APPS if full else Detail.BY_MODEL
        self._known.clear()
        for spans in (self.hours, self.minutes):
            for span, cells in spans.items():
                fewer: dict[Kind, Sum] = {}
                for kind, work in cells.items():
                    fewer.setdefault(self._coarse(kind), Sum()).take(work)
                spans[span] = fewer
        self.cells = sum(len(cells) for one in (self.hours, self.minutes) for cells in one.values())

    def _coarse(self, kind: Kind) -> Kind:
        if self.detail is Detail.FULL:
            return kind
        if self.detail is Detail.WITHOUT_APPS:
            return anybody(kind)
        alike = msgspec.structs.replace(kind, labels=_NOBODY, needs=(), room=0)
        known = self._united.get(alike, alike)
        needs = tuple(sorted({*known.needs, *kind.needs}))
        united = msgspec.structs.replace(alike, needs=needs, room=max(known.room, kind.room))
        self._united[alike] = united
        return united


def anybody(kind: Kind) -> Kind:
    """The same, whoever asks."""
    return msgspec.structs.replace(kind, labels=_NOBODY)


def rounded(tokens: int) -> int:
    """Up to a power of two, or to the half between two: contexts are mostly such numbers."""
    power = max(_SMALLEST, 1 << (tokens - 1).bit_length())
    half = power // 4 * 3
    return half if tokens <= half and power > _SMALLEST else power


def behind(judged: JudgedTarget) -> set[str]:
    """The vendors whose ban takes a target away, in the roles that a ban has by itself."""
    return {
        party.vendor
        for party in judged.parties
        if party.role in DEFAULT_ROLES and party.vendor != SELF
    }


def _kind(record: Record, model: str) -> Kind:
    vendors: set[str] = set()
    cloud, meant = False, None
    for judged in record.targets:
        # Whoever served it, and whom it was for, where that one could not just then.
        first = meant is None and judged.left_out not in _LASTING
        if first:
            meant = judged.target
        if first or judged.target == record.served_by:
            vendors |= behind(judged)
            cloud = cloud or judged.locality is _CLOUD
    tokens = (record.prompt_tokens or 0) + (record.completion_tokens or 0)
    return Kind(
        model,
        record.labels,
        record.needs,
        record.api == _EMBEDDINGS,
        rounded(tokens) if tokens else 0,
        tuple(sorted(vendors)),
        cloud,
        record.served_by if record.locality == _LOCAL else None,
    )
