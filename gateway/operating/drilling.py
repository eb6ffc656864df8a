"""Starting, ending and looking at drills: what the API does and, where no gateway runs, a command.
Each start and end is recorded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.access.operators import Actor
from gateway.audit.happening import Happening
from gateway.auditing import audit_folder
from gateway.config.toggles import check_vendor
from gateway.domain.drill import USUAL, Drill
from gateway.domain.drilled import End, Moved, Report
from gateway.domain.target import Capability
from gateway.engine.loop import Engine
from gateway.errors import Refused
from gateway.http.drills import DrillAsked, DrillState
from gateway.operating.parts import Parts
from gateway.readiness.capacity import kept
from gateway.readiness.drill.asking import asked as asks
from gateway.readiness.drill.conducting import LOOK_EVERY, Conductor
from gateway.readiness.drill.reporting import ABORTED, DRILL, STARTED, Reports
from gateway.readiness.drill.store import Drills, Kept
from gateway.vendors.catalog import Catalog

KNOWN_WITHIN = 2 * LOOK_EVERY
"""Seconds after which all serving processes have read a change."""
Recorded = Callable[[Happening], None]


class Practised:
    """What can be done by the files alone; blocks. ``recorded`` takes what happened."""

    def __init__(self, drills: Drills, reports: Reports, recorded: Recorded) -> None:
        self._drills = drills
        self._reports = reports
        self._recorded = recorded

    def running(self) -> DrillState | None:
        found = self._drills.running()
        if found is None or datetime.now(UTC) >= found.drill.until:
            return None
        return drill_state(found)

    def newest(self, most: int) -> list[DrillState]:
        return [drill_state(self._over(kept)) for kept in self._drills.newest(most)]

    def report(self, id: str) -> Report:
        """Raises ``NotThere``."""
        return self._reports.of(self._over(self._drills.find(id)))

    def stop(self, actor: Actor) -> Kept:
        """Raises ``Refused`` where none runs."""
        now = datetime.now(UTC)
        found = self._drills.running()
        if found is None or now >= found.drill.until:
            raise Refused("no drill runs", code="no_drill")
        drill = found.drill
        ended = self._drills.close(drill.id, End(now, actor.name))
        if ended is None:
            raise Refused("no drill runs any more", code="no_drill")
        detail = {DRILL: drill.id}
        self._recorded(Happening(ABORTED, now, actor.name, drill.vendor, detail=detail))
        return ended

    def start(self, drill: Drill, moved: tuple[Moved, ...]) -> Kept:
        """Raises ``Refused`` where one runs already."""
        kept = Kept(drill, moved)
        self._drills.begin(kept)
        self._recorded(
            Happening(STARTED, drill.started, drill.actor, drill.vendor, drill.reason, _told(drill))
        )
        return kept

    def _over(self, kept: Kept) -> Kept:
        """One whose time is over is that, also where no process was there to put it away."""
        if kept.end is None and datetime.now(UTC) >= kept.drill.until:
            return Kept(kept.drill, kept.moved, End(kept.drill.until), kept.report)
        return kept


@dataclass(frozen=True, slots=True)
class Practice:
    """Drills in a serving process."""

    drilling: Drilling
    conductor: Conductor

    @classmethod
    def of(cls, parts: Parts) -> Practice:
        engine, settings = parts.engine, parts.settings
        deadline = float(settings.server.deadline)
        drills = Drills(settings.state.dir)
        reports = Reports(
            drills,
            audit_folder(settings),
            capacity=lambda: kept(settings.state.dir, parts.configured().inventory.weights),
            can=lambda: _abilities(engine),
            deadline=deadline,
        )
        conductor = Conductor(
            drills,
            reports,
            engine,
            parts.journal,
            parts.shared,
            parts.background,
            deadline=deadline,
        )
        practised = Practised(drills, reports, parts.journal.happened)
        drilling = Drilling(
            engine, lambda: parts.configured().inventory.catalog, practised, conductor.settle
        )
        return cls(drilling, conductor)


class Drilling:
    """On a gateway that runs. Implements ``gateway.http.drills.Drilling``. ``settle`` is told of a
    drill that was ended.
    """

    def __init__(
        self,
        engine: Engine,
        catalog: Callable[[], Catalog],
        practised: Practised,
        settle: Callable[[Kept], None],
    ) -> None:
        self._engine = engine
        self._catalog = catalog
        self._practised = practised
        self._settle = settle

    async def running(self) -> DrillState | None:
        return await asyncio.to_thread(self._practised.running)

    async def start(self, asked: DrillAsked, actor: Actor) -> DrillState:
        """Raises ``NotThere`` for a vendor that nobody knows, ``Refused`` where there is nothing to
        practise or a drill runs.
        """
        check_vendor(asked.vendor, self._catalog())
        drill = _drill(asked, actor, datetime.now(UTC))
        self._check_target(drill)
        moved = tuple(_moved(self._engine, drill))
        if drill.synthetic and not any(asks(one) for one in moved):
            raise Refused(
                f"a ban of {drill.vendor} moves no model to a target of our own, so there is "
                "nothing to ask for: `gateway policy explain --model …` tells where they go",
                code="nothing_to_practise",
            )
        kept = await asyncio.to_thread(self._practised.start, drill, moved)
        await asyncio.sleep(KNOWN_WITHIN)
        return drill_state(kept)

    async def stop(self, actor: Actor) -> DrillState:
        ended = await asyncio.to_thread(self._practised.stop, actor)
        self._settle(ended)
        await asyncio.sleep(KNOWN_WITHIN)
        return drill_state(ended)

    async def newest(self, most: int) -> list[DrillState]:
        return await asyncio.to_thread(self._practised.newest, most)

    async def report(self, id: str) -> Report:
        return await asyncio.to_thread(self._practised.report, id)

    def _check_target(self, drill: Drill) -> None:
        for route in self._engine.routes.all():
            if any(drill.means(target.identity) for target in route.targets):
                return
        raise Refused(
            f"no configured target is of {drill.vendor} as {' or '.join(drill.roles)}: there is "
            "nothing to practise (`gateway vendors list` shows who is configured)",
            code="nothing_to_practise",
        )


def _drill(asked: DrillAsked, actor: Actor, now: datetime) -> Drill:
    return Drill(
        id=f"{now:%Y%m%dT%H%M%S}-{os.urandom(3).hex()}",
        vendor=asked.vendor,
        started=now,
        until=now + timedelta(minutes=asked.minutes),
        actor=actor.name,
        reason=asked.reason.strip(),
        roles=tuple(asked.roles) or USUAL,
        share=asked.share,
        apps=tuple(asked.apps),
        rate=asked.rate,
        strict=asked.strict,
    )


def _moved(engine: Engine, drill: Drill) -> Iterator[Moved]:
    """The models whose requests a ban would move as things stand, and where to."""
    for route in engine.routes.all():
        steps = engine.plan(route.name).steps
        if not steps or not drill.means(steps[0].target.identity):
            continue
        then = next((s.target for s in steps if not drill.means(s.target.identity)), None)
        yield Moved(
            route.name,
            None if then is None else then.id,
            None if then is None else then.locality.value,
        )


def _abilities(engine: Engine) -> dict[str, Collection[Capability]]:
    """What targets can do, where that is known, by their ids."""
    targets = [target for route in engine.routes.all() for target in route.targets]
    found = {target.id: engine.can(target) for target in targets}
    return {id: can for id, can in found.items() if can is not None}


def _told(drill: Drill) -> dict[str, str | int]:
    """Of the event that it began."""
    told: dict[str, str | int] = {
        DRILL: drill.id,
        "until": drill.until.isoformat(),
        "roles": ",".join(drill.roles),
        "share": f"{drill.share:g}",
        "strict": "yes" if drill.strict else "no",
    }
    if drill.apps:
        told["apps"] = ",".join(drill.apps)
    if drill.rate is not None:
        told["rate"] = f"{drill.rate:g}"
    return told


def drill_state(kept: Kept) -> DrillState:
    """What is told of it."""
    report = kept.report
    return DrillState(
        drill=kept.drill,
        end=kept.end,
        moved=kept.moved,
        verdict=None if report is None else report.verdict,
        share=None if report is None else report.share,
    )
