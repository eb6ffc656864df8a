"""The APIs that are translated: where each of them is, and what must be known to use it.

Sources: the published references of each vendor's API, on its endpoints and on authentication.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.target import Capability

TRANSLATED = frozenset(
    {
        Capability.TOOLS,
        Capability.JSON_SCHEMA,
        Capability.IMAGES,
        Capability.OTHER_IMAGES,
    }
)
"""What can be asked for in every API that is translated."""
_GOOGLE = TRANSLATED | {Capability.JSON_OBJECT, Capability.SEVERAL_CHOICES, Capability.LOGPROBS}
_EMBEDS = frozenset({Capability.EMBEDDINGS})
REGION = "{region}"


@dataclass(frozen=True, slots=True)
class Provider:
    """``api`` is the base URL, with ``{region}`` where it stands; ``also`` are further ones that it
    needs; ``credentials`` are the keys of a channel's configuration of which all must be set, one
    tuple for each way; ``project`` says that one must be named, ``told`` that litellm must be told
    the address. ``capabilities`` are what litellm has words for in this API; an image is never
    fetched from an address here, so only those can have that which pass it on.
    """

    api: str
    credentials: tuple[tuple[str, ...], ...] = (("api_key",),)
    also: tuple[str, ...] = ()
    project: bool = False
    told: bool = False
    capabilities: frozenset[Capability] = TRANSLATED

    @property
    def regional(self) -> bool:
        return REGION in self.api

    def addresses(self, region: str | None) -> tuple[str, ...]:
        """All base URLs for a region."""
        # Vertex AI has no prefix where no region is meant.
        written, instead = (f"{REGION}-", "") if region == "global" else (REGION, region or "")
        return tuple(url.replace(written, instead) for url in (self.api, *self.also))


PROVIDERS: Mapping[str, Provider] = {
    "anthropic": Provider(
        "https://api.anthropic.com", capabilities=TRANSLATED | {Capability.IMAGE_URLS}
    ),
    "bedrock": Provider(
        "https://bedrock-runtime.{region}.amazonaws.com",
        (("aws_access_key_id", "aws_secret_access_key"), ("api_key",)),
        capabilities=TRANSLATED | _EMBEDS,
    ),
    "cohere": Provider("https://api.cohere.com", capabilities=TRANSLATED | _EMBEDS),
    "gemini": Provider("https://generativelanguage.googleapis.com", capabilities=_GOOGLE | _EMBEDS),
    # The token's endpoint stands in the service account itself.
    "vertex_ai": Provider(
        "https://{region}-aiplatform.googleapis.com",
        (("service_account",),),
        project=True,
        capabilities=_GOOGLE,
    ),
    "watsonx": Provider(
        "https://{region}.ml.cloud.ibm.com",
        also=("https://iam.cloud.ibm.com",),
        project=True,
        told=True,
    ),
}


def can(provider: str) -> frozenset[Capability]:
    """What can be asked for in a provider's API, by litellm's word for it; of one that is not known
    here, what can be in all.
    """
    known = PROVIDERS.get(provider)
    return TRANSLATED if known is None else known.capabilities
