"""The schema of one policy file, as ``spec/policy.md`` has it. Names and dates, no meaning."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.schema import Closed, Flag, Text, Whole

VerdictWord: TypeAlias = Literal["allow", "risky", "deny"]
ModeWord: TypeAlias = Literal["enforce", "shadow"]
StatusWord: TypeAlias = Literal["announced", "in_force", "stayed", "enjoined", "vacated", "expired"]
RoleWord: TypeAlias = Literal["channel", "developer", "lineage", "weights"]


def _moment(value: object) -> datetime:
    """ISO 8601; without a time it is midnight, without an offset it is UTC."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    raise PydanticCustomError("moment", "expected a date or a time, as 2026-03-05T00:00:00Z")


def _rule_id(value: object) -> object:
    if value == "default":
        raise PydanticCustomError("reserved", "the rule id 'default' is reserved for the default")
    return value


def _list(value: object) -> object:
    if isinstance(value, str):
        raise PydanticCustomError("list", "expected a list", {"hint": "write it as [a, b]"})
    return value


Moment: TypeAlias = Annotated[datetime, BeforeValidator(_moment)]
RuleId: TypeAlias = Annotated[Text, BeforeValidator(_rule_id)]
Words: TypeAlias = Annotated[tuple[Text, ...], Field(min_length=1), BeforeValidator(_list)]
Country: TypeAlias = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class DesignationMatchSection(Closed):
    """Which published facts: all keys, any word of each; without a status, those in force."""

    id: Words | None = None
    authority: Words | None = None
    scope: Words | None = None
    status: (
        Annotated[tuple[StatusWord, ...], Field(min_length=1), BeforeValidator(_list)] | None
    ) = None


class MatchSection(Closed):
    """What the rule says of a target: all keys of it, any word of each."""

    vendor: Words | None = None
    roles: Annotated[tuple[RoleWord, ...], Field(min_length=1), BeforeValidator(_list)] | None = (
        None
    )
    jurisdiction: (
        Annotated[tuple[Country, ...], Field(min_length=1), BeforeValidator(_list)] | None
    ) = None
    locality: (
        Annotated[
            tuple[Literal["local", "sovereign", "cloud"], ...],
            Field(min_length=1),
            BeforeValidator(_list),
        ]
        | None
    ) = None
    region: Words | None = None
    channel: Words | None = None
    model: Words | None = None
    designation: DesignationMatchSection | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = {name for name, value in self.__dict__.items() if value is not None}
        if not said - {"roles"}:
            raise PydanticCustomError(
                "empty_match",
                "an empty match would be every target",
                {
                    "hint": "name a vendor, jurisdiction, locality, region, channel, model or "
                    "designation"
                },
            )
        return self


class WhenSection(Closed):
    """Who asks: all keys, any word of each."""

    team: Words | None = None
    app: Words | None = None
    environment: Words | None = None
    data_class: Words | None = None
    tags: Words | None = None


class DrainSection(Closed):
    """From when until when a vendor is wound down."""

    start: Annotated[Moment, Field(alias="from")]
    end: Annotated[Moment, Field(alias="until")]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start >= self.end:
            raise PydanticCustomError("order", "expected 'from' before 'until'")
        return self


class RuleSection(Closed):
    """One rule in the general form."""

    id: RuleId
    match: MatchSection
    when: WhenSection | None = None
    verdict: VerdictWord
    handling: Literal["avoid", "warn", "drain"] | None = None
    drain: DrainSection | None = None
    reason: str | None = None
    authority: str | None = None
    reference: str | None = None
    start: Annotated[Moment | None, Field(alias="from")] = None
    end: Annotated[Moment | None, Field(alias="until")] = None
    waivable: Flag = False
    mode: ModeWord | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.handling is not None and self.verdict != "risky":
            raise PydanticCustomError("handling", "handling is only for verdict: risky")
        if (self.handling == "drain") != (self.drain is not None):
            raise PydanticCustomError(
                "drain", "handling: drain and drain: {from, until} go together"
            )
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise PydanticCustomError("order", "expected 'from' before 'until'")
        return self


class WaiverSection(Closed):
    """A signed exception from one rule, for one vendor, for a time."""

    id: Text
    rule: Text
    vendor: Text
    when: WhenSection | None = None
    owner: Text
    approver: Text
    reason: Text
    granted: Moment
    expires: Moment

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.granted >= self.expires:
            raise PydanticCustomError("order", "expected 'granted' before 'expires'")
        return self


class TestRequestSection(Closed):
    """A request of an embedded test. ``model`` is a target's id."""

    model: Text
    team: Text | None = None
    app: Text | None = None
    environment: Text | None = None
    data_class: Text | None = None
    tags: tuple[Text, ...] = ()
    at: Moment | None = None


class TestExpectSection(Closed):
    verdict: VerdictWord
    rule: Text | None = None


class TestSection(Closed):
    """One embedded test."""

    name: Text
    request: TestRequestSection
    expect: TestExpectSection


class PolicyFile(Closed):
    """One file of the policy folder."""

    version: Literal[1]
    mode: ModeWord | None = None
    default: VerdictWord | None = None
    in_flight: Literal["finish", "cut"] | None = None
    max_waiver_days: Annotated[Whole, Field(ge=1, le=3660)] | None = None
    vendors: Mapping[Text, VerdictWord] = Field(default_factory=dict)
    rules: tuple[RuleSection, ...] = ()
    waivers: tuple[WaiverSection, ...] = ()
    tests: tuple[TestSection, ...] = ()
