"""The issuer whose tokens the configuration trusts, as a serving process has it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.access.issuer import Unread
from gateway.access.oidc import Tokens
from gateway.config.references import contents, referred_by_access
from gateway.config.settings import Settings
from gateway.dialled import issuer_channel
from gateway.upstream.channel import Channel
from gateway.upstream.document import read
from gateway.upstream.fault import AttemptFault
from gateway.upstream.pool import Pool

WITHIN = 10.0
"""Seconds that a look-up of its keys may take."""
MOST = 1 << 20
"""Bytes of a JWKS."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """``channel`` is where its keys are asked for every ``interval`` seconds, ``None`` where they
    are in a file; ``made_of`` tells it from what another configuration makes.
    """

    tokens: Tokens
    channel: Channel | None
    interval: float
    made_of: object

    def after(self, before: Trusted | None) -> Trusted:
        """The one before where it is the same: it knows keys, and good tokens."""
        return before if before is not None and before.made_of == self.made_of else self


def trusted(settings: Settings) -> Trusted | None:
    """Raises ``StateError`` where the file with its keys cannot be used."""
    oidc = settings.access.oidc
    if oidc is None:
        return None
    return Trusted(
        Tokens(oidc.rules(), oidc.keys(settings.folder)),
        issuer_channel(settings),
        float(oidc.refresh),
        (oidc, settings.upstream, contents(referred_by_access(settings))),
    )


async def published(channel: Channel, pool: Pool) -> bytes:
    """The JWKS that an issuer publishes. Raises ``Unread``."""
    try:
        status, body = await read(channel, pool, lambda: True, within=WITHIN, most=MOST)
    except AttemptFault as fault:
        raise Unread(fault.message) from None
    except TimeoutError:
        raise Unread(f"it did not answer within {WITHIN:g} s") from None
    if status != 200:
        raise Unread(f"it answered {status}")
    if body is None:
        raise Unread(f"it is longer than {MOST} bytes")
    return body
