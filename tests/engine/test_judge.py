"""Whose answers may be delivered, where policy has changed since the target was dialled."""

from __future__ import annotations

from gateway.config.shipped import load_catalog, load_routers
from gateway.domain.decision import Labels
from gateway.domain.identity import ChannelFacts
from gateway.domain.target import Target
from gateway.engine.judge import Judge
from gateway.vendors.resolve import resolve
from tests.engine.test_engine import policy

CATALOG = load_catalog()
FACTS = {
    "own": ChannelFacts("own", "openai", "openai"),
    "router": ChannelFacts("router", "openrouter", "openai", provider="openrouter"),
}
OWN = Target("own", "gpt-4o", resolve("gpt-4o", FACTS["own"], CATALOG))
ROUTED = Target("router", "openai/gpt-4o", resolve("openai/gpt-4o", FACTS["router"], CATALOG))
OPEN = policy(openai="allow", openrouter="allow", anthropic="allow", microsoft="allow")


def test_a_ban_leaves_what_is_under_way_to_in_flight() -> None:
    """The vendor answers as whom it was asked for, by whatever of its names: no other model has
    answered, and nobody is at fault.
    """
    in_force = OPEN
    judge = Judge(lambda: in_force, FACTS, CATALOG, load_routers(CATALOG))
    names = ("gpt-4o", "gpt-4o-2024-08-06")
    assert [judge.model(OWN, name, Labels()) for name in names] == [None, None]
    in_force = policy(openai="deny")
    assert [judge.model(OWN, name, Labels()) for name in names] == [None, None]
    # It would not be dialled any more.
    assert not judge.allows(OWN, Labels())


def test_another_vendors_answer_is_not_delivered_whatever_became_of_the_target() -> None:
    """What is denied of it is not what has come to be denied of the target."""
    in_force = policy(openai="allow", anthropic="deny")
    judge = Judge(lambda: in_force, FACTS, CATALOG, load_routers(CATALOG))
    by_anthropic = "the answer came from a model of anthropic, denied by rule anthropic"
    through_azure = "the answer came through microsoft, denied by rule microsoft"
    assert judge.model(OWN, "claude-sonnet-4-5", Labels()) == by_anthropic
    in_force = policy(openai="deny", anthropic="deny")
    assert judge.model(OWN, "claude-sonnet-4-5", Labels()) == by_anthropic
    in_force = policy(openai="allow", openrouter="allow", microsoft="deny")
    assert judge.provider(ROUTED, "Azure", Labels()) == through_azure
    in_force = policy(openai="deny", openrouter="allow", microsoft="allow")
    assert judge.provider(ROUTED, "Azure", Labels()) is None
