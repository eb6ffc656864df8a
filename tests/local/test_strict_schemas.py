"""A short form of ``tests.local.strict_schemas``."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from gateway.local.llama import LlamaModel
from gateway.local.protocol import Reason
from tests.local.strict_schemas import SLOTS, answers, check, schemas


def test_what_a_strict_schema_gives_is_valid_or_says_that_it_was_cut(gguf: Path) -> None:
    """By the word of another library; most come to their end."""
    drawn = schemas(16, 2)
    model = LlamaModel(gguf, context=512, slots=SLOTS, threads=2, gpu_layers=0)
    whole = 0
    for number, reason, text in answers(model, drawn, 2):
        if reason is Reason.STOP:
            check(drawn[number], text)
            whole += 1
    model.close()
    assert whole > len(drawn) // 2


def test_the_check_can_fail() -> None:
    """It knows a wrong type, a wrong date and what is no JSON."""
    schema = {
        "type": "object",
        "properties": {"when": {"format": "date"}, "n": {"type": "integer"}},
    }
    check(schema, '{"when": "2026-03-05"}')
    for text in ('{"when": "2026-13-05"}', '{"n": "x"}'):
        with pytest.raises(jsonschema.ValidationError):
            check(schema, text)
    with pytest.raises(json.JSONDecodeError):
        check(schema, "{")
