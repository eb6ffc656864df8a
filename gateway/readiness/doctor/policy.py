"""The policy: what it does not do though it looks so, and what it is about to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.toggles import TOGGLES
from gateway.domain.decision import Labels, Mode, Verdict
from gateway.domain.target import Target
from gateway.engine.routes import Route
from gateway.policy.anyone import anyone_may
from gateway.policy.compile import Policy
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import Rule
from gateway.readiness.doctor.examined import SOON, Examined
from gateway.readiness.doctor.finding import Told, check, error, info, warning
from gateway.routing.health import Health
from gateway.routing.plan import Candidate, make_plan

MOST_NAMED = 8
"""Rules that are named where many are meant."""


@check("policy")
def policy(found: Examined) -> Iterator[Told]:
    """A policy, designations included, that does not load or whose own tests fail."""
    if found.ruled.unread:
        yield error(
            str(found.settings.policy.dir),
            found.ruled.unread,
            "nothing starts before this is corrected, and what runs stays with the last good one",
        )


@check("policy")
def shadow(found: Examined) -> Iterator[Told]:
    """Shadow mode, of the whole policy or of single rules: nothing is denied by it."""
    policy = found.ruled.policy
    if policy is None:
        return
    if policy.mode is Mode.SHADOW:
        yield warning(
            "mode",
            "the policy is in shadow mode: it decides, which is recorded, and denies nothing",
            "say mode: enforce once gateway policy simulate shows what you expect",
        )
    rules = [rule for rule in policy.rules if rule.mode is Mode.SHADOW]
    if rules:
        yield info(
            _named(rules),
            "in shadow mode: counted where it would have decided, and never decides",
            "say mode: enforce, or take it out, when the counts are what you expect",
        )


@check("policy")
def default_allow(found: Examined) -> Iterator[Told]:
    """`default: allow`: a vendor that no rule names is sent prompts."""
    policy = found.ruled.policy
    if policy is not None and policy.default is Verdict.ALLOW:
        yield warning(
            "default",
            "vendors that no rule names are allowed, new ones of a reseller's too",
            "say default: deny, and name those that are allowed",
        )


@check("policy")
def rule_dates(found: Examined) -> Iterator[Told]:
    """Rules and drains that begin or end within 14 days, and those that have ended."""
    policy, now = found.ruled.policy, found.now
    for rule in () if policy is None else policy.rules:
        if rule.start is not None and now < rule.start <= now + SOON:
            yield info(
                f"rule {rule.id}",
                f"{rule.verdict} begins {_in(rule.start, now)}",
                f"see what follows: gateway policy explain --at {rule.start:%Y-%m-%d} --model NAME",
            )
        if rule.end is not None and now < rule.end <= now + SOON:
            yield warning(
                f"rule {rule.id}",
                f"{rule.verdict} ends {_in(rule.end, now)}: whom it falls on gets what the other "
                "rules say",
                f"move until in {rule.source}, or see what follows: "
                f"gateway policy explain --at {rule.end:%Y-%m-%d} --model NAME",
            )
        if rule.end is not None and rule.end <= now:
            yield info(
                f"rule {rule.id}",
                f"{rule.verdict} ended on {rule.end:%Y-%m-%d}, and decides nothing",
                f"take it out of {rule.source}, or move its until",
            )
        if rule.drain is not None and now < rule.drain.end <= now + SOON:
            yield warning(
                f"rule {rule.id}",
                f"its drain is over {_in(rule.drain.end, now)}: no request is sent there then",
                "see that what is left of each model can take all of it: gateway policy simulate",
            )


@check("policy")
def idle_rules(found: Examined) -> Iterator[Told]:
    """Rules that can fall on no target that is configured."""
    policy = found.ruled.policy
    if policy is None:
        return
    falling = {
        clause.rule.id
        for target in found.targets
        for brief in policy.briefs(target.id, target.identity)
        for clause in (*brief.clauses, *brief.shadows)
    }
    idle = [rule for rule in policy.rules if rule.id not in falling]
    if idle:
        yield info(
            _named(idle),
            "can fall on no configured target",
            "a ban of whom you do not use is well; of any other, look for a word that was meant "
            "otherwise: gateway policy explain --model NAME",
        )


@check("policy")
def untested(found: Examined) -> Iterator[Told]:
    """A policy that denies somebody, and has no tests of its own."""
    policy = found.ruled.policy
    if policy is None or policy.tests:
        return
    denying = [rule for rule in policy.rules if rule.verdict is Verdict.DENY]
    if denying:
        yield info(
            _named(denying),
            "no test of the policy's own says whom it must deny: an edit could undo it unseen",
            "write tests: into the policy; gateway policy test shows what they reach",
        )


@check("policy")
def nobody(found: Examined) -> Iterator[Told]:
    """Models that nobody is left to serve now, by policy and keys; for a request of which nothing
    is said, or whoever asks.
    """
    policy = found.ruled.policy
    for route in found.routes.all() if policy is not None else ():
        targets = [one for one in route.targets if not found.routes.forbids(one)]
        if policy is None or not targets:
            continue
        keyed = [one for one in targets if one.channel not in found.keyless]
        if not any(anyone_may(policy, one, found.now) for one in keyed):
            denied = {f"{one.id}: {_decided(policy, one, found)}" for one in targets}
            yield error(
                route.name,
                f"nobody is left to serve it: {'; '.join(sorted(denied))}",
                f"put a target that policy allows, best a local one, into "
                f"models.{route.name}.targets",
            )
        elif not _planned(policy, route, found):
            yield warning(
                route.name,
                "nobody is left to serve a request that says nothing of team, app or data",
                f"gateway policy explain --model '{route.name}' says why; of risky targets, see "
                f"models.{route.name}.risky_last_resort",
            )


def _decided(policy: Policy, one: Target, found: Examined) -> str:
    if one.channel in found.keyless:
        return "no key"
    decision = evaluate(policy, one.id, one.identity, Labels(), found.now)
    return f"{decision.verdict} by {decision.rule}"


def _planned(policy: Policy, route: Route, found: Examined) -> bool:
    """Whether a request without labels has anybody, as far as configuration and policy go."""
    plan = make_plan(
        (
            Candidate(
                one,
                evaluate(policy, one.id, one.identity, Labels(), found.now),
                Health(),
                drained=True,
                offline=found.routes.forbids(one),
                credentials=one.channel not in found.keyless,
            )
            for one in route.targets
        ),
        needs=frozenset(),
        risky_last_resort=route.risky_last_resort,
        now=0.0,
    )
    return bool(plan.steps)


@check("policy")
def waivers(found: Examined) -> Iterator[Told]:
    """Waivers that expire within 14 days, and those that have expired."""
    policy, now = found.ruled.policy, found.now
    for waiver in () if policy is None else policy.waivers:
        whom = f"{waiver.vendor} is let through rule {waiver.rule}, owned by {waiver.owner}"
        if waiver.expires <= now:
            yield info(
                f"waiver {waiver.id}",
                f"expired on {waiver.expires:%Y-%m-%d}, and lifts nothing",
                f"take it out of {waiver.source}",
            )
        elif waiver.expires <= now + SOON:
            yield warning(
                f"waiver {waiver.id}",
                f"{whom}: it expires {_in(waiver.expires, now)}, and the rule holds again",
                f"tell the owner, or have {waiver.approver} grant it anew in {waiver.source}",
            )


@check("policy")
def toggles(found: Examined) -> Iterator[Told]:
    """Bans made by `gateway ban` that are in force, and a folder that it could not write to."""
    policy = found.ruled.policy
    bans = [] if policy is None else [rule for rule in policy.rules if _toggled(rule)]
    for rule in bans:
        if rule.in_force(found.now):
            since = "" if rule.start is None else f" since {rule.start:%Y-%m-%d %H:%M} UTC"
            yield info(
                ", ".join(sorted(rule.match.vendor)),
                f"banned by hand{since}: {rule.reason}",
                "gateway unban VENDOR takes it back; what is to stay belongs into a file of rules",
            )
    if not found.ruled.writable and not found.settings.policy.require_signature:
        yield warning(
            str(found.settings.policy.dir),
            "this user cannot write into it: gateway ban and the console cannot ban anybody",
            "make it writable for the gateway's user, or know how else a ban is brought there",
        )


def _toggled(rule: Rule) -> bool:
    return Path(rule.source.rpartition(":")[0]).name == TOGGLES


def _named(rules: list[Rule]) -> str:
    """The ids of rules, the first of many."""
    ids = [rule.id for rule in rules[:MOST_NAMED]]
    more = len(rules) - len(ids)
    word = "rule" if len(rules) == 1 else "rules"
    return f"{word} {', '.join(ids)}{f' and {more} more' if more else ''}"


def _in(at: datetime, now: datetime) -> str:
    """When something in the future is: ``in 3 days, on 2026-03-05 00:00 UTC``."""
    days = (at - now).days
    soon = "within a day" if days == 0 else f"in {days} day{'' if days == 1 else 's'}"
    return f"{soon}, on {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


CHECKS = (
    policy,
    shadow,
    default_allow,
    rule_dates,
    idle_rules,
    untested,
    nobody,
    waivers,
    toggles,
)
