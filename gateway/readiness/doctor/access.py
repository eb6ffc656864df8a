"""Who may ask, and who may operate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from gateway.access.keys import Key
from gateway.access.operators import OperatorRole
from gateway.config.addresses import is_loopback
from gateway.readiness.doctor.examined import SOON, Examined
from gateway.readiness.doctor.finding import Told, check, error, info, warning


@check("access")
def keys(found: Examined) -> Iterator[Told]:
    """Keys that cannot be read; a gateway that listens for other machines and has no key."""
    if found.admitted.unread:
        yield error(
            str(found.settings.state.dir),
            found.admitted.unread,
            "nobody is answered before this is mended",
        )
        return
    host = found.settings.server.host
    if _good(found.admitted.keys, found.now, operators=False) or found.settings.access.oidc:
        return
    if not is_loopback(host):
        yield warning(
            f"server.host {host}",
            "there is no key that is good: programs of this machine are answered without one, and "
            "all others get a 401",
            "gateway keys create NAME makes the first, or name an issuer in access.oidc",
        )


@check("access")
def expiring(found: Examined) -> Iterator[Told]:
    """Keys of apps that expire within 14 days, without a successor, or that have expired."""
    now = found.now
    apps = [key for key in found.admitted.keys if key.role is None and key.revoked is None]
    past = [key for key in apps if key.expires is not None and key.expires <= now]
    if past:
        yield info(
            ", ".join(_named(past)),
            "expired: whoever still shows one gets a 401",
            "gateway keys revoke ID takes it off the list of those that matter",
        )
    for key in _ending(apps, now):
        if key.heir is None:
            yield warning(
                f"key {key.id} ({key.name})",
                f"it expires on {key.expires:%Y-%m-%d}",
                f"gateway keys rotate {key.id} makes its successor; tell the app's owner",
            )


@check("access")
def operators(found: Examined) -> Iterator[Told]:
    """No operator at all, or no admin; operators' keys that expire within 14 days."""
    if found.admitted.unread:
        return
    good = _good(found.admitted.keys, found.now, operators=True)
    if not good:
        yield info(
            "operators",
            "there is none: only who can read this machine's credential can ban, here",
            "gateway operators create NAME --role admin, for whoever is on call",
        )
    elif not any(key.role is OperatorRole.ADMIN for key in good):
        yield info(
            "operators",
            "none is an admin: keys can be made on this machine only",
            "gateway operators create NAME --role admin",
        )
    for key in _ending(good, found.now):
        if key.heir is None:
            yield warning(
                f"operator {key.name}",
                f"its key {key.id} expires on {key.expires:%Y-%m-%d}",
                "gateway operators create NAME makes another before the day when it counts",
            )


@check("access")
def console(found: Examined) -> Iterator[Told]:
    """An operators' port for other machines without https in front of it."""
    admin = found.settings.admin
    if admin.port is not None and not is_loopback(admin.host) and not admin.https:
        yield warning(
            f"admin.host {admin.host}",
            "operators reach it from other machines over plain http: their keys cross the network "
            "as they are",
            "put something that speaks https in front of it, and say admin.https: true",
        )


def _good(keys: Iterable[Key], now: datetime, *, operators: bool) -> list[Key]:
    return [key for key in keys if (key.role is not None) is operators and key.good(now)]


def _ending(keys: Iterable[Key], now: datetime) -> Iterator[Key]:
    for key in keys:
        if key.expires is not None and now < key.expires <= now + SOON:
            yield key


def _named(keys: Iterable[Key]) -> Iterator[str]:
    for key in keys:
        yield f"key {key.id} ({key.name})"


CHECKS = (keys, expiring, operators, console)
