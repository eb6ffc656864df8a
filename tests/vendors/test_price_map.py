"""Every id that litellm's map knows: no wrong developer, and what is unknown is counted."""

from __future__ import annotations

import re
import string
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.shipped import load_catalog
from gateway.domain.identity import UNKNOWN, ChannelFacts
from gateway.vendors.resolve import resolve
from tests.vendors.price_map import Row, report, rows

GOLDEN = Path(__file__).parent / "golden" / "identities.tsv"
PAGE = Path(__file__).parents[2] / "docs" / "vendor-resolver.md"
CATALOG = load_catalog()


def facts(channel: str) -> ChannelFacts:
    return ChannelFacts(channel, CATALOG.canonical(channel) or UNKNOWN, "openai", provider=channel)


@pytest.fixture(scope="module")
def found() -> list[Row]:
    return rows()


def test_every_claude_id_is_anthropics_through_whatever_channel(found: list[Row]) -> None:
    """By the ids' own words, whatever the catalog says."""
    claude = [row for row in found if "claude" in row.id.lower()]
    others = {row.id: row.identity.developer for row in claude}
    assert {id: who for id, who in others.items() if who != "anthropic"} == {}
    assert len(claude) > 400
    assert len({row.provider for row in claude}) > 15


def test_ids_that_were_checked_by_hand_resolve_as_they_did(found: list[Row]) -> None:
    """Developer, lineage and canonical name, of ids of every family of the catalog that is met."""
    written = GOLDEN.read_text().splitlines()
    assert len(written) == 300
    by_id = {row.id: row for row in found}
    assert [by_id[line.partition("\t")[0]].golden for line in written] == written


def test_what_is_unknown_is_little_and_listed(found: list[Row]) -> None:
    """Deployments, routers and wrappers apart, which say nothing whatever a catalog knows."""
    chat = [row for row in found if row.mode == "chat"]
    telling = [row for row in chat if not row.by_nature]
    unknown = [row for row in telling if row.unknown]
    assert len(unknown) / len(telling) < 0.05
    mute = Counter(row.provider for row in chat if row.by_nature)
    assert set(mute) <= {
        *("azure", "perplexity", "fireworks_ai", "amazon_nova", "vercel_ai_gateway", "sagemaker")
    }


def test_the_page_of_the_docs_is_up_to_date() -> None:
    """`make docs` writes it anew."""
    assert PAGE.read_text() == report()


def test_one_model_has_one_name_through_every_channel() -> None:
    """Prefixes, regions, dates, versions and suffixes are a channel's affair."""
    same = {
        "claude-sonnet-4-5": [
            ("anthropic", "claude-sonnet-4-5-20250929"),
            ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("bedrock", "us-gov-west-1/anthropic.claude-sonnet-4-5-20250929-v1:0"),
            ("vertex_ai", "claude-sonnet-4-5@20250929"),
            ("vertex_ai", "publishers/anthropic/models/claude-sonnet-4-5@20250929"),
            ("databricks", "databricks-claude-sonnet-4-5"),
            ("snowflake", "claude-sonnet-4-5"),
            ("openrouter", "anthropic/claude-sonnet-4.5"),
            ("vercel_ai_gateway", "anthropic/claude-sonnet-4.5"),
            ("replicate", "anthropic/claude-4.5-sonnet"),
            ("github_copilot", "claude-sonnet-4.5"),
            ("perplexity", "anthropic/claude-sonnet-4-5"),
            ("azure_ai", "claude-sonnet-4-5"),
        ],
        "gpt-4o": [
            ("openai", "gpt-4o"),
            ("openai", "gpt-4o-2024-08-06"),
            ("openai", "ft:gpt-4o-2024-08-06:acme::id"),
            ("openrouter", "openai/gpt-4o"),
            ("openrouter", "openai/gpt-4o:extended"),
            ("vercel_ai_gateway", "openai/gpt-4o"),
            ("github_copilot", "gpt-4o"),
            ("replicate", "openai/gpt-4o"),
        ],
        "llama-3.3-70b-instruct": [
            ("bedrock", "us.meta.llama3-3-70b-instruct-v1:0"),
            ("databricks", "databricks-meta-llama-3-3-70b-instruct"),
            ("vertex_ai", "meta/llama-3.3-70b-instruct-maas"),
            ("fireworks_ai", "accounts/fireworks/models/llama-v3p3-70b-instruct"),
            ("deepinfra", "meta-llama/Llama-3.3-70B-Instruct"),
            ("openrouter", "meta-llama/llama-3.3-70b-instruct:free"),
        ],
    }
    for name, ids in same.items():
        for channel, id in ids:
            assert resolve(id, facts(channel), CATALOG).model == name, (channel, id)


CHANNELS = ("openai", "anthropic", "bedrock", "openrouter", "vertex_ai", "ollama", "huggingface")


@given(st.text(max_size=60), st.sampled_from(CHANNELS))
def test_any_text_resolves_to_something(id: str, channel: str) -> None:
    """It never raises, and whoever it finds is a vendor of the catalog."""
    identity = resolve(id, facts(channel), CATALOG)
    assert identity.developer == UNKNOWN or CATALOG.vendor(identity.developer) is not None


WORDS = sorted({family.tokens[0] for family in CATALOG.families if len(family.tokens[0]) > 3})


@given(
    st.sampled_from(WORDS),
    st.text(string.ascii_lowercase, min_size=1, max_size=4),
    st.text(string.ascii_lowercase, min_size=1, max_size=4),
)
def test_no_developer_is_found_by_a_part_of_a_word(word: str, before: str, after: str) -> None:
    """``xclaudey-7b`` is nobody's: a family is told by whole words."""
    glued = f"{before}{word}{after}"
    if any(glued.startswith(other) for other in WORDS):
        return
    identity = resolve(f"{glued}-7b-chat", facts("openrouter"), CATALOG)
    assert identity.developer == UNKNOWN, identity.source


@given(
    st.sampled_from([line.split("\t")[0] for line in GOLDEN.read_text().splitlines()]),
    st.booleans(),
)
def test_case_says_nothing(id: str, upper: bool) -> None:
    """A model's name written otherwise is the same developer's and the same model."""
    path, slash, name = id.rpartition("/")
    written = f"{path}{slash}{name.upper() if upper else name.lower()}"
    one, other = (resolve(text, facts("openrouter"), CATALOG) for text in (id, written))
    assert (one.developer, one.model) == (other.developer, other.model)


BARE = ("anthropic.claude-sonnet-4-5", "meta.llama3-3-70b-instruct", "amazon.nova-pro")


@given(
    st.sampled_from(BARE),
    st.sampled_from(("", "us.", "eu.", "apac.", "global.", "us-gov.", "jp.", "au.")),
    st.sampled_from(("", "-v1:0", "-v2:0")),
    st.sampled_from(("", "us-east-1/", "eu-west-3/")),
)
def test_regions_and_versions_change_neither_developer_nor_model(
    id: str, profile: str, version: str, region: str
) -> None:
    """Of Bedrock's ids: only where it is served."""
    plain = resolve(id, facts("bedrock"), CATALOG)
    dressed = resolve(f"{region}{profile}{id}{version}", facts("bedrock"), CATALOG)
    assert (dressed.developer, dressed.model) == (plain.developer, plain.model)
    assert not re.search(r"\bv\d", dressed.model)
