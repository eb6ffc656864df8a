"""Who is behind a target: every trap of the specification as a case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.shipped import load_catalog
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

CATALOG = load_catalog()


def identify(target: str, **facts: object) -> Identity:
    """The identity behind ``channel/model``, with the channel's vendor by its name."""
    catalog = CATALOG
    name, _, model = target.partition("/")
    vendor = catalog.canonical(name) or UNKNOWN
    channel = ChannelFacts(name=name, vendor=vendor, kind="openai", provider=name)
    for key, value in facts.items():
        object.__setattr__(channel, key, value)
    return resolve(model, channel, catalog)


CLAUDE_HAIKU = ("amazon", "anthropic", "claude-3-haiku", ())
CLAUDE_37 = ("openrouter", "anthropic", "claude-3-7-sonnet", ())
CLAUDE_45 = ("openrouter", "anthropic", "claude-sonnet-4-5", ())
MISTRAL = ("mistral",)
NEMOGUARD = ("together", "nvidia", "llama-3.1-nemoguard-8b", ("meta",))
LLAMA_33 = ("meta", "llama-3.3-70b-instruct", ())
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
    (
        "bedrock/us-gov.meta.llama3-1-8b-instruct-v1:0",
        "amazon",
        "meta",
        "llama-3.1-8b-instruct",
        (),
    ),
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
        "claude-sonnet-4-5",
        (),
    ),
    ("openrouter/openrouter/auto", "openrouter", UNKNOWN, "auto", ()),
    ("openrouter/auto", "openrouter", UNKNOWN, "auto", ()),
    ("mistral/zai-glm-4.6", "mistral", "zai", "glm-4.6", ()),
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
    # Bedrock
    ("bedrock/anthropic.claude-opus-4-6-v1", "amazon", "anthropic", "claude-opus-4-6", ()),
    ("bedrock/us.deepseek.r1-v1:0", "amazon", "deepseek", "deepseek-r1", ()),
    ("bedrock/openai.gpt-oss-120b-1:0", "amazon", "openai", "gpt-oss-120b", ()),
    ("bedrock/amazon.nova-pro-v1:0:300k", "amazon", "amazon", "nova-pro", ()),
    ("bedrock/US.ANTHROPIC.CLAUDE-3-HAIKU-20240307-V1:0", *CLAUDE_HAIKU),
    ("bedrock/converse/us.anthropic.claude-3-haiku-20240307-v1:0", *CLAUDE_HAIKU),
    ("bedrock/us-east-1/anthropic.claude-3-haiku-20240307-v1:0", *CLAUDE_HAIKU),
    ("bedrock/claude-3-haiku-20240307", *CLAUDE_HAIKU),
    (
        "bedrock/arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-3-haiku-v1:0",
        "amazon",
        UNKNOWN,
        "anthropic.claude-3-haiku-v1:0",
        (),
    ),
    (
        "bedrock/arn:aws:bedrock:us-east-1:1:application-inference-profile/claude",
        "amazon",
        UNKNOWN,
        "claude",
        (),
    ),
    ("bedrock/us.acme.claude-3", "amazon", UNKNOWN, "claude-3", ("anthropic",)),
    ("bedrock/claude_platform/claude-3-haiku-20240307", *CLAUDE_HAIKU),
    ("bedrock/in.moonshotai.kimi-k3", "amazon", "moonshot", "kimi-k3", ()),
    ("sagemaker/claude-3-haiku", "amazon", UNKNOWN, "claude-3-haiku", ()),
    ("fireworks/accounts/fireworks/models/qwen2p5-7b", "fireworks", "alibaba", "qwen2p5-7b", ()),
    ("groq/deepseek-r1-7b-qwen", "groq", "deepseek", "deepseek-r1-7b-qwen", ("alibaba",)),
    # a version is no date: these are different models
    ("dashscope/deepseek-v3", "alibaba", "deepseek", "deepseek-v3", ()),
    ("nvidia/nvidia/nemotron-nano-9b-v2", "nvidia", "nvidia", "nemotron-nano-9b-v2", ()),
    # one name through every channel
    ("openrouter/anthropic/claude-3.7-sonnet:thinking", *CLAUDE_37),
    ("openrouter/~anthropic/claude-4.5-sonnet", *CLAUDE_45),
    ("sambanova/Meta-Llama-3.3-70B-Instruct", "sambanova", *LLAMA_33),
    ("fireworks/accounts/fireworks/models/llama-v3p3-70b-instruct", "fireworks", *LLAMA_33),
    ("vertex/meta/llama-3.3-70b-instruct-maas", "google", *LLAMA_33),
    ("huggingface/meta-llama/Llama-3.3-70B-Instruct:groq", "huggingface", *LLAMA_33),
    ("databricks/databricks-meta-llama-3-3-70b-instruct", "databricks", *LLAMA_33),
    ("openai/gpt-3.5-turbo-0125", "openai", "openai", "gpt-3.5-turbo", ()),
    ("mistral/labs-devstral-small-2512", "mistral", "mistral", "labs-devstral-small", ()),
    ("cohere/command-r-08-2024", "cohere", "cohere", "command-r", ()),
    ("cohere/command", "cohere", "cohere", "command", ()),
    ("groq/command-center", "groq", UNKNOWN, "command-center", ()),
    # what somebody else deployed, trained or routes to
    ("fireworks/accounts/acme/models/llama-mine", "fireworks", UNKNOWN, "llama-mine", ()),
    ("fireworks/accounts/acme/deployedModels/claude", "fireworks", UNKNOWN, "claude", ()),
    ("vertex/projects/p/locations/us/endpoints/42", "google", UNKNOWN, "42", ()),
    ("together/acme/llama-3-8b-x", "together", UNKNOWN, "llama-3-8b-x", ("meta",)),
    ("perplexity/sonar-pro", "perplexity", UNKNOWN, "sonar-pro", ()),
    ("perplexity/claude-opus-4-1", "perplexity", UNKNOWN, "claude-opus-4-1", ()),
    ("openrouter/perplexity/sonar", "openrouter", UNKNOWN, "sonar", ()),
    ("openrouter/switchpoint/router", "openrouter", UNKNOWN, "router", ()),
    # derived
    ("openrouter/microsoft/mai-ds-r1", "openrouter", "microsoft", "mai-ds-r1", ("deepseek",)),
    (
        "together/DeepSeek-R1-0528-Qwen3-8B",
        "together",
        "deepseek",
        "deepseek-r1-0528-qwen3-8b",
        ("alibaba",),
    ),
    (
        "deepinfra/NousResearch/Hermes-3-Llama-3.1-405B",
        "deepinfra",
        "nous",
        "hermes-3-llama-3.1-405b",
        ("meta",),
    ),
    ("together/bartowski/Qwen2.5-7B", "together", "alibaba", "qwen2.5-7b", ()),
    ("together/nvidia/Llama-3.1-NemoGuard-8B", *NEMOGUARD),
    ("groq/llama3-groq-70b", "groq", "groq", "llama-3-groq-70b", ("meta",)),
    ("hf/HuggingFaceH4/zephyr-7b-beta", "huggingface", "huggingface", "zephyr-7b-beta", MISTRAL),
    # a known maker's own tuning of another's model: whose it is, no name says
    ("together/microsoft/llama-3-8b-x", "together", UNKNOWN, "llama-3-8b-x", ("meta",)),
    # a derivative's words in the midst of a stranger's name tell nothing
    ("groq/acme-llama-nemotron", "groq", UNKNOWN, "acme-llama-nemotron", ()),
    # one word, several makers
    ("together/EleutherAI/gpt-neox-20b", "together", "eleutherai", "gpt-neox-20b", ()),
    ("groq/gpt-j-6b", "groq", "eleutherai", "gpt-j-6b", ()),
    ("groq/gpt-sw3-20b", "groq", UNKNOWN, "gpt-sw3-20b", ()),
    ("nobody/nova-2", UNKNOWN, UNKNOWN, "nova-2", ()),
    ("bedrock/us.amazon.nova-2-lite-v1:0", "amazon", "amazon", "nova-2-lite", ()),
    # a cloud that trains nothing says nothing by standing before a name
    ("groq/groq/compound", "groq", UNKNOWN, "compound", ()),
    ("bedrock/twelvelabs.pegasus-1-2-v1:0", "amazon", "twelvelabs", "pegasus-1-2", ()),
    # one name through every channel, older spellings
    ("bedrock/anthropic.claude-v2:1:200k", "amazon", "anthropic", "claude-2-1", ()),
    ("bedrock/anthropic.claude-v2", "amazon", "anthropic", "claude-2", ()),
    ("openrouter/anthropic/claude-2.1", "openrouter", "anthropic", "claude-2-1", ()),
    ("bedrock/eu.mistral.pixtral-large-2502-v1:0", "amazon", "mistral", "pixtral-large", ()),
    ("replicate/meta/meta-llama-3-8b:ab12", "replicate", "meta", "llama-3-8b", ()),
    ("openai/ft:", "openai", UNKNOWN, "", ()),
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
    arn = "arn:aws:bedrock:us-east-1:1:application-inference-profile/ab"
    claude = Deployment("anthropic", "claude-3-haiku")
    behind = identify(f"bedrock/{arn}", deployments={arn: claude})
    assert (behind.channel, behind.developer) == ("amazon", "anthropic")
    found = identify("azure/prod-chat", deployments={"prod-chat": Deployment("openai", "gpt-4o")})
    assert (found.channel, found.developer, found.model) == ("microsoft", "openai", "gpt-4o")
    assert found.source == "deployment prod-chat of channel azure"


@pytest.mark.parametrize(
    "tag", ["gpt-oss:120b-cloud", "gpt-oss:cloud", "qwen3:cloud-480b", "GPT-OSS:1b-CLOUD"]
)
def test_an_ollama_tag_that_forwards_off_site_is_cloud(tag: str) -> None:
    """A sovereign endpoint's model with a cloud tag leaves the boundary."""
    inside = {"locality": Locality.SOVEREIGN, "vendor": "self", "provider": "ollama"}
    found = identify(f"ollama/{tag}", **inside)
    assert found.locality is Locality.CLOUD
    assert found.channel == "ollama"
    assert identify("ollama/gpt-oss:120b", **inside).locality is Locality.SOVEREIGN


def test_an_azure_id_is_a_deployments_name_whoever_the_channels_vendor_is() -> None:
    """The grammar is the provider's: a deployment called gpt-4o may be anything."""
    assert identify("openai/gpt-4o", provider="azure").developer == UNKNOWN


def test_the_serving_region_is_a_jurisdiction_of_the_channel() -> None:
    """A region in the id or the configuration counts; one that is no country adds none."""
    model = "anthropic.claude-3-haiku-20240307-v1:0"
    arn = f"bedrock/arn:aws:bedrock:eu-west-1::foundation-model/{model}"
    assert identify(arn).jurisdiction == ("IE", "US")
    assert identify(f"bedrock/jp.{model}").jurisdiction == ("JP", "US")
    assert identify(f"bedrock/apac.{model}").jurisdiction == ("US",)
    vertex = "vertex/projects/p/locations/europe-west4/publishers/anthropic/models/claude-opus-4"
    assert identify(vertex).jurisdiction == ("NL", "US")
    found = identify("openai/gpt-4o", region="ca-central-1")
    assert [sorted(party.jurisdictions) for party in found.parties] == [["CA", "US"], ["US"]]


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
        "kind": ["developer"],
        "source": "https://example.org",
        "retrieved": "2026-01-01",
    }


def test_case_and_a_date_change_nobody_behind_an_id() -> None:
    """However it is written, an id is of the same developer and has the same canonical name."""
    for target in ("anthropic/claude-opus-4-1", "openai/gpt-4o", "xai/grok-4", "google/gemini-2.5"):
        plain = identify(target)
        channel, _, model = target.partition("/")
        for written in (model.upper(), f"{model}-20250805", f"{model}-latest"):
            found = identify(f"{channel}/{written}")
            assert (found.developer, found.model) == (plain.developer, plain.model)


@given(text=st.text(max_size=60))
def test_any_text_resolves_and_none_to_a_stranger(text: str) -> None:
    """An id is of a vendor of the catalog or unknown; nothing that is sent can raise."""
    for provider in ("bedrock", "azure", "vertex", "openrouter", "ollama", "fireworks", "openai"):
        found = resolve(text, ChannelFacts("c", "openai", "openai", provider=provider), CATALOG)
        assert found.developer == UNKNOWN or CATALOG.vendor(found.developer) is not None


@given(
    word=st.sampled_from(["claude", "llama", "gpt", "command-r"]), before=st.text("xyz", min_size=1)
)
def test_a_word_in_a_name_is_no_family(word: str, before: str) -> None:
    """Only whole tokens at the start of a name tell a developer."""
    assert identify(f"groq/{before}{word}-1").developer == UNKNOWN
    assert identify(f"groq/{before}-{word}-1").developer == UNKNOWN


def test_bad_catalogs_are_refused() -> None:
    """Two rows of one id, a missing key and a reserved word are each named."""
    row = _row("a", "US", [])
    empty: dict[str, object] = {"version": "1", "family": [], "derived": []}
    with pytest.raises(ValueError, match="two rows of a"):
        Catalog.from_mapping({**empty, "vendor": [row, row]})
    with pytest.raises(ValueError, match="'vendor'"):
        Catalog.from_mapping(empty)
    with pytest.raises(ValueError, match="one word for two vendors: \\['a'\\]"):
        Catalog.from_mapping({**empty, "vendor": [row, {**_row("b", "US", []), "aliases": ["a"]}]})
    with pytest.raises(ValueError, match="no country's code: \\['a'\\]"):
        Catalog.from_mapping({**empty, "vendor": [_row("a", "usa", [])]})
    with pytest.raises(ValueError, match="none of its own: \\['a'\\]"):
        Catalog.from_mapping({**empty, "vendor": [{**row, "kind": ["bank"]}]})
    families = [{"tokens": [], "developer": "a"}]
    with pytest.raises(ValueError, match="a family without tokens"):
        Catalog.from_mapping({**empty, "vendor": [row], "family": families})
    with pytest.raises(ValueError, match="may not name 'self'"):
        Catalog.from_mapping({**empty, "vendor": [_row("self", "US", [])]})


def test_words_are_known_by_alias_and_mistyped_ones_have_a_neighbour() -> None:
    """`bedrock` is amazon; `antropic` is near anthropic; nonsense is nothing."""
    assert (CATALOG.canonical("Bedrock"), CATALOG.canonical("x")) == ("amazon", None)
    assert (CATALOG.nearest("antropic"), CATALOG.nearest("qqqqqq")) == ("anthropic", None)
