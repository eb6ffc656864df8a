"""What the operators' API is asked with."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool

from gateway.access.operators import OperatorRole
from gateway.domain.identity import Role
from gateway.http.operations import Instant, Title

YEAR = 366 * 24 * 3600
Words = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BanAsked(Asked):
    """``roles`` empty: as a channel and as a developer. ``until`` of null: until it is lifted."""

    reason: Words
    authority: Words | None = None
    reference: Words | None = None
    until: Instant | None = None
    roles: list[Role] = Field(default_factory=list)


class UnloadAsked(Asked):
    """With ``cut``, answers that are running break off; without, they are waited for."""

    cut: StrictBool = False


class RotateAsked(Asked):
    """``overlap`` are the seconds for which the key that is replaced is good, still."""

    overlap: Annotated[int, Field(strict=True, ge=0, le=YEAR)] = 24 * 3600


class OperatorAsked(Asked):
    name: Title
    role: OperatorRole
    expires: Instant | None = None


class LoginAsked(Asked):
    """An operator's key, or the credential of this machine."""

    key: Annotated[str, Field(min_length=1, max_length=200)]


class SessionState(BaseModel):
    """Who asks. Of a session there are the ``csrf`` token, and when it ``ends`` unless it is used
    before.
    """

    actor: str
    title: str
    role: OperatorRole
    csrf: str | None
    ends: AwareDatetime | None
