"""The policy as its files have it, and what is wrong with it."""

from __future__ import annotations

import os

from gateway.config.policy_files import PolicyLoader
from gateway.config.signing import SIGNATURE, PublicKey, verify
from gateway.config.sources import POLICIES
from gateway.errors import GatewayError
from gateway.inventory import Inventory, policy_sources
from gateway.readiness.doctor.examined import Ruled


def ruled(inventory: Inventory) -> Ruled:
    """Whether it is signed is told apart from whether it loads."""
    section = inventory.settings.policy
    sources = policy_sources(inventory.settings)
    writable = os.access(section.dir, os.W_OK | os.X_OK)
    try:
        files = sources.read()
        policy = PolicyLoader(inventory.catalog, inventory.identity).tested(sources, files)
    except GatewayError as error:
        return Ruled(unread=error.message, writable=writable)
    content = files.get(f"{POLICIES}/{SIGNATURE}")
    if not section.require_signature:
        return Ruled(policy, unasked=content is not None, writable=writable)
    try:
        keys = [PublicKey.named(word, inventory.settings.folder) for word in section.public_keys]
        verify(content, policy, keys)
    except GatewayError as error:
        return Ruled(policy, unsigned=error.message, writable=writable)
    return Ruled(policy, writable=writable)
