"""The sections of ``gateway.yaml``: a closed schema, one class a section."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.apis import RESPONSES, USUAL, Apis
from gateway.config.cors import CorsSection
from gateway.config.proxying import DIRECT, ProxySection
from gateway.config.schema import Closed, Flag, Number, Text, Whole
from gateway.config.secrets import Secret
from gateway.config.tls import TlsSection
from gateway.domain.identity import ChannelFacts, Deployment, Locality
from gateway.domain.providers import PROVIDERS

LOCAL = "local"
"""The channel of our own GGUF models; no configured channel may have this name."""

KINDS = ("anthropic", "litellm", "openai")
"""The APIs that a channel can have; ``litellm`` is any that ``provider`` names."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")


def _name(value: str) -> str:
    if not _NAME.match(value):
        raise PydanticCustomError(
            "name",
            "expected a name of a-z, 0-9, '.', '_' and '-' that begins with a letter or digit",
        )
    return value


def _channel_name(value: str) -> str:
    if value == LOCAL:
        raise PydanticCustomError(
            "reserved", "the channel name 'local' is reserved for GGUF models"
        )
    return _name(value)


def _kind(value: object) -> object:
    if value not in KINDS:
        raise PydanticCustomError("kind", f"expected one of the kinds {', '.join(KINDS)}")
    return value


def _several(value: object) -> object:
    """A key that stands by itself is a list of one."""
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


def _auto(value: object) -> object:
    return None if value == "auto" else value


Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_several)]
Name = Annotated[str, AfterValidator(_name)]
ChannelName = Annotated[str, AfterValidator(_channel_name)]
Auto = Annotated[Annotated[Whole, Field(ge=0)] | None, BeforeValidator(_auto)]
Context = Annotated[Annotated[Whole, Field(ge=128, le=10_000_000)] | None, BeforeValidator(_auto)]
Slots = Annotated[Annotated[Whole, Field(ge=1, le=1024)] | None, BeforeValidator(_auto)]
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


class DeploymentSection(Closed):
    """What stands behind a name that says nothing itself."""

    developer: Text
    model: Text
    lineage: tuple[Text, ...] = ()


class ChannelSection(ProxySection):
    """One endpoint that requests can be sent to. Of several keys, one is used after the other. Of
    kind ``litellm`` it is of the API that ``provider`` names, whose address need not be said where
    it is known.
    """

    vendor: Text
    kind: Annotated[Literal["anthropic", "litellm", "openai"], BeforeValidator(_kind)]
    base_url: Text | None = None
    api_key: Secrets = ()
    aws_access_key_id: Secret | None = None
    aws_secret_access_key: Secret | None = None
    aws_session_token: Secret | None = None
    service_account: Secret | None = None
    project: Text | None = None
    locality: Literal["cloud", "sovereign"] = "cloud"
    provider: Text | None = None
    region: Text | None = None
    organization: Text | None = None
    deployments: Mapping[Text, DeploymentSection] = Field(default_factory=dict)
    allow_private: Flag = False
    tls: TlsSection | None = None
    apis: Apis = None

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return None if value is None else base_address(value)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.kind != "litellm":
            if self.base_url is None:
                raise PydanticCustomError("base_url", "missing key 'base_url'")
            return self
        provider = PROVIDERS.get(self.provider or "")
        if self.provider is None:
            raise _lacking("provider", "kind litellm needs provider: which API it is")
        if provider is None and self.base_url is None:
            raise _lacking(
                "base_url",
                f"where provider {self.provider!r} is, is not known: base_url must say it",
            )
        if provider is not None and provider.project and self.project is None:
            raise _lacking("project", f"provider {self.provider!r} needs project")
        if provider is not None and provider.regional and self.region is None:
            raise _lacking("region", f"provider {self.provider!r} needs region")
        return self

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        if (
            self.locality == "cloud"
            and self.base_url is not None
            and self.base_url.startswith("http:")
            and not is_loopback(urlsplit(self.base_url).hostname or "")
        ):
            raise PydanticCustomError(
                "plain_http",
                "a cloud channel over plain http would send keys and prompts unencrypted",
                {"hint": "use https, or say locality: sovereign if it is inside your own boundary"},
            )
        return self

    @model_validator(mode="after")
    def _secured(self) -> Self:
        if self.tls is not None and (self.base_url or "").startswith("http:"):
            raise PydanticCustomError("tls", "tls needs a base_url of https://")
        return self

    @model_validator(mode="after")
    def _translated_plainly(self) -> Self:
        if self.kind != "litellm":
            return self
        if self.proxy not in (None, DIRECT):
            raise PydanticCustomError("proxy", "a channel of kind litellm goes through no proxy")
        if self.tls is not None and self.tls.certificate is not None:
            raise PydanticCustomError("tls", "a channel of kind litellm shows no certificate")
        if len(self.api_key) > 1:
            raise PydanticCustomError("api_key", "a channel of kind litellm has one key")
        return self

    @model_validator(mode="after")
    def _of_one_dialect(self) -> Self:
        if self.apis is not None and self.kind != "openai":
            raise PydanticCustomError("apis", "only a channel of kind openai can say apis")
        return self

    @property
    def has(self) -> tuple[str, ...]:
        """The APIs of the OpenAI dialect that its server has, beside chat completions."""
        if self.kind != "openai":
            return ()
        if self.apis is not None:
            return self.apis
        return (*USUAL, RESPONSES) if self.vendor == "openai" else USUAL

    @property
    def needs_key(self) -> bool:
        """A cloud channel without its key is left out of every plan."""
        return self.locality == "cloud" or self.kind == "litellm"

    @property
    def translated(self) -> str | None:
        """litellm's word for the channel's API, where it is not the OpenAI dialect."""
        return {"anthropic": "anthropic", "litellm": self.provider}.get(self.kind)

    def facts(self, name: str) -> ChannelFacts:
        """What resolving must know of this channel."""
        deployments = {
            word: Deployment(entry.developer, entry.model, entry.lineage)
            for word, entry in self.deployments.items()
        }
        return ChannelFacts(
            name=name,
            vendor=self.vendor,
            kind=self.kind,
            locality=Locality(self.locality),
            provider=self.provider,
            region=self.region,
            deployments=deployments,
        )


def _lacking(type: Literal["provider", "base_url", "project", "region"], message: str) -> Exception:
    return PydanticCustomError(
        type, "{message}", {"message": message, "hint": f"known: {', '.join(PROVIDERS)}"}
    )


def base_address(value: str) -> str:
    """The address without a slash at its end; what it may not hold is never repeated."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise PydanticCustomError("base_url", "expected a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise PydanticCustomError("base_url", "expected an http:// or https:// URL")
    if parts.username is not None or parts.password is not None:
        raise PydanticCustomError(
            "secret_literal",
            "credentials in a URL are not allowed: use ${NAME}",
        )
    if parts.query or parts.fragment or value.endswith(("?", "#")):
        raise PydanticCustomError("secret_literal", "expected a URL without a query or fragment")
    if re.search(r"[\x00-\x20\x7f-\U0010ffff\\]", value):
        raise PydanticCustomError("base_url", "expected a URL in ASCII without blanks")
    return value.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine by its very text, without a look-up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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


class LocalModelSection(Closed):
    """One GGUF model: a manifest and its limits. ``None`` means auto: context and slots by what
    memory there is, all layers that fit, all threads. ``batch`` tokens go through in one step,
    ``ubatch`` of them in one computation.
    """

    manifest: Name
    context: Context = 4096
    slots: Slots = 8
    batch: Annotated[Whole, Field(ge=64, le=65536)] = 512
    ubatch: Annotated[Whole, Field(ge=32, le=65536)] = 512
    queue: Annotated[Whole, Field(ge=0, le=100_000)] = 64
    gpu_layers: Auto = None
    threads: Annotated[Auto, Field()] = None
    preload: Flag = True

    @field_validator("threads")
    @classmethod
    def _some_thread(cls, value: int | None) -> int | None:
        if value == 0:
            raise PydanticCustomError("threads", "expected auto or a whole number of at least 1")
        return value

    @model_validator(mode="after")
    def _one_step_is_enough(self) -> Self:
        if self.ubatch > self.batch:
            raise PydanticCustomError("ubatch", "ubatch may not be more than batch")
        if self.slots is not None and self.slots > self.batch:
            raise PydanticCustomError(
                "slots", "slots may not be more than batch: each step has a token of every answer"
            )
        return self


_Gigabytes = Annotated[float, Field(gt=0)]


class LocalSection(Closed):
    """The models of our own processes; ``manifests`` is the folder of their manifests.
    ``memory_gb`` is what all of them together may need; one without ``preload`` is unloaded when
    another needs the room, or after ``idle_unload`` seconds without work. ``None`` means no limit,
    and never. ``gpu_memory_gb`` is the same for the memory of each device, or of those that it
    names; otherwise all of it.
    """

    manifests: Path
    memory_gb: _Gigabytes | None = None
    gpu_memory_gb: _Gigabytes | Mapping[Text, _Gigabytes] | None = None
    idle_unload: Seconds | None = None
    models: Mapping[Name, LocalModelSection] = Field(default_factory=dict)


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
