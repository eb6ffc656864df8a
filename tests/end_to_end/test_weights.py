"""A manifest may not say otherwise than the file who made the weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.background import Background
from gateway.config.settings import load_settings
from gateway.errors import ModelFileError
from gateway.inventory import Inventory
from gateway.local.supervisor import Supervisor
from tests.end_to_end.running import ROOT

MANIFEST = "smollm2-135m-instruct.yaml"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A configuration with manifests of its own, of the real file."""
    (tmp_path / "models").mkdir()
    shutil.copy(ROOT / "models" / MANIFEST, tmp_path / "models")
    (tmp_path / "gateway.yaml").write_text(
        "local:\n  manifests: models\n"
        "  models: {tiny: {manifest: smollm2-135m-instruct, context: 2048}}\n"
    )
    return tmp_path


async def check(folder: Path, **written: str) -> None:
    path = folder / "models" / MANIFEST
    text = path.read_text()
    for old, new in written.items():
        text = text.replace(old, new)
    path.write_text(text)
    found = Inventory(load_settings(folder / "gateway.yaml", {}, {}))
    (model,) = found.local.values()
    supervisor = Supervisor(
        [model], folder / "run", folder / "state", Background(), accept=found.check_weights
    )
    await supervisor.start()
    await supervisor.stop()


async def test_the_shipped_manifest_agrees_with_its_file(inventory: Path) -> None:
    await check(inventory)


async def test_another_developer_than_the_files_own_is_refused(inventory: Path) -> None:
    """Else a ban on that vendor's weights would not find them."""
    with pytest.raises(ModelFileError) as caught:
        await check(inventory, huggingface="mistral")
    assert caught.value.message == (
        "local model tiny: the file SmolLM2-135M-Instruct.Q4_1.gguf says 'smollm2' in "
        "general.basename, which is huggingface's, but its manifest smollm2-135m-instruct names "
        "mistral: correct its developer or lineage"
    )


async def test_whoever_trained_it_further_names_the_maker_as_lineage(inventory: Path) -> None:
    """Then both are judged."""
    path = inventory / "models" / MANIFEST
    path.write_text(path.read_text() + "lineage: [huggingface]\n")
    await check(inventory, **{"developer: huggingface": "developer: mistral"})
