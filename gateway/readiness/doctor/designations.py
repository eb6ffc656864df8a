"""Designations: facts that rules follow, and that somebody has to read again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from gateway.policy.compile import Policy
from gateway.policy.rules import Rule
from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.finding import Told, check, info, warning
from gateway.vendors.designations import Designation, Status

FRESH = timedelta(days=30)
"""What was read longer ago may be otherwise by now."""
OVER = frozenset({Status.VACATED, Status.EXPIRED})
"""What is expected to stay as it is."""


@check("designations")
def stale(found: Examined) -> Iterator[Told]:
    """Designations that were read more than 30 days ago, and are not over: a warning where a rule
    follows them.
    """
    policy, now = found.ruled.policy, found.now
    for fact in () if policy is None else policy.designations:
        if now.date() - fact.retrieved <= FRESH or fact.status_at(now) in OVER:
            continue
        rules = list(_following(policy, fact)) if policy is not None else []
        say = warning if rules else info
        followed = f", and {', '.join(rule.id for rule in rules)} follows it" if rules else ""
        yield say(
            f"designation {fact.id}",
            f"{fact.vendor}: read on {fact.retrieved}, {(now.date() - fact.retrieved).days} days "
            f"ago{followed}",
            f"read {fact.source_url} again, and set retrieved (and the history) in {fact.source}",
        )


@check("designations")
def phase_out(found: Examined) -> Iterator[Told]:
    """A phase-out that is over, though the designation's status did not change with it."""
    policy, now = found.ruled.policy, found.now
    for fact in () if policy is None else policy.designations:
        end = fact.phase_out_until
        if end is None or end >= now.date() or fact.status_at(now) in OVER:
            continue
        if any(end <= change.at.date() <= now.date() for change in fact.history):
            continue
        yield warning(
            f"designation {fact.id}",
            f"{fact.vendor}: its phase-out ended on {end}, and its status is still "
            f"{fact.status_at(now)}",
            f"read {fact.source_url}: write what holds now into the history in {fact.source}",
        )


@check("designations")
def announced(found: Examined) -> Iterator[Told]:
    """What is merely announced, though the day on which it was to take effect is past."""
    policy, now = found.ruled.policy, found.now
    for fact in () if policy is None else policy.designations:
        if fact.status_at(now) is not Status.ANNOUNCED or fact.effective is None:
            continue
        if fact.effective < now.date():
            yield warning(
                f"designation {fact.id}",
                f"{fact.vendor}: it was to take effect on {fact.effective}, and is still announced "
                "here: rules that ask for in_force do not follow it",
                f"read {fact.source_url}: write what became of it into the history in "
                f"{fact.source}",
            )


@check("designations")
def unmatched(found: Examined) -> Iterator[Told]:
    """Rules that follow designations, and of which there is none that they could mean."""
    policy = found.ruled.policy
    for rule in () if policy is None else policy.rules:
        asked = rule.match.designation
        if asked is None or policy is None:
            continue
        if not any(asked.fits(fact) for fact in policy.designations):
            yield warning(
                f"rule {rule.id}",
                "it follows designations, and there is none that it could mean: it decides nothing",
                f"put the facts into {found.settings.policy.designations}, or mend its words in "
                f"{rule.source}",
            )


def _following(policy: Policy, fact: Designation) -> Iterator[Rule]:
    for rule in policy.rules:
        if rule.match.designation is not None and rule.match.designation.fits(fact):
            yield rule


CHECKS = (stale, phase_out, announced, unmatched)
