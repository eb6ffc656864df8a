"""What the console's forms send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from pydantic import ValidationError

from gateway.domain.identity import Role
from gateway.errors import InvalidRequest
from gateway.http.console.words import web_address
from gateway.http.drills import LONGEST, DrillAsked

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


@dataclass(frozen=True, slots=True)
class DrillWanted:
    """A drill as somebody wrote it: ``share`` is in percent, of what apps ask; ``synthetic`` is of
    requests of the gateway's own.
    """

    vendor: str
    reason: str = ""
    minutes: str = "5"
    share: str = "10"
    synthetic: bool = False
    strict: bool = False

    @classmethod
    def of(cls, form: Form) -> DrillWanted:
        return cls(
            vendor=form.one("vendor"),
            reason=form.one("reason"),
            minutes=form.one("minutes"),
            share=form.one("share"),
            synthetic=form.one("of") == "own",
            strict=form.one("strict") == "yes",
        )

    def asked(self) -> DrillAsked:
        """Raises ``InvalidRequest`` where something of it cannot be."""
        if not self.reason:
            raise InvalidRequest("A drill needs a reason: it stands in the audit log.")
        minutes = _number(self.minutes, LONGEST, f"Minutes: expected up to {LONGEST}, as 5.")
        part = dict[str, float](rate=1.0)
        if not self.synthetic:
            part = {"share": _number(self.share, 100, "Share: expected up to 100 %, as 10.") / 100}
        try:
            return DrillAsked(
                vendor=self.vendor,
                reason=" ".join(self.reason.split()),
                minutes=minutes,
                strict=self.strict,
                **part,
            )
        except ValidationError:
            raise InvalidRequest("The reason is to be words, and no signs of control.") from None


def _number(text: str, most: float, problem: str) -> float:
    """Above 0, with a point or a comma. Raises ``InvalidRequest``."""
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        raise InvalidRequest(problem) from None
    if not 0 < number <= most:
        raise InvalidRequest(problem)
    return number
