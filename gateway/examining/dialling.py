"""Who would be dialled and, where that is asked for, whether it can be."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from gateway.config.translated import translations
from gateway.configured import by_channel
from gateway.dialled import channel_keys, channels, issuer_channel, otlp_channel
from gateway.engine.routes import Routes
from gateway.inventory import Inventory
from gateway.policy.anyone import anyone_may
from gateway.policy.compile import Policy
from gateway.readiness.doctor.examined import Dialled
from gateway.translation import translated_channels
from gateway.upstream.channel import Channel
from gateway.upstream.fault import AttemptFault
from gateway.upstream.guard import EgressGuard
from gateway.upstream.pool import Pool
from gateway.upstream.tls import system_trust

VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
"""For proxies, in either case: the gateway does not go by them."""


def ignored(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the variables for proxies that are set."""
    words = (word for name in VARIABLES for word in (name, name.lower()))
    return tuple(word for word in words if environ.get(word))


def dialled(
    inventory: Inventory,
    routes: Routes,
    policy: Policy | None,
    now: datetime,
    *,
    connect: bool,
) -> tuple[Dialled, ...]:
    """The hosts of channels that have their key, and that policy leaves to somebody; of the issuer
    of tokens and the collector of telemetry. Nobody is dialled but to ``connect``.
    """
    settings = inventory.settings
    ways = [*_ways(inventory, routes, policy, now)]
    for subject, other in (
        ("access.oidc", issuer_channel(settings)),
        ("telemetry.otlp", otlp_channel(settings)),
    ):
        if other is not None and not (settings.offline and other.cloud):
            ways.append((subject, other))
    found = [_dialled(subject, channel) for subject, channel in ways]
    if not connect:
        return tuple(found)
    failures = asyncio.run(_tried([channel for _, channel in ways], offline=settings.offline))
    return tuple(replace(one, failure=why) for one, why in zip(found, failures, strict=True))


def _ways(
    inventory: Inventory, routes: Routes, policy: Policy | None, now: datetime
) -> Iterator[tuple[str, Channel]]:
    settings = inventory.settings
    servers = {name: (inventory.server(name),) for name in inventory.sovereign}
    targets = {**servers, **by_channel(routes)}
    known = [(name, one) for name, one in channels(settings, channel_keys(settings)).items()]
    for translated in translated_channels(settings, translations(settings, os.environ)):
        known += [(translated.name, one) for one in translated.endpoints.values()]
    for name, channel in known:
        left = not (settings.offline and channel.cloud) and name not in routes.without_credentials
        of_policy = policy is not None and any(
            anyone_may(policy, target, now) for target in targets.get(name, ())
        )
        if left and of_policy:
            yield f"channel {name}", channel


def _dialled(subject: str, channel: Channel) -> Dialled:
    proxy = channel.proxy
    return Dialled(
        subject=subject,
        host=channel.host,
        port=channel.port,
        literal=channel.literal is not None,
        proxy="" if proxy is None else f"{proxy.host}:{proxy.port}",
    )


async def _tried(ways: Iterable[Channel], *, offline: bool) -> list[str]:
    """Why each was not reached, empty where it was: through the guard and the pool, as requests
    go.
    """
    pool = Pool(EgressGuard(offline=offline), system_trust())
    try:
        return list(await asyncio.gather(*(_try(pool, channel) for channel in ways)))
    finally:
        await pool.close()


async def _try(pool: Pool, channel: Channel) -> str:
    try:
        # Policy was asked when it was found out who would be dialled, at this same instant.
        made = await pool.take(channel, lambda: True, channel.connect_timeout, fresh=True)
    except AttemptFault as fault:
        return f"{fault.message}{_cause(fault.__context__)}"
    pool.give_back(made, finished=False)
    return ""


def _cause(error: BaseException | None) -> str:
    """What the system said, which apps are not told."""
    if isinstance(error, socket.gaierror):
        return f" ({error.strerror}: the name was not resolved)"
    if isinstance(error, OSError) and error.errno:
        return f" ({os.strerror(error.errno)})"
    return ""
