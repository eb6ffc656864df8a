"""Who is behind a target: every trap of the specification as a case."""

from __future__ import annotations

import pytest

from gateway.config.catalog import load_catalog
from gateway.domain.identity import (
    UNKNOWN,
    ChannelFacts,
    Deployment,
    Identity,
    Locality,
    Role,
)
from gateway.vendors.catalog import Catalog
from gateway.vendors.resolve import local_identity, resolve


def identify(target: str, **facts: object) -> Identity:
    """The identity behind ``channel/model``, with the channel's vendor by its name."""
    catalog = load_catalog()
    name, _, model = target.partition("/")
    vendor = catalog.canonical(name) or UNKNOWN
    channel = ChannelFacts(name=name, vendor=vendor, kind="openai", provider=name)
    for key, value in facts.items():
        object.__setattr__(channel, key, value)
    return resolve(model, channel, catalog)


CASES = [
    # target, channel, developer, canonical model, lineage
    ("openai/gpt-4o", "openai", "openai", "gpt-4o", ()),
    ("openai/gpt-4o-2024-08-06", "openai", "openai", "gpt-4o", ()),
    ("openai/chatgpt-4o-latest", "openai", "openai", "chatgpt-4o", ()),
    ("openai/ft:gpt-4o-mini-2024-07-18:acme::abc", "openai", "openai", "gpt-4o-mini", ()),
    ("openai/gpt4all", "openai", UNKNOWN, "gpt4all", ()),
    ("anthropic/claude-sonnet-4-5-20250929", "anthropic", "anthropic", "claude-sonnet-4-5", ()),
    (
        "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon",
        "anthropic",
        "claude-sonnet-4-5",
        (),
    ),
    (
        "bedrock/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "amazon",
        "anthropic",
        "claude-sonnet-4-5",
        (),
    ),
    ("bedrock/us-gov.meta.llama3-1-8b-instruct-v1:0", "amazon", "meta", "llama3-1-8b-instruct", ()),
    ("bedrock/arn:aws:bedrock:us-east-1:1:provisioned-model/ab", "amazon", UNKNOWN, "ab", ()),
    (
        "vertex/publishers/anthropic/models/claude-sonnet-4-5@20250929",
        "google",
        "anthropic",
        "claude-sonnet-4-5",
        (),
    ),
    ("fireworks/accounts/fireworks/models/qwen3-32b", "fireworks", "alibaba", "qwen3-32b", ()),
    ("openrouter/openai/gpt-4o", "openrouter", "openai", "gpt-4o", ()),
    (
        "openrouter/anthropic/claude-sonnet-4.5:free",
        "openrouter",
        "anthropic",
        "claude-sonnet-4.5",
        (),
    ),
    ("openrouter/openrouter/auto", "openrouter", UNKNOWN, "auto", ()),
    ("openrouter/auto", "openrouter", UNKNOWN, "auto", ()),
    ("mistral/zai-glm-4.6", "mistral", "zai", "zai-glm-4.6", ()),
    ("dashscope/kimi-k2-thinking", "alibaba", "moonshot", "kimi-k2-thinking", ()),
    (
        "nvidia/nvidia/Llama-3.1-Nemotron-70B-Instruct",
        "nvidia",
        "nvidia",
        "llama-3.1-nemotron-70b-instruct",
        ("meta",),
    ),
    (
        "groq/DeepSeek-R1-Distill-Llama-70B",
        "groq",
        "deepseek",
        "deepseek-r1-distill-llama-70b",
        ("meta",),
    ),
    (
        "together/deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
        "together",
        "deepseek",
        "deepseek-r1-distill-qwen-14b",
        ("alibaba",),
    ),
    ("together/MiniMaxAI/MiniMax-M2", "together", "minimax", "minimax-m2", ()),
    ("xai/grok-4", "xai", "xai", "grok-4", ()),
    ("cohere/command-r-plus", "cohere", "cohere", "command-r-plus", ()),
    ("cohere/take-command-r", "cohere", UNKNOWN, "take-command-r", ()),
    ("azure/prod-chat", "microsoft", UNKNOWN, "prod-chat", ()),
    ("nobody/gpt-4o", UNKNOWN, "openai", "gpt-4o", ()),
]


@pytest.mark.parametrize(("target", "channel", "developer", "model", "lineage"), CASES)
def test_an_id_resolves_to_who_is_behind_it(
    target: str, channel: str, developer: str, model: str, lineage: tuple[str, ...]
) -> None:
    """Channel, developer, canonical name and lineage are those of the table."""
    found = identify(target)
    assert (found.channel, found.developer, found.model, found.lineage) == (
        channel,
        developer,
        model,
        lineage,
    )


def test_a_deployment_says_what_the_id_does_not() -> None:
    """An Azure deployment's developer comes from the configuration, and the source says so."""
    found = identify("azure/prod-chat", deployments={"prod-chat": Deployment("openai", "gpt-4o")})
    assert (found.channel, found.developer, found.model) == ("microsoft", "openai", "gpt-4o")
    assert found.source == "deployment prod-chat of channel azure"


@pytest.mark.parametrize("tag", ["gpt-oss:120b-cloud", "gpt-oss:cloud", "qwen3:cloud-480b"])
def test_an_ollama_tag_that_forwards_off_site_is_cloud(tag: str) -> None:
    """A sovereign endpoint's model with a cloud tag leaves the boundary."""
    inside = {"locality": Locality.SOVEREIGN, "vendor": "self", "provider": "ollama"}
    found = identify(f"ollama/{tag}", **inside)
    assert found.locality is Locality.CLOUD
    assert found.channel == "ollama"
    assert identify("ollama/gpt-oss:120b", **inside).locality is Locality.SOVEREIGN


def test_weights_on_our_own_hardware_are_no_channel_of_their_maker() -> None:
    """The developer of a local model stands in the role weights, the channel is ourselves."""
    found = local_identity(
        "smollm2",
        developer="huggingface",
        model="smollm2-135m-instruct",
        lineage=("meta",),
        catalog=load_catalog(),
        source="models/x.yaml",
    )
    roles = [(party.role, party.vendor) for party in found.parties]
    assert roles == [
        (Role.CHANNEL, "self"),
        (Role.WEIGHTS, "huggingface"),
        (Role.LINEAGE, "meta"),
    ]


def test_jurisdictions_are_those_of_the_vendor_and_its_parents() -> None:
    """A parent's home counts too."""
    data = {
        "version": "1",
        "vendor": [
            _row("child", "FR", ["parent"]),
            _row("parent", "CN", []),
        ],
        "family": [],
        "derived": [],
    }
    assert Catalog.from_mapping(data).jurisdictions("child") == {"FR", "CN"}


def test_the_shipped_catalog_has_a_source_and_a_date_on_every_row() -> None:
    """At least forty vendors, each with its source."""
    catalog = load_catalog()
    vendors = [catalog.vendor(id_) for id_ in catalog.ids if id_ != "self"]
    assert len(vendors) >= 40
    assert all(v and v.source.startswith("https://") and v.retrieved.year >= 2026 for v in vendors)


def test_a_catalog_that_names_a_stranger_is_refused() -> None:
    """A family's developer must have a row of its own."""
    data = {
        "version": "1",
        "vendor": [_row("a", "US", [])],
        "family": [{"tokens": ["x"], "developer": "b"}],
        "derived": [],
    }
    with pytest.raises(ValueError, match="without a row"):
        Catalog.from_mapping(data)


def _row(id_: str, home: str, parents: list[str]) -> dict[str, object]:
    return {
        "id": id_,
        "name": id_,
        "aliases": [],
        "home": home,
        "parents": parents,
        "source": "https://example.org",
        "retrieved": "2026-01-01",
    }
