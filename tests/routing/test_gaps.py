"""What a route loses when only its local targets are left."""

from __future__ import annotations

from typing import Any

from gateway.domain.identity import Identity, Locality
from gateway.domain.target import APIS, Capability, Target
from gateway.routing.gaps import Gap, gap


def target(locality: Locality, name: str = "m", **fields: Any) -> Target:
    return Target(locality.value, name, Identity("v", "v", name, (), locality, ()), **fields)


TOOLS = frozenset({Capability.TOOLS})
LOCAL = target(Locality.LOCAL, capabilities=TOOLS, context=4096)


def test_a_vendor_is_taken_to_have_everything() -> None:
    """Whatever the local target does not have is lost, but for a context that nobody knows, and
    for APIs that a model need not have.
    """
    lost = gap((target(Locality.CLOUD), LOCAL))
    assert lost == Gap(("local/m",), frozenset(Capability) - TOOLS - APIS)


def test_what_nobody_has_is_no_loss() -> None:
    """Nor what some local target has."""
    cloud = target(Locality.SOVEREIGN, capabilities=TOOLS | {Capability.IMAGES}, context=4096)
    assert gap((cloud, LOCAL)) == Gap(("local/m",), frozenset({Capability.IMAGES}))
    seeing = target(Locality.LOCAL, "v", capabilities=frozenset({Capability.IMAGES}))
    assert gap((cloud, LOCAL, seeing)) == Gap(("local/m", "local/v"))


def test_a_longer_context_is_a_loss_where_it_is_known() -> None:
    """In tokens, of the longest on either side."""
    longer = target(Locality.CLOUD, capabilities=TOOLS, context=131_072)
    assert gap((longer, LOCAL)) == Gap(("local/m",), frozenset(), 4096, 131_072)


def test_a_route_of_one_kind_loses_nothing() -> None:
    """Without a local target there is nothing to compare, without another nothing to lose."""
    assert gap((target(Locality.CLOUD),)) == Gap(())
    assert gap((LOCAL,)) == Gap(("local/m",))
