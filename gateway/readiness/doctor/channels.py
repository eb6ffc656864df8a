"""Channels: their keys, what they need, and who would be dialled."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config.addresses import is_loopback
from gateway.domain.providers import PROVIDERS
from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.finding import Told, check, error, info, warning


@check("channels")
def credentials(found: Examined) -> Iterator[Told]:
    """Channels without a key: no error, they are left out of every plan."""
    for name in sorted(found.keyless):
        yield info(
            f"channel {name}",
            "it has no key, and is left out of every plan",
            f"where it is to be used, set what {_secrets(name, found)} names: for the gateway, and "
            "where this is asked",
        )


def _secrets(name: str, found: Examined) -> str:
    """The words of a channel's section that can give it its credentials."""
    channel = found.channels.get(name)
    provider = PROVIDERS.get(channel.translated or "") if channel is not None else None
    ways = provider.credentials if provider is not None else (("api_key",),)
    words = (" and ".join(f"channels.{name}.{word}" for word in way) for way in ways)
    return ", or ".join(words)


@check("channels")
def translator(found: Examined) -> Iterator[Told]:
    """litellm, where channels are translated and have their keys."""
    names = [name for name, channel in found.channels.items() if channel.translated]
    wanted = [name for name in names if name not in found.keyless]
    if wanted and not found.translator:
        yield error(
            ", ".join(f"channel {name}" for name in wanted),
            "litellm is not installed where translate.python says, so nothing is sent there",
            "run make translate, or say in translate.python where its interpreter is",
        )


@check("channels")
def encryption(found: Examined) -> Iterator[Told]:
    """Servers of your own over plain http, on another machine."""
    for name, channel in found.channels.items():
        url = urlsplit(channel.base_url or "")
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            yield info(
                f"channel {name}",
                "prompts go there over plain http",
                "use https where others can listen on the way",
            )


@check("channels")
def private(found: Examined) -> Iterator[Told]:
    """Cloud channels whose name may lead into your own network (`allow_private`)."""
    for name, channel in found.channels.items():
        if channel.allow_private and channel.locality == "cloud":
            yield info(
                f"channel {name}",
                "allow_private: its name may lead to an address of your own network, where whoever "
                "answers for the name chooses which",
                "take it out where no private endpoint of the vendor stands behind it",
            )


@check("channels")
def egress(found: Examined) -> Iterator[Told]:
    """Which hosts would be dialled as things stand: no others need to be let out."""
    hosts = {
        f"{one.proxy or one.authority} ({one.subject}{f' to {one.authority}' if one.proxy else ''})"
        for one in found.dialled
    }
    if hosts:
        yield info(
            "egress",
            f"would be dialled when they are needed, and no others: {', '.join(sorted(hosts))}",
            "let only these out of this machine; gateway doctor --connect tries each",
        )


@check("channels")
def proxies(found: Examined) -> Iterator[Told]:
    """Variables for proxies, which are ignored; names behind a proxy, with `offline: true`."""
    if found.ignored and found.settings.upstream.proxy is None:
        yield warning(
            ", ".join(found.ignored),
            "set for this process, and ignored: channels are dialled without a proxy",
            "say upstream.proxy (or channels.NAME.proxy) where they are to go through one",
        )
    for one in found.dialled:
        if one.proxy and found.routes.offline and not one.literal:
            yield error(
                one.subject,
                f"where {one.host} leads is not known behind a proxy, so offline: true forbids it",
                "write its address out, or say proxy: direct",
            )


@check("channels")
def connect(found: Examined) -> Iterator[Told]:
    """With `--connect` only: hosts that a connection (TCP, and TLS where it is spoken) could not be
    made to, and those that it could. Nothing is asked of them, and policy is asked first.
    """
    reached = sorted({one.authority for one in found.dialled if one.failure == ""})
    if reached:
        yield info(
            "egress",
            f"reached: {', '.join(reached)}",
            "nothing: whether they take the key is seen with the first request",
        )
    for one in found.dialled:
        if one.failure:
            yield error(
                one.subject,
                f"{one.authority} was not reached: {one.failure}",
                "look at names, routes, firewalls and proxies between; its targets are passed over "
                "until it is there",
            )


CHECKS = (credentials, translator, encryption, private, egress, proxies, connect)
