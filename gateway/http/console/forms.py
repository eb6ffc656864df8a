"""What the console's forms send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from gateway.domain.identity import Role
from gateway.errors import InvalidRequest
from gateway.http.console.words import web_address

_FIELDS = 40


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of one, each with all its values."""

    values: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, body: bytes) -> Form:
        """Raises ``InvalidRequest`` for what is no form (application/x-www-form-urlencoded)."""
        try:
            return cls(
                parse_qs(
                    body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS
                )
            )
        except ValueError:
            raise InvalidRequest("The form cannot be read: load the page anew.") from None

    def one(self, name: str) -> str:
        """The first value without the blanks around it; empty where there is none."""
        values = self.values.get(name, ())
        return values[0].strip() if values else ""

    def all(self, name: str) -> Sequence[str]:
        return self.values.get(name, ())


@dataclass(frozen=True, slots=True)
class BanAsked:
    """A ban as somebody wrote it, and as it is shown again where something is wrong with it.
    ``seen`` is the revision of the policy that its preview was of.
    """

    vendor: str
    reason: str = ""
    authority: str = ""
    reference: str = ""
    until: str = ""
    roles: tuple[Role, ...] = ()
    seen: str = ""
    accepted: bool = False

    @classmethod
    def of(cls, form: Form) -> BanAsked:
        """Raises ``InvalidRequest`` for a role that is none."""
        try:
            roles = tuple(Role(word) for word in form.all("roles"))
        except ValueError:
            raise InvalidRequest(
                "The form names a role that is none: load the page anew."
            ) from None
        return cls(
            vendor=form.one("vendor"),
            reason=form.one("reason"),
            authority=form.one("authority"),
            reference=form.one("reference"),
            until=form.one("until"),
            roles=roles,
            seen=form.one("seen"),
            accepted=form.one("accept") == "yes",
        )

    def ends(self) -> datetime | None:
        """When it ends, by what was written in UTC. Raises ``InvalidRequest``."""
        if not self.until:
            return None
        try:
            return datetime.fromisoformat(self.until).replace(tzinfo=UTC)
        except ValueError:
            raise InvalidRequest(
                "Until: expected a date and a time, as 2026-12-01T00:00."
            ) from None

    def check(self) -> None:
        """Raises ``InvalidRequest`` where it lacks what a ban needs."""
        if not self.reason:
            raise InvalidRequest("A ban needs a reason: it stands in every decision and record.")
        if not self.roles:
            raise InvalidRequest("Choose at least one role in which the vendor is banned.")
        if self.reference and web_address(self.reference) is None:
            raise InvalidRequest("Reference: expected an address that begins with https://.")
        self.ends()
