"""What a serving process makes of one version of the configuration, and what is new in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from gateway.access.oidc import Tokens
from gateway.access.prices import Prices
from gateway.config.publication import Publication
from gateway.config.reload import Load
from gateway.config.settings import Settings
from gateway.config.translated import Translation
from gateway.domain.target import Target
from gateway.engine.routes import Routes
from gateway.inventory import Inventory
from gateway.trusted import Trusted
from gateway.upstream.channel import Channel
from gateway.upstream.translate.link import Translated


@dataclass(frozen=True, slots=True)
class Configured:
    """One version, whole. ``channels`` are as the relay has them, with their secrets as ``keys``,
    ``translated`` as the translators have them, with theirs in ``translations``; ``beside`` tells
    what stands in the files of each; ``targets`` are those of each channel, its server by itself
    included; ``trusted`` is the issuer of tokens; ``restart`` names what of it takes a restart.
    """

    publication: Publication
    settings: Settings
    inventory: Inventory
    keys: Mapping[str, tuple[str, ...]]
    translations: Mapping[str, Translation]
    channels: Mapping[str, Channel]
    translated: Mapping[str, Translated]
    beside: Mapping[str, tuple[tuple[str, str], ...]]
    routes: Routes
    prices: Prices
    targets: Mapping[str, tuple[Target, ...]]
    load: Load
    trusted: Trusted | None = None
    restart: tuple[str, ...] = ()

    @property
    def revision(self) -> str:
        return revision(self.publication.text)

    @property
    def fingerprint(self) -> object:
        return self.publication.version

    @property
    def sockets(self) -> dict[str, Path]:
        """Where the worker of each local model is reached."""
        return {name: Path(one.path) for name, one in self.publication.sockets.items()}

    @property
    def on_demand(self) -> frozenset[str]:
        """The local models that are loaded when they are asked for."""
        return frozenset(n for n, one in self.publication.sockets.items() if one.on_demand)

    @property
    def at_once(self) -> frozenset[str]:
        """Those whose worker before is not to be asked any more, ready or not."""
        return frozenset(n for n, one in self.publication.sockets.items() if one.at_once)

    def has(self, channel: Channel) -> bool:
        """Whether a channel is configured in this very way."""
        return self.channels.get(channel.name) is channel or any(
            channel is one for one in (*self._endpoints(channel.name), self.issuer)
        )

    @property
    def issuer(self) -> Channel | None:
        """Where the keys of the issuer of tokens are asked for."""
        return None if self.trusted is None else self.trusted.channel

    @property
    def tokens(self) -> Tokens | None:
        return None if self.trusted is None else self.trusted.tokens

    def _endpoints(self, name: str) -> Iterable[Channel]:
        translated = self.translated.get(name)
        return () if translated is None else translated.endpoints.values()

    def after(self, before: Configured) -> Configured:
        """This version with the very channels of the one before, where they are the same: so what
        is connected to them stays.
        """
        if self.settings.upstream != before.settings.upstream:
            return self
        issuer = None if self.trusted is None else self.trusted.after(before.trusted)
        kept = {
            name: before.channels[name] if self.same(name, before) else channel
            for name, channel in self.channels.items()
        }
        translated = {
            name: before.translated[name] if self.same(name, before) else one
            for name, one in self.translated.items()
        }
        return replace(self, channels=kept, translated=translated, trusted=issuer)

    def renewed(self, before: Configured) -> frozenset[str]:
        """The channels that are not what they were, and those that were not there or are gone."""
        names = {*self.settings.channels, *before.settings.channels}
        return frozenset(name for name in names if not self.same(name, before))

    def same(self, name: str, before: Configured) -> bool:
        """Whether a channel is what it was, its secret included."""
        section = self.settings.channels.get(name)
        return (
            section is not None
            and section == before.settings.channels.get(name)
            and self.keys.get(name) == before.keys.get(name)
            and self.translations.get(name) == before.translations.get(name)
            and self.beside[name] == before.beside[name]
        )


def revision(text: bytes) -> str:
    """The name of a version: what ``sha256sum gateway.yaml`` prints."""
    return sha256(text).hexdigest()


def by_channel(routes: Routes) -> dict[str, tuple[Target, ...]]:
    """The targets of each channel, each once: what the egress guard asks about at every dial."""
    found: dict[str, dict[str, Target]] = {}
    for route in routes.all():
        for target in route.targets:
            found.setdefault(target.channel, {})[target.id] = target
    return {channel: tuple(targets.values()) for channel, targets in found.items()}
