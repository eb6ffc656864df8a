"""The checks whose answer hangs on the machine's memory, with machines of every size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.domain.local_model import LocalModel, Manifest
from gateway.local.files import ModelFiles
from gateway.local.gguf import GgufHeader, read_header
from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.models import engine, memory
from tests.doctor.checkout import Checkout, said
from tests.local.gguf_files import real_model

MANIFEST = Manifest("m", Path("m.gguf"), "0" * 64, "huggingface", "m", "Apache-2.0", 8192)


@pytest.fixture(scope="module")
def header() -> GgufHeader:
    return read_header(real_model())


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Examined:
    return Checkout.made(tmp_path_factory.mktemp("nothing")).examined()


def model(name: str, *, gpu_layers: int | None = None, preload: bool = True) -> LocalModel:
    return LocalModel(name, MANIFEST, 1024, 1, 8, gpu_layers=gpu_layers, preload=preload)


@pytest.fixture
def examined(nothing: Examined, header: GgufHeader) -> Callable[..., Examined]:
    """Models on a machine that has so much ``free``, or ``whole`` where they run already."""

    def made(
        *models: LocalModel, free: int | None, whole: int = 1 << 60, budget: int | None = None
    ) -> Examined:
        machine = replace(nothing.machine, free=free, memory=whole)
        return replace(
            nothing,
            local={model.name: model for model in models},
            files={model.name: ModelFiles(header) for model in models},
            machine=machine,
            budget=budget,
        )

    return made


Made = Callable[..., Examined]


def test_models_that_are_loaded_at_start_must_fit_together(examined: Made) -> None:
    """It is wrong where none of them may go to a device, and a warning where some may."""
    one, two = model("one", gpu_layers=0), model("two", gpu_layers=0)
    size = examined(one, free=0).sizes["one"]
    assert said([*memory(examined(one, two, free=2 * size))]) == []
    short = examined(one, two, free=2 * size - 1)
    assert said([*memory(short)]) == [("error", "local/one, local/two")]
    perhaps = examined(one, model("two"), free=2 * size - 1)
    assert said([*memory(perhaps)]) == [("warning", "local/one, local/two")]


def test_one_that_is_loaded_on_demand_must_fit_beside_them(examined: Made) -> None:
    """Those that are loaded on demand give way to each other."""
    always = model("always", gpu_layers=0)
    rest = [model(name, gpu_layers=0, preload=False) for name in ("a", "b")]
    size = examined(always, free=0).sizes["always"]
    assert said([*memory(examined(always, *rest, free=2 * size))]) == []
    assert said([*memory(examined(always, *rest, free=2 * size - 1))]) == [
        ("error", "local/always, local/a"),
        ("error", "local/always, local/b"),
    ]


def test_the_configured_limit_counts_whatever_is_free(examined: Made) -> None:
    """Also where the models are loaded already, so that what is free says nothing."""
    (finding,) = memory(examined(model("one"), free=None, budget=1 << 20))
    assert (finding.level, finding.subject) == ("error", "local.memory_gb")
    assert list(memory(examined(model("one"), free=None))) == []


def test_while_a_gateway_runs_the_whole_memory_counts(examined: Made) -> None:
    """A container's limit is no more than that."""
    size = examined(model("one"), free=None).sizes["one"]
    (finding,) = memory(examined(model("one", gpu_layers=0), free=None, whole=size - 1))
    assert (finding.level, "there are" in finding.message) == ("error", True)


def test_local_models_without_the_engine_are_wrong(examined: Made) -> None:
    """The packages that are missing are named; without local models none is needed."""
    lacking = replace(examined(model("one"), free=None), missing=("jinja2",))
    (finding,) = engine(lacking)
    assert (finding.level, "jinja2" in finding.message) == ("error", True)
    assert list(engine(replace(lacking, local={}))) == []
