"""``apis:`` of a channel: what its targets can be asked for, and where a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.apis import WORDS, capabilities
from gateway.config.settings import load_settings
from gateway.dialled import channels
from gateway.domain.target import APIS, Capability
from gateway.errors import DocumentError
from gateway.inventory import Inventory

KEY = "    api_key: ${OPENAI_API_KEY}\n"


@pytest.fixture
def config(config: Path) -> Path:
    """The channel alone, and no local model."""
    channel, _, _ = config.read_text().partition("models:")
    config.write_text(f"{channel}models:\n  gpt-4o: {{targets: [openai/gpt-4o]}}\n")
    return config


def said(config: Path, line: str, **changes: str) -> Path:
    """The configuration with a further line of its first channel, which is line 7."""
    text = config.read_text().replace(KEY, f"{KEY}    {line}\n")
    for old, new in changes.items():
        assert old in text
        text = text.replace(f"{old}: openai\n", f"{old}: {new}\n", 1)
    config.write_text(text)
    return config


def lacking(config: Path) -> frozenset[Capability]:
    target = Inventory(load_settings(config, {}, {})).target("openai/gpt-4o")
    return target.lacks(frozenset(Capability))


def test_what_a_channel_has_where_it_does_not_say(config: Path) -> None:
    """All that most servers have; OpenAI's own answers Responses too."""
    assert lacking(config) == {Capability.RERANK}
    assert channels(load_settings(config, {}, {}), {})["openai"].responses
    said(config, "# nothing", vendor="mistral")
    assert lacking(config) == {Capability.RERANK}
    assert not channels(load_settings(config, {}, {}), {})["openai"].responses


def test_what_a_channel_says_is_all_that_it_has(config: Path) -> None:
    said(config, "apis: [embeddings, rerank]")
    assert lacking(config) == APIS - {Capability.EMBEDDINGS, Capability.RERANK}
    assert not channels(load_settings(config, {}, {}), {})["openai"].responses


def test_a_channel_of_chats_alone(config: Path) -> None:
    said(config, "apis: []")
    assert lacking(config) == APIS


def test_a_channel_that_has_all(config: Path) -> None:
    said(config, f"apis: [{', '.join(WORDS)}]")
    assert lacking(config) == frozenset()
    assert capabilities(WORDS) is None
    assert channels(load_settings(config, {}, {}), {})["openai"].responses


def test_a_channel_of_another_dialect_has_none(config: Path) -> None:
    said(config, "# nothing", kind="anthropic")
    assert lacking(config) == APIS


@pytest.mark.parametrize(
    ("line", "kind", "expected"),
    [
        ("apis: [embedding]", "openai", ":7:11: expected a list of APIs"),
        ("apis: audio", "openai", ":7:11: expected a list of APIs"),
        ("apis: [chat]", "openai", "known: completions, embeddings, moderations, audio, images"),
        ("apis: [[audio]]", "openai", ":7:11: expected a list of APIs"),
        ("apis: [audio]", "anthropic", "only a channel of kind openai can say apis"),
    ],
)
def test_mistakes(config: Path, line: str, kind: str, expected: str) -> None:
    said(config, line, kind=kind)
    with pytest.raises(DocumentError, match=r"gateway\.yaml") as caught:
        load_settings(config, {}, {})
    assert expected in str(caught.value)
