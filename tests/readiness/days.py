"""Days of a gateway, without one: its targets, its policy, the records of what apps asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.audit.record import AttemptRecord, JudgedTarget, Record
from gateway.domain.decision import Labels, Verdict
from gateway.domain.identity import SELF, Identity, Locality, Party, Role
from gateway.domain.target import Capability, Target
from gateway.engine.routes import Route, Routes
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import PolicyDocument, Rule, vendor_rule
from gateway.readiness.capacity import Capacity
from gateway.readiness.score.day import Day
from gateway.readiness.score.reckoning import reckon
from gateway.readiness.score.report import ALL, Readiness, Report
from gateway.routing.groups import in_order

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def cloud(channel: str, developer: str | None = None, model: str = "m") -> Target:
    """A target of a vendor, or of a reseller of another's model; it can do anything."""
    maker = developer or channel
    parties = (Party(Role.CHANNEL, channel), Party(Role.DEVELOPER, maker))
    return Target(channel, model, Identity(channel, maker, model, (), Locality.CLOUD, parties))


def own(
    name: str = "small",
    *able: Capability,
    context: int = 4096,
    locality: Locality = Locality.LOCAL,
    maker: str = "alibaba",
) -> Target:
    """A target of our own, whose weights somebody made."""
    parties = (Party(Role.CHANNEL, SELF), Party(Role.WEIGHTS, maker))
    channel = "local" if locality is Locality.LOCAL else "lab"
    identity = Identity(SELF, maker, name, (), locality, parties)
    return Target(channel, name, identity, frozenset(able), context)


OPENAI, MISTRAL = cloud("openai"), cloud("mistral")
RESOLD = cloud("openrouter", "openai", "openai/m")
LOCAL = own()


def routes(*targets: Target, equivalent: Iterable[str] = (), **more: Any) -> Routes:
    """Of one model, ``gpt``."""
    route = Route(
        in_order(*(targets or (OPENAI, LOCAL))), name="gpt", equivalent=frozenset(equivalent)
    )
    return Routes({"gpt": route}, **more)


def policy(*rules: Rule, **verdicts: str) -> Policy:
    """Where nothing is said of vendors, all may serve."""
    said = verdicts or dict.fromkeys(("openai", "mistral", "openrouter"), "allow")
    lines = (vendor_rule(v, Verdict(verdict), "a") for v, verdict in said.items())
    return compile_policy([PolicyDocument("a", rules=(*rules, *lines))])


OPEN = policy()


def record(
    *targets: Target,
    served: Target | None = OPENAI,
    left_out: dict[str, str] | None = None,
    minute: float = 0,
    app: str | None = "shop",
    **fields: Any,
) -> Record:
    """A request for ``gpt`` as it is written down, ``minute`` minutes before now."""
    at = NOW - timedelta(minutes=minute)
    labels = Labels(app=app)
    judged = tuple(
        JudgedTarget.of(
            target,
            evaluate(OPEN, target.id, target.identity, labels, at),
            (left_out or {}).get(target.id, ""),
        )
        for target in targets or (OPENAI, LOCAL)
    )
    attempts = [] if served is None else [AttemptRecord(served.id, "served", 100_000, "r1")]
    return Record(
        **{
            "id": "r",
            "at": at,
            "api": "chat/completions",
            "model": "gpt",
            "labels": labels,
            "policy": OPEN.revision,
            "targets": judged,
            "attempts": attempts,
            "outcome": "served" if served is not None else "upstream_unavailable",
            "served_by": None if served is None else served.id,
            "locality": None if served is None else served.locality,
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "duration_us": 200_000,
            **fields,
        }
    )


def capacity(prompt: float = 1000, answer: float = 100) -> Capacity:
    return Capacity(prompt, answer, 4, "f" * 64, NOW, 2)


def day(*records: Record, most: int = 100_000) -> Day:
    found = Day(most)
    for one in records:
        found.add(one, one.model if one.model == "gpt" else None)
    return found


def score(
    *records: Record,
    routes_: Routes | None = None,
    under: Policy = OPEN,
    measured: dict[str, Capacity] | None = None,
) -> Report:
    """Of a day with these records, by the default on a gateway with one cloud and one local."""
    return reckon(
        day(*records),
        routes_ or routes(),
        under,
        {"small": capacity()} if measured is None else measured,
        now=NOW,
        since=NOW - timedelta(days=1),
    )


def of(report: Report, vendor: str) -> Readiness:
    if vendor == ALL:
        return report.all
    (one,) = [one for one in report.vendors if one.vendor == vendor]
    return one


def missing(one: Readiness) -> list[tuple[str | None, str, str, int]]:
    return [(row.app, row.why, row.detail, row.requests) for row in one.missing]
