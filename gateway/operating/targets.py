"""The targets of each model as a request would try them now, with what is known of their health."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from gateway.config.settings import is_pattern
from gateway.domain.decision import Decision
from gateway.domain.target import Target
from gateway.engine.loop import Engine
from gateway.engine.routes import Route
from gateway.http.seen import Breaker, ModelTargets, TargetState
from gateway.routing.health import Health


def model_targets(engine: Engine) -> list[ModelTargets]:
    """Of every configured model, those with a name of their own first."""
    at, now = datetime.now(UTC), time.monotonic()
    return [_model(engine, route, at, now) for route in engine.routes.all()]


def _model(engine: Engine, route: Route, at: datetime, now: float) -> ModelTargets:
    plan = engine.plan(route.name, at=at)
    first = plan.steps[0].target if plan.steps else None
    rows = [
        _target(engine, step.target, step.decision, now, place=place, left_out="")
        for place, step in enumerate(plan.steps, 1)
    ]
    rows += [
        _target(engine, one.target, one.decision, now, place=None, left_out=one.why)
        for one in plan.omitted
    ]
    return ModelTargets(
        model=route.name,
        pattern=is_pattern(route.name),
        serves=first.id if first is not None else None,
        locality=first.locality if first is not None else None,
        first_choice=first is not None and first.id == plan.first,
        targets=rows,
    )


def _target(
    engine: Engine,
    target: Target,
    decision: Decision,
    now: float,
    *,
    place: int | None,
    left_out: str,
) -> TargetState:
    health = engine.health(target.id)
    return TargetState(
        target=target.id,
        channel=target.channel,
        developer=target.identity.developer,
        locality=target.locality,
        place=place,
        left_out=left_out,
        verdict=decision.verdict,
        handling=decision.handling,
        rule=decision.rule,
        reason=decision.reason,
        reference=decision.reference,
        breaker=_breaker(health, now),
        failures_in_row=health.in_row,
        rests=health.rest_why if now < health.rest_until else None,
        misconfigured=health.misconfigured,
        wait=health.available_in(now),
        credentials=target.channel not in engine.routes.without_credentials,
        ready=engine.ready(target),
        busy=engine.busy(target.id),
    )


def _breaker(health: Health, now: float) -> Breaker:
    if health.open_until is None:
        return Breaker.CLOSED
    return Breaker.OPEN if now < health.open_until else Breaker.PROBING
