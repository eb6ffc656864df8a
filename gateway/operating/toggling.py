"""Banning and unbanning: the toggle is written, and all serving processes are waited for. What the
API does and, where none runs or none can, a command.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial

from gateway.access.operators import Actor
from gateway.audit.happening import Happening
from gateway.config.presence import Presence
from gateway.config.signing import Signer
from gateway.config.toggles import Toggles
from gateway.domain.identity import Role
from gateway.errors import DocumentError, Refused, SignatureError
from gateway.http.seen import Toggled
from gateway.inventory import Inventory, policy_sources
from gateway.operating.parts import process_state
from gateway.policy.compile import Policy

CONFIRM_WITHIN = 5.0
"""Seconds to wait for every serving process to take the new policy."""
LOOK_EVERY = 0.02


class Toggling:
    """``serving`` tells the serving processes, ``recorded`` takes what happened. All blocks."""

    def __init__(
        self,
        inventory: Inventory,
        serving: Callable[[], Sequence[Presence]],
        recorded: Callable[[Happening], None],
        signer: Signer | None = None,
    ) -> None:
        self.toggles = Toggles(
            policy_sources(inventory.settings), inventory.catalog, inventory.policy_loader(), signer
        )
        self._serving = serving
        self._recorded = recorded

    def ban(
        self,
        vendor: str,
        *,
        reason: str,
        authority: str | None,
        reference: str | None,
        until: datetime | None,
        roles: Sequence[Role],
        actor: Actor,
        now: datetime,
    ) -> Toggled:
        """Raises as ``Toggles.ban`` does, but ``Refused`` for a policy that would not load."""
        done = partial(
            self.toggles.ban,
            vendor,
            reason=reason,
            authority=authority,
            reference=reference,
            until=until,
            roles=list(roles),
            now=now,
        )
        toggled = self._confirmed(done, vendor, banned=True)
        more = {
            "authority": authority,
            "reference": reference,
            "until": until.isoformat() if until is not None else None,
            "roles": ",".join(roles) or None,
        }
        detail = {name: value for name, value in more.items() if value is not None}
        self._record("vendor.banned", toggled, actor, now, reason, detail)
        return toggled

    def unban(self, vendor: str, *, actor: Actor, now: datetime) -> Toggled:
        """As ``ban``."""
        toggled = self._confirmed(partial(self.toggles.unban, vendor), vendor, banned=False)
        self._record("vendor.unbanned", toggled, actor, now, "", {})
        return toggled

    def _confirmed(self, change: Callable[[], Policy], vendor: str, *, banned: bool) -> Toggled:
        """Change, and wait until every serving process has the new revision in force."""
        with as_refusals():
            revision = change().revision
        began = time.monotonic()
        while True:
            serving = self._serving()
            waiting = [one for one in serving if one.revision != revision]
            seconds = time.monotonic() - began
            if not waiting or seconds > CONFIRM_WITHIN:
                return Toggled(
                    vendor=vendor,
                    banned=banned,
                    revision=revision,
                    seconds=seconds,
                    processes=len(serving),
                    waiting=[process_state(one) for one in waiting],
                )
            time.sleep(LOOK_EVERY)

    def _record(
        self,
        event: str,
        toggled: Toggled,
        actor: Actor,
        now: datetime,
        reason: str,
        detail: dict[str, str],
    ) -> None:
        self._recorded(
            Happening(
                event,
                now,
                actor=actor.name,
                subject=toggled.vendor,
                reason=reason,
                detail={"revision": toggled.revision, **detail},
            )
        )


@contextmanager
def as_refusals() -> Iterator[None]:
    """A policy that would not load, or would not be signed, is no defect of the gateway."""
    try:
        yield
    except (DocumentError, SignatureError) as error:
        raise Refused(error.message, code=error.code) from None
