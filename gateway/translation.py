"""The channels that are translated, from the configuration's terms to their translators'."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from gateway import __version__
from gateway.config.settings import Settings
from gateway.config.translated import Translation
from gateway.upstream.channel import Channel
from gateway.upstream.translate.link import Translated
from gateway.upstream.translate.protocol import Begin


def translated_channels(
    settings: Settings, translations: Mapping[str, Translation]
) -> list[Translated]:
    """What each translator begins with, and what it may have dialled."""
    return [
        Translated(
            name,
            Begin(
                provider=one.provider,
                credentials=one.credentials,
                parameters=one.parameters,
                api_base=one.base_url,
                agent=f"sovereign-gateway/{__version__}",
                connect=float(settings.upstream.connect_timeout),
                authorities=one.authorities,
            ),
            {
                (endpoint.host, endpoint.port): endpoint
                for endpoint in (_endpoint(settings, name, url) for url in one.addresses)
            },
        )
        for name, one in translations.items()
    ]


def _endpoint(settings: Settings, name: str, url: str) -> Channel:
    section, wait = settings.channels[name], settings.upstream
    parts = urlsplit(url)
    return Channel.parse(
        name,
        f"{parts.scheme}://{parts.netloc}",
        api_keys=(),
        locality=section.locality,
        allow_private=section.allow_private,
        organization=None,
        connect_timeout=float(wait.connect_timeout),
        first_token_timeout=float(wait.first_token_timeout),
        answer_timeout=float(wait.answer_timeout),
        idle_timeout=float(wait.idle_timeout),
    )
