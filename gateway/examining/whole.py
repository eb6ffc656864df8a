"""All of it at one instant."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, time
from pathlib import Path

import gateway
from gateway.access.repository import FILE as KEYS
from gateway.access.repository import SqliteKeys
from gateway.config.presence import run_dir, running
from gateway.config.settings import Settings
from gateway.configured import revision
from gateway.dialled import with_credentials
from gateway.errors import StateError
from gateway.examining.dialling import dialled, ignored
from gateway.examining.guarded import guarded
from gateway.examining.log import logged
from gateway.examining.machine import machine, taken
from gateway.examining.models import hashed, missing, refused, verified
from gateway.examining.ruled import ruled
from gateway.examining.volumes import unusable, volumes
from gateway.inventory import Inventory
from gateway.readiness.canary import successes
from gateway.readiness.doctor.examined import (
    Admitted,
    Examined,
    Logged,
    Ruled,
    Running,
    Stamped,
)
from gateway.upstream.translate.spawning import packages

_OF_THE_LOG = frozenset({"audit", "clocks", "disk", "models"})
"""Groups of checks that ask for the audit log."""


def examined(settings: Settings, groups: Collection[str], *, connect: bool = False) -> Examined:
    """What the checks of these groups judge: files of models are read for theirs alone. With
    ``connect`` whoever would be dialled is dialled. Raises ``GatewayError`` where something is
    wrong that keeps the gateway from starting, and that no check tells.
    """
    inventory = Inventory(settings)
    routes = inventory.routes(with_credentials(settings))
    files = verified(inventory) if "models" in groups else {}
    policies = ruled(inventory)
    log = logged(settings, os.environ) if _OF_THE_LOG.intersection(groups) else Logged()
    processes = tuple(running(run_dir(settings)))
    now = datetime.now(UTC)
    return Examined(
        settings=settings,
        now=now,
        user=os.geteuid(),
        routes=routes,
        local=inventory.local,
        machine=machine(loaded=bool(processes)),
        files=files,
        hashed=hashed(settings),
        refused=refused(files),
        missing=missing(),
        translator=packages(settings.translate.python) is not None,
        budget=inventory.local_budget,
        ruled=policies,
        admitted=_admitted(settings),
        logged=log,
        state=unusable(settings.state.dir),
        volumes=volumes(settings),
        guarded=tuple(guarded(settings, inventory, os.environ)),
        stamps=tuple(_stamps(settings, policies, log)),
        dialled=dialled(inventory, routes, policies.policy, now, connect=connect),
        ignored=ignored(os.environ),
        running=Running(
            processes,
            revision(settings.file.read_bytes()),
            {} if processes else dict(taken(settings)),
        ),
        successes=successes.read(settings.state.dir),
    )


def _admitted(settings: Settings) -> Admitted:
    path = settings.state.dir / KEYS
    if not path.exists():
        return Admitted()
    keys = SqliteKeys(path)
    try:
        return Admitted(keys.all())
    except StateError as error:
        return Admitted(unread=error.message)
    finally:
        keys.close()


def _stamps(settings: Settings, policies: Ruled, log: Logged) -> Iterator[Stamped]:
    """What was there before now, whatever the clock says."""
    if log.ended is not None:
        yield Stamped("the last line of the audit log", log.ended)
    yield _written("this installation", Path(gateway.__file__))
    for path in sorted(settings.policy.dir.glob("*.yaml")):
        yield _written(str(path), path)
    for fact in () if policies.policy is None else policies.policy.designations:
        day = datetime.combine(fact.retrieved, time(), UTC)
        yield Stamped(f"what was read for designation {fact.id}", day)


def _written(what: str, path: Path) -> Stamped:
    return Stamped(what, datetime.fromtimestamp(path.stat().st_mtime, UTC))
