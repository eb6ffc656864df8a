"""The section ``channels`` of ``gateway.yaml``: endpoints that requests can be sent to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.addresses import base_address, is_loopback
from gateway.config.apis import RESPONSES, USUAL, Apis
from gateway.config.proxying import DIRECT, ProxySection
from gateway.config.schema import Closed, Flag, Text
from gateway.config.secrets import Secret
from gateway.config.sections import Name
from gateway.config.tls import TlsSection
from gateway.domain.identity import ChannelFacts, Deployment, Locality
from gateway.domain.providers import PROVIDERS

LOCAL = "local"
"""The channel of our own GGUF models; no configured channel may have this name."""

KINDS = ("anthropic", "litellm", "openai")
"""The APIs that a channel can have; ``litellm`` is any that ``provider`` names."""


def _not_local(value: str) -> str:
    if value == LOCAL:
        raise PydanticCustomError(
            "reserved", "the channel name 'local' is reserved for GGUF models"
        )
    return value


def _kind(value: object) -> object:
    if value not in KINDS:
        raise PydanticCustomError("kind", f"expected one of the kinds {', '.join(KINDS)}")
    return value


def _several(value: object) -> object:
    """A key that stands by itself is a list of one."""
    if value is None:
        return ()
    return value if isinstance(value, (list, tuple)) else (value,)


Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_several)]
ChannelName = Annotated[Name, AfterValidator(_not_local)]


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
