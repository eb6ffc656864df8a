"""What the way to a target asks of policy: whether it may be dialled, what a channel that routes by
itself is told beforehand, and whether an answer of the model and provider that it reports may be
delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gateway.domain.decision import DENY, Decision, Labels, Mode
from gateway.domain.identity import UNKNOWN, ChannelFacts, Identity, Locality, Role
from gateway.domain.target import Target
from gateway.policy.anyone import anyone_may
from gateway.policy.compile import Policy
from gateway.policy.decided import decide
from gateway.policy.told import providers_allowed
from gateway.vendors.catalog import Catalog
from gateway.vendors.resolve import resolve
from gateway.vendors.routers import Router, served_by

_PUBLISHED = "openai"
"""A provider whose ids are published model names, and nothing else."""


class Judge:
    """``policy`` gives the policy in force; ``facts`` are the configured channels by name;
    ``routers`` the channels that route, by vendor; ``offline`` lets nothing be dialled that is
    cloud.
    """

    MOST_TOLD = 1024
    MOST_BEHIND = 4096
    """What vendors call their models in answers is theirs to choose: what is kept has a bound."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        facts: Mapping[str, ChannelFacts],
        catalog: Catalog,
        routers: Mapping[str, Router],
        *,
        offline: bool = False,
    ) -> None:
        self._offline = offline
        self._policy = policy
        self._facts = facts
        self._catalog = catalog
        self._routers = {
            name: routers[channel.vendor]
            for name, channel in facts.items()
            if channel.vendor in routers
        }
        self._told: dict[tuple[str, str, Labels], tuple[datetime | None, tuple[str, ...]]] = {}
        self._known: dict[tuple[str, str], Identity | None] = {}
        self._open: dict[str, tuple[str, datetime, datetime | None, bool]] = {}

    def allows(self, target: Target, labels: Labels) -> bool:
        """Whether policy lets a target be dialled for these labels at this instant."""
        if self._offline and target.locality is Locality.CLOUD:
            # Also what a server of our own would forward off site.
            return False
        decision = decide(self._policy(), target.id, target.identity, labels, datetime.now(UTC))
        return decision.acted is not DENY

    def anyone(self, target: Target) -> bool:
        """Whether policy leaves a configured target to anybody at this instant, whoever asks."""
        policy, now = self._policy(), datetime.now(UTC)
        revision, since, until, found = self._open.get(target.id, ("", now, None, False))
        if revision != policy.revision or now < since or (until is not None and until <= now):
            found = anyone_may(policy, target, now)
            self._open[target.id] = (policy.revision, now, policy.next_change(now), found)
        return found

    def model(self, target: Target, reported: str, labels: Labels) -> str | None:
        """Why an answer of ``target`` that calls its model ``reported`` may not be delivered, or
        ``None`` where it may: a name that nobody can resolve says nothing.
        """
        identity = self._behind(target, reported)
        denied = None if identity is None else self._denied(target, identity, labels)
        if denied is None:
            return None
        return f"the answer came from a model of {denied.vendor}, denied by rule {denied.rule}"

    def providers(self, target: Target, labels: Labels) -> tuple[str, Sequence[str]] | None:
        """The router's vendor id and the providers that may serve; ``None`` where the channel does
        not route, or policy only looks on.
        """
        router = self._routers.get(target.channel)
        if router is None:
            return None
        policy, now = self._policy(), datetime.now(UTC)
        if policy.mode is Mode.SHADOW:
            return None
        key = (policy.revision, target.id, labels)
        until, slugs = self._told.get(key, (now, ()))
        if until is not None and until <= now:
            if len(self._told) >= self.MOST_TOLD:
                self._told.clear()
            slugs = providers_allowed(policy, target, router, labels, now)
            self._told[key] = (policy.next_change(now), slugs)
        return router.vendor, slugs

    def provider(self, target: Target, named: str, labels: Labels) -> str | None:
        """Why an answer that a router says is ``named``'s may not be delivered, or ``None``."""
        router = self._routers.get(target.channel)
        party = router.provider(named) if router is not None else None
        if party is None or party.vendor == UNKNOWN:
            return None
        denied = self._denied(target, served_by(target.identity, party), labels)
        if denied is None:
            return None
        return f"the answer came through {denied.vendor}, denied by rule {denied.rule}"

    def _denied(self, target: Target, identity: Identity, labels: Labels) -> Decision | None:
        """The decision by which policy denies who answered for a target, if it does. Where it has
        come to deny the target itself for the same reason since that was dialled, what is under way
        is the matter of ``in_flight``.
        """
        policy, now = self._policy(), datetime.now(UTC)
        decision = decide(policy, target.id, identity, labels, now)
        if decision.acted is not DENY:
            return None
        own = decide(policy, target.id, target.identity, labels, now)
        same = (own.acted, own.rule, own.vendor) == (DENY, decision.rule, decision.vendor)
        return None if same else decision

    def _behind(self, target: Target, reported: str) -> Identity | None:
        """Who made the model of that name, at the channel that was asked; ``None`` where nobody can
        tell, or it is who was asked.
        """
        key = (target.id, reported)
        if key not in self._known:
            if len(self._known) >= self.MOST_BEHIND:
                self._known.clear()
            self._known[key] = self._resolved(target, reported)
        return self._known[key]

    def _resolved(self, target: Target, reported: str) -> Identity | None:
        facts = self._facts[target.channel]
        identity = resolve(reported, facts, self._catalog)
        if identity.developer == UNKNOWN:
            # Where ids are an operator's or a wrapper's own, answers still give published names.
            published = replace(facts, vendor=_PUBLISHED, provider=_PUBLISHED, deployments={})
            identity = resolve(reported, published, self._catalog)
        if identity.developer == UNKNOWN:
            return None
        own = target.identity
        channels = [party for party in own.parties if party.role is Role.CHANNEL]
        others = [party for party in identity.parties if party.role is not Role.CHANNEL]
        found = replace(identity, channel=own.channel, parties=(*channels, *others))
        return None if replace(found, source=own.source) == own else found
