"""Configured channels as the relay dials them: their keys, their trust, the proxy on the way."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping

from gateway.config.apis import RESPONSES
from gateway.config.proxying import DIRECT, ProxySection
from gateway.config.settings import Settings
from gateway.config.translated import translations
from gateway.domain.call import Dialect
from gateway.errors import StateError
from gateway.telemetry.post import Post
from gateway.upstream.channel import Channel
from gateway.upstream.pool import Pool
from gateway.upstream.posting import Poster
from gateway.upstream.proxy import Proxy
from gateway.upstream.tls import system_trust

ISSUER = "access/oidc"


def channel_keys(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The secrets of the relayed channels that have one set, each once."""
    keys = {}
    for name, channel in settings.channels.items():
        if channel.kind == "litellm":
            continue
        found = [secret.resolve(os.environ, settings.folder) for secret in channel.api_key]
        keys[name] = tuple(dict.fromkeys(key for key in found if key is not None))
    return {name: some for name, some in keys.items() if some}


def with_credentials(settings: Settings) -> frozenset[str]:
    """The channels that have all the secrets that they need."""
    return frozenset((*channel_keys(settings), *translations(settings, os.environ)))


def channels(settings: Settings, keys: Mapping[str, tuple[str, ...]]) -> dict[str, Channel]:
    """The channels as the relay needs them. Raises ``StateError`` for a secret that is missing, or
    that cannot be sent.
    """
    wait = settings.upstream
    try:
        return {
            name: Channel.parse(
                name,
                section.base_url,
                dialect=Dialect(section.kind),
                api_keys=keys.get(name, ()),
                locality=section.locality,
                allow_private=section.allow_private,
                organization=section.organization,
                connect_timeout=float(wait.connect_timeout),
                first_token_timeout=float(wait.first_token_timeout),
                answer_timeout=float(wait.answer_timeout),
                idle_timeout=float(wait.idle_timeout),
                responses=RESPONSES in section.has,
                trust=section.tls.context() if section.tls is not None else None,
                proxy=_proxy(settings, section),
            )
            for name, section in settings.channels.items()
            if section.base_url is not None and section.kind != "litellm"
        }
    except ValueError as error:
        raise StateError(str(error)) from None


def issuer_channel(settings: Settings) -> Channel | None:
    """Where the keys of the issuer of tokens are asked for, if they are anywhere but in a file. No
    configured channel can have its name. Raises ``StateError`` as ``channels`` does.
    """
    oidc = settings.access.oidc
    if oidc is None or oidc.file(settings.folder) is not None:
        return None
    wait = float(settings.upstream.connect_timeout)
    return Channel.parse(
        ISSUER,
        oidc.jwks,
        api_keys=(),
        locality=oidc.locality,
        allow_private=False,
        organization=None,
        connect_timeout=wait,
        first_token_timeout=wait,
        answer_timeout=wait,
        idle_timeout=wait,
        trust=oidc.tls.context() if oidc.tls is not None else None,
        proxy=_proxy(settings, oidc),
        lists="",
    )


OTLP = "(otlp)"
"""What the address of ``telemetry.otlp`` is called where channels are; none can have this name."""


def otlp_channel(settings: Settings) -> Channel | None:
    """``telemetry.otlp`` as something that is dialled; ``None`` where there is none."""
    otlp = settings.telemetry.otlp
    if otlp is None:
        return None
    wait = settings.upstream
    return Channel.parse(
        OTLP,
        otlp.endpoint,
        api_keys=(),
        locality=otlp.locality,
        allow_private=otlp.allow_private,
        organization=None,
        connect_timeout=float(wait.connect_timeout),
        first_token_timeout=float(wait.first_token_timeout),
        answer_timeout=float(wait.answer_timeout),
        idle_timeout=float(wait.idle_timeout),
    )


def otlp_headers(settings: Settings) -> dict[str, str]:
    """The headers of ``telemetry.otlp`` with their secrets. Raises ``StateError`` for one that is
    not set: what is sent without it would be refused.
    """
    otlp = settings.telemetry.otlp
    found = {}
    for name, secret in ({} if otlp is None else otlp.headers).items():
        value = secret.resolve(os.environ, settings.folder, blanks=True)
        if value is None:
            raise StateError(f"the header {name} of telemetry.otlp at {secret} is not set")
        found[name] = value
    return found


def otlp_post(settings: Settings, channel: Channel | None, pool: Pool) -> Post | None:
    """What sends to ``telemetry.otlp``, which is dialled as ``channel``. Raises as
    ``otlp_headers``.
    """
    otlp = settings.telemetry.otlp
    if otlp is None or channel is None:
        return None
    return Poster(pool, channel, otlp.endpoint, otlp_headers(settings)).post


def check_otlp(settings: Settings) -> None:
    """Raises ``StateError`` where ``telemetry.otlp`` is asked for and cannot be."""
    if settings.telemetry.otlp is None:
        return
    otlp_headers(settings)
    try:
        importlib.import_module("opentelemetry.exporter.otlp.proto.http.version")
    except ModuleNotFoundError:
        raise StateError(
            "telemetry.otlp needs packages that are not installed: "
            "pip install 'sovereign-gateway[otel]'"
        ) from None


def _proxy(settings: Settings, own: ProxySection) -> Proxy | None:
    """The proxy on the way to a channel: its own, else that of all."""
    section = own if own.proxy is not None else settings.upstream
    if section.proxy is None or section.proxy == DIRECT:
        return None
    credentials = None
    if section.proxy_auth is not None:
        credentials = section.proxy_auth.resolve(os.environ, settings.folder)
        if credentials is None or ":" not in credentials:
            raise StateError(
                f"the proxy's credentials at {section.proxy_auth} are "
                + ("not set" if credentials is None else "not of the form user:password")
            )
    trust = section.proxy_tls.context() if section.proxy_tls is not None else system_trust()
    return Proxy.parse(section.proxy, credentials, trust)
