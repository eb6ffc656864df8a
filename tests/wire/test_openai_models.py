"""Lists of models, in the shape of each server that writes them."""

from __future__ import annotations

import json

import pytest

from gateway.wire.openai_models import MOST_MODELS, MOST_NAME, ModelList, read_models
from tests.simulators.model_lists import list_body

SHAPES = ("vllm", "ollama", "llama-server", "llama-router", "lm-studio", "tgi")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_servers_list_is_read(shape: str) -> None:
    """The names, in the server's order."""
    found = read_models(list_body(shape, ("qwen3-32b", "llama3.2:latest")))
    assert [name for name in found.names if "alias" not in name] == ["qwen3-32b", "llama3.2:latest"]
    assert not found.any_name


@pytest.mark.parametrize("shape", SHAPES)
def test_who_looks_at_the_name_of_a_request_is_told_apart(shape: str) -> None:
    """llama-server with one model and TGI answer to any name; the others do not."""
    found = read_models(list_body(shape, ("../models/qwen3.gguf",)))
    assert found.any_name == (shape in ("llama-server", "tgi"))
    assert found.has("another") == found.any_name


def test_a_server_without_models_has_none() -> None:
    """Ollama writes ``null`` then, and nothing is served by any name."""
    for body in (list_body("ollama", ()), list_body("vllm", ())):
        assert read_models(body) == ModelList(())
        assert not read_models(body).has("qwen3")


def test_ollamas_newest_tag_is_no_tag() -> None:
    """Either side may leave it out; any other tag is another model."""
    found = read_models(list_body("ollama", ("llama3.2:latest", "qwen3", "phi4:14b")))
    for name in ("llama3.2", "llama3.2:latest", "qwen3", "qwen3:latest", "phi4:14b"):
        assert found.has(name), name
    for name in ("phi4", "phi4:latest", "llama3.2:1b", "llama3"):
        assert not found.has(name), name


def test_aliases_are_names() -> None:
    """llama-server answers to them."""
    row = {"id": "a.gguf", "aliases": ["qwen3", 3], "owned_by": "llamacpp", "status": {}}
    assert read_models(json.dumps({"data": [row]}).encode()).names == ("a.gguf", "qwen3")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"{}",
        b'{"error": "Unexpected endpoint or method."}',
        b'{"data": {"id": "m"}}',
        b'{"data": [{"name": "m"}]}',
        b'{"data": [{"id": 3}]}',
        b'{"data": [{"id": "\xff"}]}',
        b'{"data": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_list_is_an_error(body: bytes) -> None:
    """And nothing is read into it."""
    with pytest.raises(ValueError, match="not a list of models"):
        read_models(body)


def test_names_have_bounds() -> None:
    """A name ends up on a terminal: nothing that cannot be printed, and not any number of them."""
    names = ["ok", "", "\x1b[2J", "a\nb", "x" * (MOST_NAME + 1), "ok"]
    many = [*names, *(f"m{n}" for n in range(MOST_MODELS * 2))]
    found = read_models(list_body("vllm", tuple(many)))
    assert found.names[:2] == ("ok", "m0")
    assert len(found.names) == MOST_MODELS
