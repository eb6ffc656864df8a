"""A vendor off and on again by what the whole configuration says: where no gateway runs, or it is
not plain which one does, and where the policy is signed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from gateway.cli.asking import Remote
from gateway.cli.remote import local_actor, record, running_gateway
from gateway.cli.settled import settings_in_force
from gateway.config.presence import serving
from gateway.config.signing import Signer
from gateway.domain.identity import Role
from gateway.http.seen import Toggled
from gateway.inventory import Inventory
from gateway.operating.toggling import Toggling


class Here:
    """What the files say. ``key`` signs the policy, where it must be signed."""

    def __init__(self, config: Path, policy_dir: Path | None, key: Path | None) -> None:
        self._settings = settings_in_force(config, policy_dir)
        self._key = key

    @property
    def policy(self) -> Path:
        return self._settings.policy.dir

    def remote(self) -> Remote | None:
        """The gateway that runs on them. Raises ``StateError`` where that is not ours to know."""
        return running_gateway(self._settings)

    def ban(
        self,
        vendor: str,
        *,
        reason: str,
        authority: str | None,
        reference: str | None,
        until: datetime | None,
        roles: tuple[Role, ...],
    ) -> Toggled:
        return self._toggling().ban(
            vendor,
            reason=reason,
            authority=authority,
            reference=reference,
            until=until,
            roles=roles,
            actor=local_actor(),
            now=datetime.now(UTC),
        )

    def unban(self, vendor: str) -> Toggled:
        return self._toggling().unban(vendor, actor=local_actor(), now=datetime.now(UTC))

    def _toggling(self) -> Toggling:
        settings = self._settings
        signer = Signer(self._key) if self._key is not None else None
        there = partial(serving, settings)
        return Toggling(Inventory(settings), there, record(settings), signer)
