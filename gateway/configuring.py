"""A version of the configuration, made of its text and of the files that it names."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway.config.fixed import with_fixed
from gateway.config.prices import prices
from gateway.config.publication import Publication
from gateway.config.references import contents, referred_by
from gateway.config.settings import Settings
from gateway.config.translated import translations
from gateway.configured import Configured, by_channel
from gateway.dialled import channel_keys, channels, check_otlp
from gateway.inventory import Inventory
from gateway.translation import translated_channels
from gateway.trusted import trusted


def configure(
    read: Callable[[bytes], Settings],
    text: bytes,
    publication: Publication,
    before: Configured | None = None,
) -> Configured:
    """A version of the configuration, with what of it the one ``before`` has in the same way.
    ``read`` makes settings of a file's bytes, ``text`` is what the gateway was started with. Reads
    secrets and manifests. Raises StartupError where one of them is wrong.
    """
    settings, restart = with_fixed(read(publication.text), read(text))
    inventory = Inventory(settings)
    keys = channel_keys(settings)
    translated = translations(settings, os.environ)
    routes = inventory.routes({*keys, *translated})
    servers = {name: (inventory.server(name),) for name in inventory.sovereign}
    version = Configured(
        publication=publication,
        settings=settings,
        inventory=inventory,
        keys=keys,
        channels=channels(settings, keys),
        translations=translated,
        translated={one.name: one for one in translated_channels(settings, translated)},
        beside={name: contents(referred_by(settings, name)) for name in settings.channels},
        routes=routes,
        prices=prices(settings.prices),
        targets={**servers, **by_channel(routes)},
        load=inventory.policy_loader().load,
        trusted=trusted(settings),
        restart=restart,
    )
    return version if before is None else version.after(before)


def check_channels(settings: Settings) -> None:
    """Raises StateError where a secret cannot be read, or cannot be sent, or what is to send
    something is not installed.
    """
    check_otlp(settings)
    channels(settings, channel_keys(settings))
    translated_channels(settings, translations(settings, os.environ))
