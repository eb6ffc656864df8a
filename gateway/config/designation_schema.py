"""The schema of one file of designations, as ``spec/policy.md`` has them. Facts, no decisions."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from gateway.config.policy_schema import Moment, StatusWord, Words
from gateway.config.schema import Closed, Text

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


def _day(value: object) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("day", "expected a date, as 2026-03-05")


def _digest(value: str) -> str:
    if not _SHA256.match(value):
        raise PydanticCustomError("sha256", "expected a sha256: 64 digits of 0-9 and a-f")
    return value


def _address(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = "expected an http:// or https:// URL where the fact can be read"
        raise PydanticCustomError("source_url", message)
    return value


Day: TypeAlias = Annotated[date, BeforeValidator(_day)]
Digest: TypeAlias = Annotated[str, AfterValidator(_digest)]
Address: TypeAlias = Annotated[str, AfterValidator(_address)]


class ChangeSection(Closed):
    """From ``on`` (without a time it is midnight UTC) the designation has this status."""

    on: Moment
    status: StatusWord
    source_url: Address
    note: str = ""


class DesignationSection(Closed):
    """One published fact about one vendor."""

    id: Text
    vendor: Text
    authority: Text
    statute: str = ""
    scope: Words
    status: StatusWord
    announced: Day | None = None
    effective: Day | None = None
    phase_out_until: Day | None = None
    source_url: Address
    retrieved: Day
    sha256: Digest | None = None
    note: str = ""
    history: Annotated[tuple[ChangeSection, ...] | None, Field(min_length=1)] = None


class DesignationFile(Closed):
    """One file of the designations folder."""

    version: Literal[1]
    designations: tuple[DesignationSection, ...]
