"""Who is behind a target's id where a test needs no more than its name: ``openai/gpt-4o``."""

from __future__ import annotations

from gateway.domain.identity import Identity, Locality, Party, Role


def resolver(target: str) -> Identity:
    """The vendor that the id begins with is channel and developer."""
    vendor, _, model = target.partition("/")
    parties = (Party(Role.CHANNEL, vendor), Party(Role.DEVELOPER, vendor))
    return Identity(vendor, vendor, model, (), Locality.CLOUD, parties)
