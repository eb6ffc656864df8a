"""What the console's page shows, made of what operations tell. Pure, but for the asking."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gateway.errors import Refused
from gateway.http.console.words import counted
from gateway.http.drills import DrillState
from gateway.http.operations import Operations
from gateway.http.readiness import ReadinessState
from gateway.http.seen import (
    DecisionState,
    LocalModel,
    ModelTargets,
    PolicyInForce,
    Standing,
    Status,
    Traffic,
    VendorState,
)

MINUTES = 5
"""Of traffic."""
DECISIONS = 25
LINES = 12
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Level(StrEnum):
    """How loud a problem is."""

    WRONG = "wrong"
    """Somebody has to do something."""
    ODD = "odd"
    """Somebody wanted it so, and it should be known."""


@dataclass(frozen=True, slots=True)
class Problem:
    level: Level
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """All that the page shows, of one instant. ``readiness`` is ``None`` while the log is read;
    ``drill`` is the one that runs, or the newest.
    """

    status: Status
    policy: PolicyInForce
    vendors: Sequence[VendorState]
    models: Sequence[ModelTargets]
    local: Sequence[LocalModel]
    decisions: Sequence[DecisionState]
    log: Sequence[Logged]
    traffic: Traffic
    readiness: ReadinessState | None
    problems: Sequence[Problem]
    headline: Headline
    drill: DrillState | None


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of the audit log in a few words: ``what`` was ``about`` whom, and the ``rest``."""

    at: str
    number: str
    what: str
    about: str
    rest: str


async def board(operations: Operations) -> Board:
    """Ask for it all."""
    status, policy = await operations.status(), await operations.policy()
    vendors, models = await operations.vendors(), await operations.targets()
    local = await operations.models()
    return Board(
        status=status,
        policy=policy,
        vendors=vendors,
        models=models,
        local=local,
        decisions=await operations.decisions(DECISIONS),
        log=[logged(line) for line in await operations.audit_tail(LINES)],
        traffic=await operations.traffic(MINUTES),
        readiness=await _readiness(operations),
        problems=[*problems(status, policy, local)],
        headline=headline(vendors, models),
        drill=next(iter(await operations.drills.newest(1)), None),
    )


async def _readiness(operations: Operations) -> ReadinessState | None:
    """``None`` where it is not known yet."""
    try:
        return await operations.readiness()
    except Refused:
        return None


def problems(
    status: Status, policy: PolicyInForce, local: Iterable[LocalModel]
) -> Iterable[Problem]:
    """What is wrong or unusual, the worst first."""
    wrong, odd = Level.WRONG, Level.ODD
    if policy.problem:
        yield Problem(
            wrong,
            f"The newest policy is not in force: {policy.revision[:12]} still is",
            policy.problem,
        )
    if status.configuration.problem:
        yield Problem(
            wrong, "The newest configuration is not in force", status.configuration.problem
        )
    if status.audit.problem:
        waiting = counted(status.audit.waiting, "record")
        yield Problem(
            wrong, "The audit log cannot be written", f"{status.audit.problem}; {waiting} waiting"
        )
    if status.audit.lost:
        what = f"{counted(status.audit.lost, 'record')} of the audit log lost"
        yield Problem(wrong, what, "Since this process started: there was no room for them.")
    for work, said in status.background.items():
        yield Problem(wrong, f"Work in the background has failed: {work}", said)
    for process in status.processes:
        if process.policy != policy.revision and process.problem != policy.problem:
            what = f"Process {process.pid} still has policy {process.policy[:12]}"
            yield Problem(wrong, what, process.problem or "It does not say why.")
    for model in local:
        if model.state == "failed":
            yield Problem(wrong, f"The local model {model.name} has failed", model.detail)
        elif model.state == "restarting":
            yield Problem(odd, f"The local model {model.name} is starting again", model.detail)
    for server in status.sovereign:
        if server.standing == "down":
            yield Problem(wrong, f"Our own server {server.channel} is down", server.detail)
    if policy.mode == "shadow":
        detail = "Verdicts are recorded and nothing is held back: a ban sends nothing elsewhere."
        yield Problem(wrong, "The policy is in shadow mode", detail)
    if status.offline:
        detail = "Only local and sovereign targets serve."
        yield Problem(odd, "The gateway is offline because its configuration says so", detail)
    if status.configuration.restart:
        values = ", ".join(status.configuration.restart)
        yield Problem(odd, "Changes of the configuration wait for a restart", values)


@dataclass(frozen=True, slots=True)
class Headline:
    """The state of things in a sentence, and what is to be known beside it. ``lost`` says that
    something is served by nothing.
    """

    said: str
    beside: str
    lost: bool


def headline(vendors: Sequence[VendorState], models: Sequence[ModelTargets]) -> Headline:
    """The worst that is true of what apps can ask for, and of vendors."""
    lost = [model.model for model in models if model.serves is None]
    moved = [model.model for model in models if model.serves and not model.first_choice]
    banned = [vendor.title for vendor in vendors if vendor.standing is Standing.BANNED]
    risky = [vendor.title for vendor in vendors if vendor.standing is Standing.RISKY]
    parts = [f"banned: {_listed(banned)}" if banned else "no vendor is banned"]
    if risky:
        parts.append(f"risky: {_listed(risky)}")
    if lost and moved:
        parts.insert(0, f"not by first choice: {_listed(moved)}")
    beside = "; ".join(parts)
    return Headline(_said(lost, moved, len(models)), beside[0].upper() + beside[1:], bool(lost))


def _said(lost: Sequence[str], moved: Sequence[str], count: int) -> str:
    if lost:
        return f"Nothing serves {_listed(lost)}"
    if moved:
        return f"Every model is served, {len(moved)} of {count} not by first choice"
    if count:
        return "Every model is served by its first choice"
    return "No model is configured"


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def logged(line: Mapping[str, Any]) -> Logged:
    """What a line says, whichever fields it has: those of a default are not written."""

    def said(name: str) -> str:
        return str(line.get(name) or "")

    match line.get("kind"):
        case "checkpoint":
            words = ("checkpoint", said("key"), "signed")
        case "event":
            by = f"by {said('actor')}" if said("actor") else ""
            about = said("subject")
            about = about[:12] if _DIGEST.match(about) else about
            words = (said("event"), about, ": ".join(filter(None, (by, said("reason")))))
        case _:
            by = f"by {said('served_by')}" if said("served_by") else ""
            words = (said("outcome") or "cancelled", said("model"), by)
    return Logged(said("at"), said("seq"), *words)
