"""The checks whose answer hangs on the machine, with machines of every size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.local_model import LocalModel, Manifest
from gateway.engine.routes import Routes
from gateway.local.files import ModelFiles
from gateway.local.gguf import GgufHeader, read_header
from gateway.readiness.doctor import Examined, Finding, Level, engine, memory
from tests.local.gguf_files import real_model

MANIFEST = Manifest("m", Path("m.gguf"), "0" * 64, "huggingface", "m", "Apache-2.0", 8192)


@pytest.fixture(scope="module")
def header() -> GgufHeader:
    return read_header(real_model())


def examined(header: GgufHeader, *models: LocalModel, **fields: Any) -> Examined:
    found = Examined(
        channels={},
        keyless=frozenset(),
        routes=Routes({}),
        local={model.name: model for model in models},
        files={model.name: ModelFiles(header) for model in models},
        refused={},
    )
    return replace(found, **fields)


def model(name: str, *, gpu_layers: int | None = None, preload: bool = True) -> LocalModel:
    return LocalModel(name, MANIFEST, 1024, 1, 8, gpu_layers=gpu_layers, preload=preload)


def said(findings: list[Finding]) -> list[tuple[Level, str]]:
    return [(finding.level, finding.subject) for finding in findings]


def test_models_that_are_loaded_at_start_must_fit_together(header: GgufHeader) -> None:
    """It is wrong where none of them may go to a device, and a warning where some may."""
    one, two = model("one", gpu_layers=0), model("two", gpu_layers=0)
    size = examined(header, one).sizes["one"]
    assert said(list(memory(examined(header, one, two, free=2 * size)))) == []
    short = examined(header, one, two, free=2 * size - 1)
    assert said(list(memory(short))) == [(Level.ERROR, "local/one, local/two")]
    perhaps = examined(header, one, model("two"), free=2 * size - 1)
    assert said(list(memory(perhaps))) == [(Level.WARNING, "local/one, local/two")]


def test_one_that_is_loaded_on_demand_must_fit_beside_them(header: GgufHeader) -> None:
    """Those that are loaded on demand give way to each other."""
    always = model("always", gpu_layers=0)
    rest = [model(name, gpu_layers=0, preload=False) for name in ("a", "b")]
    size = examined(header, always).sizes["always"]
    assert said(list(memory(examined(header, always, *rest, free=2 * size)))) == []
    short = examined(header, always, *rest, free=2 * size - 1)
    assert said(list(memory(short))) == [
        (Level.ERROR, "local/always, local/a"),
        (Level.ERROR, "local/always, local/b"),
    ]


def test_the_configured_limit_counts_whatever_is_free(header: GgufHeader) -> None:
    """Also where the models are loaded already, so that what is free says nothing."""
    (finding,) = memory(examined(header, model("one"), free=None, budget=1 << 20))
    assert (finding.level, finding.subject) == (Level.ERROR, "local.memory_gb")
    assert list(memory(examined(header, model("one"), free=None))) == []


def test_local_models_without_the_engine_are_wrong(header: GgufHeader) -> None:
    """The packages that are missing are named; without local models none is needed."""
    lacking = replace(examined(header, model("one")), missing=("jinja2",))
    (finding,) = engine(lacking)
    assert (finding.level, "jinja2" in finding.message) == (Level.ERROR, True)
    assert list(engine(replace(lacking, local={}))) == []
