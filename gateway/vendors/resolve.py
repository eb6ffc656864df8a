"""Who is behind a target: a pure function of its id, its channel's configuration and the catalog.

What cannot be told is ``unknown``: never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gateway.domain.identity import (
    SELF,
    UNKNOWN,
    ChannelFacts,
    Identity,
    Locality,
    Party,
    Role,
)
from gateway.vendors import grammar
from gateway.vendors.catalog import Catalog

_OPERATORS_NAMES = frozenset({"sagemaker", "sagemaker_chat"})
"""Where an id is the name of an endpoint that the operator made up."""
_AZURE_CATALOGUE = "azure_ai"
"""Azure AI's models have the names of its published catalogue; Azure OpenAI's are deployments."""


def resolve(model_id: str, channel: ChannelFacts, catalog: Catalog) -> Identity:
    """The identity of ``model_id`` as that channel serves it."""
    locality = _locality(model_id, channel)
    deployment = channel.deployments.get(model_id)
    if deployment is not None:
        return _identity(
            channel=_operator(channel, locality),
            developer=deployment.developer,
            model=deployment.model,
            lineage=deployment.lineage,
            locality=locality,
            catalog=catalog,
            region=channel.region,
            source=f"deployment {model_id} of channel {channel.name}",
        )
    provider = catalog.canonical(channel.provider or "") or channel.provider or channel.vendor
    parsed = grammar.parse(model_id, provider)
    if not parsed.opaque:
        parsed = replace(parsed, name=_unprefixed(parsed.name, provider, catalog))
    developer, lineage, source = _developer(parsed, channel, provider, catalog)
    return _identity(
        channel=_operator(channel, locality),
        developer=developer,
        model=parsed.name,
        lineage=lineage,
        locality=locality,
        catalog=catalog,
        region=parsed.region or channel.region,
        source=source,
    )


def local_identity(
    name: str,
    *,
    developer: str,
    model: str,
    lineage: tuple[str, ...],
    catalog: Catalog,
    source: str,
) -> Identity:
    """The identity of a GGUF model in our own process, as its manifest states it."""
    return _identity(
        channel=SELF,
        developer=developer,
        model=model or name,
        lineage=lineage,
        locality=Locality.LOCAL,
        catalog=catalog,
        region=None,
        source=source,
    )


def _locality(model_id: str, channel: ChannelFacts) -> Locality:
    return Locality.CLOUD if grammar.is_cloud_tag(model_id) else channel.locality


def _operator(channel: ChannelFacts, locality: Locality) -> str:
    """Who receives the prompt: ourselves, unless it leaves our boundary."""
    if locality is not Locality.CLOUD:
        return SELF
    if channel.vendor != SELF:
        return channel.vendor
    # A server of our own that forwards off site: only Ollama's cloud tags are known to say so.
    return "ollama"


def _developer(
    parsed: grammar.ModelId, channel: ChannelFacts, provider: str, catalog: Catalog
) -> tuple[str, tuple[str, ...], str]:
    """Developer, lineage and where that is written."""
    where = f"catalog {catalog.version}"
    written = (channel.provider or "").lower()
    deployed = "microsoft" in (channel.vendor, provider) and written != _AZURE_CATALOGUE
    if parsed.opaque or deployed or written in _OPERATORS_NAMES:
        return UNKNOWN, (), f"{where}: the id says nothing of the developer"
    family = catalog.family(grammar.tokens(parsed.name))
    publisher = catalog.canonical(parsed.publisher) if parsed.publisher else None
    trained = publisher is not None and catalog.trains(publisher)
    wraps = "perplexity" in (channel.vendor, provider) and parsed.publisher is None
    if wraps or publisher == "perplexity":
        return UNKNOWN, (), f"{where}: a wrapper says nothing of the developer"
    if parsed.publisher and publisher is None and not catalog.repacks(parsed.publisher):
        # Somebody's fine-tune may bear the name of what it derives from.
        derived = (family.developer, *family.lineage) if family is not None else ()
        return UNKNOWN, derived, f"{where}: the publisher {parsed.publisher} is not known"
    if family is not None and publisher not in (None, family.developer) and trained:
        # The maker of the base, or of what was made of it? A row of the catalog can say.
        derived = (family.developer, *family.lineage)
        return UNKNOWN, derived, f"{where}: {publisher} may have trained it further"
    if family is not None:
        return family.developer, family.lineage, f"{where}: family {' '.join(family.tokens)}"
    if publisher is not None and trained:
        return publisher, (), f"{where}: publisher {parsed.publisher}"
    return UNKNOWN, (), f"{where}: no family and no publisher is known"


def _unprefixed(name: str, provider: str, catalog: Catalog) -> str:
    """The name without the channel's or the developer's own word before it, as in
    ``databricks-claude-…`` and ``zai-glm-…``.
    """
    word, rest = grammar.cut(name)
    vendor = catalog.canonical(word)
    family = catalog.family(grammar.tokens(rest)) if vendor is not None else None
    if family is None or vendor not in (provider, family.developer):
        return name
    return _unprefixed(grammar.canonical(rest), provider, catalog)


def _identity(
    *,
    channel: str,
    developer: str,
    model: str,
    lineage: tuple[str, ...],
    locality: Locality,
    catalog: Catalog,
    region: str | None,
    source: str,
) -> Identity:
    maker = Role.DEVELOPER if locality is Locality.CLOUD else Role.WEIGHTS
    roles = [(Role.CHANNEL, channel), (maker, developer)]
    roles += [(Role.LINEAGE, vendor) for vendor in lineage]
    return Identity(
        channel=channel,
        developer=developer,
        model=model,
        lineage=lineage,
        locality=locality,
        parties=tuple(_parties(roles, catalog, region)),
        region=region,
        source=source,
    )


def _parties(
    roles: Iterable[tuple[Role, str]], catalog: Catalog, region: str | None
) -> Iterable[Party]:
    served = catalog.served_in(region) if region else frozenset()
    for role, vendor in roles:
        homes = catalog.jurisdictions(vendor)
        yield Party(role, vendor, homes | served if role is Role.CHANNEL else homes)
