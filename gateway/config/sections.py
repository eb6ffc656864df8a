"""The smaller sections of ``gateway.yaml``: a closed schema, one class a section."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.cors import CorsSection
from gateway.config.proxying import ProxySection
from gateway.config.schema import Closed, Flag, Number, Text, Whole

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")


def _name(value: str) -> str:
    if not _NAME.match(value):
        raise PydanticCustomError(
            "name",
            "expected a name of a-z, 0-9, '.', '_' and '-' that begins with a letter or digit",
        )
    return value


Name = Annotated[str, AfterValidator(_name)]
Seconds = Annotated[Number, Field(gt=0, le=86400)]


class ServerSection(Closed):
    """Where to listen, and what one request may take. ``deadline`` is in seconds, end to end.
    Without ``cors`` no web page of another origin may call.
    """

    host: Text = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65535)] = 8080
    workers: Annotated[Whole, Field(ge=1, le=256)] = 1
    max_body_mb: Annotated[Number, Field(gt=0, le=1024)] = 20
    deadline: Seconds = 600
    cors: CorsSection | None = None


def _weighed(value: object) -> object:
    """A list of targets with a weight of 1 for each."""
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        return dict.fromkeys(value, 1)
    if not isinstance(value, dict):
        raise PydanticCustomError(
            "group", "expected a list of targets, or a mapping of targets to their weights"
        )
    return value


class GroupSection(Closed):
    """Targets that are as good as each other, with their weights; ``by`` is how one is chosen."""

    any: Annotated[
        Mapping[Text, Annotated[Number, Field(gt=0, le=1_000_000)]],
        Field(min_length=1),
        BeforeValidator(_weighed),
    ]
    by: Literal["weight", "least_busy"] = "weight"


def _alone(value: object) -> object:
    """A target that stands by itself is a group of one."""
    if not isinstance(value, (str, dict, GroupSection)):
        raise PydanticCustomError(
            "target", "expected a target as <channel>/<model id>, or a group of them under any:"
        )
    return {"any": [value]} if isinstance(value, str) else value


class ModelSection(Closed):
    """What an app may ask for: its targets in order, as ``<channel>/<model id>``, or groups of
    them. ``continuation`` lets another target go on with an answer that broke off. ``equivalent``
    are those of the targets whose vectors are of one space, so that one may answer for another.
    """

    targets: Annotated[
        tuple[Annotated[GroupSection, BeforeValidator(_alone)], ...], Field(min_length=1)
    ]
    risky_last_resort: Flag = False
    continuation: Flag = True
    equivalent: tuple[Text, ...] = ()


class UpstreamSection(ProxySection):
    """The proxy for all channels, and how long to wait for a target, in seconds.
    ``first_token_timeout`` is for streams; ``answer_timeout`` for plain answers, which begin when
    they are complete. Every ``health_interval`` a sovereign channel's server is asked whether it is
    there.
    """

    connect_timeout: Seconds = 5
    first_token_timeout: Seconds = 30
    answer_timeout: Seconds = 120
    idle_timeout: Seconds = 30
    health_interval: Seconds = 10


class ResponsesSection(Closed):
    """Whether answers of the Responses API are kept for those that follow them, for how many
    seconds after the last of a conversation, and in how much of the disk.
    """

    keep: Flag = True
    expire_after: Annotated[Number, Field(gt=0, le=3650 * 86400)] = 30 * 86400
    max_mb: Annotated[Number, Field(ge=1, le=1_000_000)] = 1024


class TranslateSection(Closed):
    """``python`` is the interpreter of the virtual environment that has litellm."""

    python: Path


class StateSection(Closed):
    """Where the gateway keeps what must outlive it."""

    dir: Path


class PolicySection(Closed):
    """Where the policy's files are, and those of the designations that its rules refer to. With
    ``require_signature`` only what one of ``public_keys`` signed comes into force: it stands here
    and not in the policy, where whoever can write a policy could take it away. A key is written
    out, or as ``file:PATH``.
    """

    dir: Path
    designations: Path
    require_signature: Flag = False
    public_keys: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _with_keys(self) -> Self:
        if self.require_signature and not self.public_keys:
            raise PydanticCustomError(
                "public_keys",
                "require_signature needs at least one of public_keys",
                {"hint": "gateway policy keygen --out FILE makes a pair"},
            )
        return self
