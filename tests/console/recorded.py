"""Operations that answer with what a running gateway once answered, for pages that are looked at
without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.access.operators import Actor
from gateway.domain.drill import Drill
from gateway.domain.identity import Role
from gateway.errors import NotThere, Refused
from gateway.http.drills import DrillAsked, DrillState
from gateway.http.readiness import ReadinessState
from gateway.http.seen import (
    Attempted,
    Breaker,
    DecidedTarget,
    DecisionState,
    LocalModel,
    ModelMove,
    ModelTargets,
    Moment,
    PolicyInForce,
    Preview,
    ProcessState,
    RequestShare,
    Standing,
    Status,
    TargetState,
    TargetTraffic,
    Toggled,
    Traffic,
    VendorState,
)
from gateway.http.state import AuditState, ConfigurationState, LoadedState, PolicyState

AT = datetime(2026, 11, 26, 3, 12, 7, tzinfo=UTC)
REVISION = "04335bc62d4bfb47f5e0e375fae9e35aa58defaa9cfe7a3a369d23c738eab4c5"


def vendor(name: str, standing: Standing, **fields: Any) -> VendorState:
    plain = {
        "vendor": name,
        "title": name.capitalize(),
        "standing": standing,
        "everywhere": True,
        "rule": name,
        "reason": "",
        "authority": None,
        "reference": None,
        "since": None,
        "until": None,
        "source": "configs/policies/10-vendors.yaml:11",
        "roles": [Role.CHANNEL, Role.DEVELOPER],
        "targets": [f"{name}/a-model"],
        "conditional": [],
        "toggled": False,
        "liftable": False,
    }
    return VendorState(**{**plain, **fields})


def target(id: str, locality: str, place: int | None, **fields: Any) -> TargetState:
    plain = {
        "target": id,
        "channel": id.partition("/")[0],
        "developer": id.partition("/")[0],
        "locality": locality,
        "place": place,
        "left_out": "" if place else "policy",
        "verdict": "allow" if place else "deny",
        "handling": None,
        "rule": "openai",
        "reason": "",
        "reference": None,
        "breaker": Breaker.CLOSED,
        "failures_in_row": 0,
        "rests": None,
        "misconfigured": False,
        "wait": None,
        "credentials": True,
        "ready": True,
        "busy": 0,
    }
    return TargetState(**{**plain, **fields})


def model(name: str, *targets: TargetState, pattern: bool = False) -> ModelTargets:
    first = next((one for one in targets if one.place == 1), None)
    return ModelTargets(
        model=name,
        pattern=pattern,
        serves=first.target if first else None,
        locality=first.locality if first else None,
        first_choice=bool(targets) and targets[0].place == 1,
        targets=list(targets),
    )


def decision(number: int, **fields: Any) -> DecisionState:
    plain = {
        "id": f"req-{number:04d}",
        "at": AT - timedelta(seconds=3 * number),
        "model": "gpt-4o",
        "api": "chat/completions",
        "stream": True,
        "key": "k7c2m9",
        "team": "support",
        "app": "helpdesk",
        "outcome": "served",
        "status": 200,
        "served_by": "local/smollm2",
        "locality": "local",
        "failover": "policy",
        "policy": REVISION,
        "explanation": "openai/gpt-4o was left out: rule ban-openai denies openai as its channel. "
        "local/smollm2 answered in its place.",
        "targets": [
            DecidedTarget(
                target="openai/gpt-4o",
                locality="cloud",
                verdict="deny",
                rule="ban-openai",
                reason="Directive 12",
                left_out="policy",
            ),
            DecidedTarget(
                target="local/smollm2",
                locality="local",
                verdict="allow",
                rule="default",
                reason="",
                left_out="",
            ),
        ],
        "attempts": [
            Attempted(
                target="local/smollm2",
                outcome="served",
                duration_us=412_000,
                first_content_us=61_000,
                status=None,
            )
        ],
        "prompt_tokens": 27,
        "completion_tokens": 16,
        "duration_us": 413_000,
    }
    return DecisionState(**{**plain, **fields})


def status(**fields: Any) -> Status:
    plain = {
        "status": "ready",
        "version": "0.6.0",
        "pid": 411,
        "policy": PolicyState(revision=REVISION, mode="enforce", loaded_at=AT, problem=None),
        "configuration": ConfigurationState(revision="c0", loaded_at=AT, problem=None, restart=[]),
        "local_models": [],
        "without_credentials": ["anthropic"],
        "audit": AuditState(problem=None, waiting=0, lost=0, contents_lost=0),
        "offline": False,
        "drill": None,
        "background": {},
        "sovereign": [],
        "url": "http://127.0.0.1:8080",
        "processes": [
            ProcessState(
                pid=411,
                policy=REVISION,
                configuration="c0",
                problem=None,
                configuration_problem=None,
            )
        ],
    }
    return Status(**{**plain, **fields})


def in_force(**fields: Any) -> PolicyInForce:
    plain = {
        "revision": REVISION,
        "mode": "enforce",
        "default": "deny",
        "loaded_at": AT,
        "problem": None,
        "rules": 4,
        "waivers": 0,
        "designations": 1,
        "next_change": datetime(2026, 12, 1, tzinfo=UTC),
        "signed": False,
        "files": [],
    }
    return PolicyInForce(**{**plain, **fields})


def local_model(**fields: Any) -> LocalModel:
    plain = {
        "name": "smollm2",
        "ready": True,
        "on_demand": False,
        "loaded": LoadedState(
            context=4096,
            slots=8,
            layers=31,
            gpu_layers=0,
            devices={},
            memory=412_000_000,
            note="",
            capabilities=["chats"],
            chat=None,
        ),
        "state": "ready",
        "detail": "",
        "pid": 412,
        "restarts": 0,
        "needs": 412_000_000,
        "active": 3,
        "waiting": 0,
        "tokens_per_second": 88.4,
        "last_success": AT,
    }
    return LocalModel(**{**plain, **fields})


def traffic() -> Traffic:
    counts = [(9, 0, 1, 0, 0), (11, 1, 0, 0, 0), (10, 2, 1, 0, 1), (12, 1, 0, 0, 0)] * 3
    counts += [(3, 1, 8, 1, 0), (0, 1, 13, 2, 0), (0, 2, 12, 1, 0)]
    since = AT - timedelta(minutes=15)
    names = ("cloud", "sovereign", "local", "refused", "failed")
    return Traffic(
        since=since,
        until=AT,
        span=60,
        requests=sum(map(sum, counts)),
        failovers=33,
        moments=[
            Moment(at=since + timedelta(minutes=n), **dict(zip(names, row, strict=True)))
            for n, row in enumerate(counts)
        ],
        targets=[
            TargetTraffic(target="local/smollm2", locality="local", requests=35, failovers=33)
        ],
    )


def vendors() -> list[VendorState]:
    return [
        vendor(
            "openai",
            Standing.BANNED,
            title="OpenAI",
            rule="ban-openai",
            reason="Directive 12: no prompts to this vendor until the review is over",
            authority="Office of the CISO",
            reference="https://directives.example.org/2026/12",
            since=AT - timedelta(minutes=3),
            until=datetime(2026, 12, 1, tzinfo=UTC),
            source="configs/policies/90-toggles.yaml:5",
            targets=["openai/gpt-4o", "openai/gpt-4o-mini", "azure/prod-chat"],
            toggled=True,
            liftable=True,
        ),
        vendor("deepseek", Standing.BANNED, reason="Agency directive", title="DeepSeek"),
        vendor("mistral", Standing.RISKY, title="Mistral AI", everywhere=False),
        vendor("anthropic", Standing.ALLOWED),
    ]


def models() -> list[ModelTargets]:
    local = "local/smollm2"
    denied = {"rule": "ban-openai"}
    return [
        model(
            "gpt-4o",
            target("openai/gpt-4o", "cloud", None, **denied),
            target("lab/qwen3-32b", "sovereign", 1),
            target(local, "local", 2),
        ),
        model(
            "gpt-4o-mini",
            target("openai/gpt-4o-mini", "cloud", None, **denied),
            target(local, "local", 1, busy=3),
        ),
        model(
            "claude-sonnet-4-5",
            target("anthropic/claude-sonnet-4-5", "cloud", 1, rule="anthropic"),
            target(local, "local", 2),
        ),
        model("only-cloud", target("openai/gpt-4o", "cloud", None, **denied)),
        model("*", target(local, "local", 1), pattern=True),
    ]


def moves() -> Preview:
    def move(name: str, now: str | None, then: str | None, requests: int = 0) -> ModelMove:
        where = {"local": "local", "lab": "sovereign"}
        localities = [
            None if one is None else where.get(one.partition("/")[0], "cloud")
            for one in (now, then)
        ]
        return ModelMove(
            model=name,
            now=now,
            now_locality=localities[0],
            then=then,
            then_locality=localities[1],
            moved=now != then,
            requests=requests,
        )

    return Preview(
        vendor="openai",
        title="OpenAI",
        roles=[Role.CHANNEL, Role.DEVELOPER],
        denied=["openai/gpt-4o", "openai/gpt-4o-mini", "azure/prod-chat"],
        models=[
            move("gpt-4o", "openai/gpt-4o", "lab/qwen3-32b", 96),
            move("gpt-4o-mini", "openai/gpt-4o-mini", "local/smollm2", 40),
            move("only-cloud", "openai/gpt-4o", None, 4),
            move("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
            move("*", "local/smollm2", "local/smollm2"),
        ],
        stranded=["only-cloud"],
        recent=RequestShare(since=AT - timedelta(minutes=15), requests=171, moved=140, stranded=4),
    )


def if_banned(vendor: str, requests: int, **fields: Any) -> dict[str, Any]:
    """A row of readiness in which nothing is missing."""
    hung = requests > 0
    plain = {
        "vendor": vendor,
        "denied": False,
        "targets": [f"{vendor}/m"],
        "requests": requests,
        "tokens": requests * 800,
        "capability": {"local": 1, "sovereign": 0, "cloud": 0, "any": 1} if hung else None,
        "capacity": 1 if hung else None,
        "score": 1 if hung else None,
        "crowded": 0,
        "worst": None,
        "unmeasured": [],
        "missing": [],
        "more": 0,
    }
    return {**plain, **fields}


def agreement(model: str | None, canaries: int, agreed: int, **differs: int) -> dict[str, Any]:
    return {
        "model": model,
        "target": "local/smollm2",
        "canaries": canaries,
        "agreed": agreed,
        "share": agreed / canaries,
        "differs": [{"what": what, "canaries": count} for what, count in differs.items()],
    }


def lack(why: str, detail: str = "", requests: int = 40, **fields: Any) -> dict[str, Any]:
    plain = {"app": "shop", "model": "gpt-4o", "why": why, "detail": detail}
    return {**plain, "requests": requests, "tokens": requests * 900, **fields}


def readiness(*rows: dict[str, Any], **fields: Any) -> ReadinessState:
    missing = [
        lack("capability", "images", 310),
        lack("context", "4096 tokens", 96, app=None),
        lack("no local target", "", 12, model="only-cloud"),
    ]
    openai = if_banned(
        "openai",
        9000,
        capability={"local": 0.9535, "sovereign": 0.9, "cloud": 0.99, "any": 0.9986},
        capacity=0.8214,
        score=0.7832,
        crowded=41,
        worst={"at": AT, "target": "local/smollm2", "busy": 2.34},
        missing=missing,
        more=2,
    )
    plain = {
        "at": AT,
        "since": AT - timedelta(hours=24),
        "policy": REVISION,
        "requests": 12_480,
        "detail": "full",
        "vendors": rows or [openai, if_banned("anthropic", 400), if_banned("mistral", 0)],
        "all": {**openai, "vendor": "(all)", "requests": 9400, "missing": [], "more": 0},
        "canaries": [
            agreement("gpt-4o", 120, 113, format=5, finish=3),
            agreement("gpt-4o-mini", 40, 40),
            agreement(None, 288, 287, arguments=1),
        ],
    }
    return ReadinessState.model_validate({**plain, **fields})


def decisions() -> list[DecisionState]:
    cloud: dict[str, Any] = {
        "served_by": "anthropic/claude-sonnet-4-5",
        "locality": "cloud",
        "failover": None,
        "model": "claude-sonnet-4-5",
    }
    refused: dict[str, Any] = {
        "model": "only-cloud",
        "outcome": "policy_denied",
        "status": 451,
        "served_by": None,
        "locality": None,
        "failover": None,
        "attempts": [],
    }
    rows: list[dict[str, Any]] = [
        {},
        cloud,
        {"model": "gpt-4o-mini"},
        refused,
        {},
        cloud,
        cloud,
        {},
    ]
    return [decision(number, **row) for number, row in enumerate(rows, 1)]


def events() -> list[dict[str, Any]]:
    at = "2026-11-26T03:12:05Z"
    return [
        {"kind": "checkpoint", "seq": 1204, "at": at, "key": "9f86d081884c7d65"},
        {
            "kind": "request",
            "seq": 1203,
            "at": at,
            "model": "gpt-4o",
            "outcome": "served",
            "served_by": "local/smollm2",
        },
        {
            "kind": "event",
            "seq": 1202,
            "at": at,
            "event": "vendor_banned",
            "actor": "operator:k2",
            "subject": "openai",
            "reason": "Directive 12",
        },
    ]


class RecordedDrills:
    """Implements as much of ``Drilling`` as the console asks."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    async def newest(self, most: int) -> list[DrillState]:
        return self._recorded.drills_[:most]

    async def start(self, asked: DrillAsked, actor: Actor) -> DrillState:
        if self._recorded.drills_ and self._recorded.drills_[0].end is None:
            raise Refused("a drill runs already", code="drill_runs")
        self._recorded.done.append(("start drill", asked, actor.name))
        now = datetime.now(UTC)
        until = now + timedelta(minutes=asked.minutes)
        begun = Drill("d1", asked.vendor, now, until, actor.name, asked.reason)
        self._recorded.drills_ = [DrillState(begun, None, (), None, None)]
        return self._recorded.drills_[0]

    async def stop(self, actor: Actor) -> DrillState:
        self._recorded.done.append(("stop drill", actor.name))
        return self._recorded.drills_[0]


@dataclass
class Recorded:
    """Implements as much of ``Operations`` as the console asks; ``done`` is what it was told."""

    status_: Status = field(default_factory=status)
    policy_: PolicyInForce = field(default_factory=in_force)
    vendors_: list[VendorState] = field(default_factory=vendors)
    models_: list[ModelTargets] = field(default_factory=models)
    local_: list[LocalModel] = field(default_factory=lambda: [local_model()])
    decisions_: list[DecisionState] = field(default_factory=decisions)
    events_: list[dict[str, Any]] = field(default_factory=events)
    preview_: Preview = field(default_factory=moves)
    readiness_: ReadinessState | None = field(default_factory=readiness)
    drills_: list[DrillState] = field(default_factory=list)
    done: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def drills(self) -> RecordedDrills:
        return RecordedDrills(self)

    async def status(self) -> Status:
        return self.status_

    async def policy(self) -> PolicyInForce:
        return self.policy_

    async def vendors(self) -> list[VendorState]:
        return self.vendors_

    async def preview(self, vendor: str, roles: Sequence[Role]) -> Preview:
        if vendor != self.preview_.vendor:
            raise NotThere(f"unknown vendor {vendor!r}: did you mean 'openai'?")
        return self.preview_.model_copy(update={"roles": list(roles)})

    async def ban(self, vendor: str, *, actor: Actor, **fields: Any) -> Toggled:
        self.done.append(("ban", vendor, actor.name, fields))
        return self._toggled(vendor, banned=True)

    async def unban(self, vendor: str, *, actor: Actor) -> Toggled:
        self.done.append(("unban", vendor, actor.name))
        return self._toggled(vendor, banned=False)

    def _toggled(self, vendor: str, *, banned: bool) -> Toggled:
        return Toggled(
            vendor=vendor, banned=banned, revision=REVISION, seconds=0.1, processes=1, waiting=[]
        )

    async def targets(self) -> list[ModelTargets]:
        return self.models_

    async def models(self) -> list[LocalModel]:
        return self.local_

    async def load(self, name: str, *, actor: Actor) -> LocalModel:
        self.done.append(("load", name, actor.name))
        return self.local_[0]

    async def unload(self, name: str, *, cut: bool, actor: Actor) -> LocalModel:
        self.done.append(("unload", name, cut, actor.name))
        return self.local_[0]

    async def decisions(self, limit: int) -> list[DecisionState]:
        return self.decisions_[:limit]

    async def audit_tail(self, limit: int) -> list[dict[str, Any]]:
        return self.events_[:limit]

    async def traffic(self, minutes: int) -> Traffic:
        return traffic()

    async def readiness(self, vendor: str | None = None) -> ReadinessState:
        if self.readiness_ is None:
            raise Refused("the log is still being read", code="not_reckoned_yet")
        return self.readiness_
