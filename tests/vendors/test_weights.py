"""What a GGUF file says of its makers, whatever it is called."""

from __future__ import annotations

import pytest

from gateway.config.shipped import load_catalog
from gateway.vendors.weights import makers

CATALOG = load_catalog()
CASES: list[tuple[dict[str, object], dict[str, str]]] = [
    ({"general.basename": "SmolLM2"}, {"huggingface": "general.basename"}),
    ({"general.name": "Qwen2.5 7B Instruct"}, {"alibaba": "general.name"}),
    (
        {"general.name": "DeepSeek R1 Distill Llama 8B", "general.organization": "Deepseek Ai"},
        {"deepseek": "general.name", "meta": "general.name"},
    ),
    (
        {
            "general.name": "Our Helper",
            "general.organization": "acme",
            "general.base_model.0.name": "Llama 3.1 8B Instruct",
            "general.base_model.0.organization": "Meta Llama",
            "general.base_model.1.name": "Qwen2.5-7B",
        },
        {"meta": "general.base_model.0.name", "alibaba": "general.base_model.1.name"},
    ),
    ({"general.name": "model", "general.organization": "TheBloke"}, {}),
    ({"general.name": 7, "general.organization": ["openai"]}, {}),
    ({}, {}),
]


@pytest.mark.parametrize(("metadata", "expected"), CASES)
def test_makers_are_told_by_the_files_own_words(
    metadata: dict[str, object], expected: dict[str, str]
) -> None:
    """Families by name, organisations that train models, and every base model."""
    assert makers(metadata, CATALOG) == expected
