"""What ships loads, with no key and no account."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.manifests import load_manifest, local_manifests, local_model
from gateway.config.settings import load_settings
from gateway.domain.local_model import Pooling, Projector
from gateway.errors import DocumentError, ModelFileError

ROOT = Path(__file__).parents[2]
MANIFEST = """\
id: tiny
file: {path: tiny.gguf}
sha256: b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
developer: huggingface
model: tiny
licence: Apache-2.0
context: 8192
"""


def test_the_shipped_configuration_loads() -> None:
    """Every model ends in the local one, and every key is a reference that may be unset."""
    settings = load_settings(ROOT / "configs" / "gateway.yaml", {}, {})
    assert set(settings.models) == {"gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "*"}
    last = [list(model.targets[-1].any) for model in settings.models.values()]
    assert last == [["local/smollm2"]] * len(last)
    for channel in settings.channels.values():
        assert len(channel.api_key) == 1
        assert channel.api_key[0].resolve({}, settings.folder) is None
    assert settings.policy.dir == ROOT / "configs" / "policies"
    assert settings.local.manifests == ROOT / "models"


def test_the_commented_channels_load_when_uncommented(tmp_path: Path) -> None:
    """An example that does not work is worse than none."""
    text = (ROOT / "configs" / "gateway.yaml").read_text()
    for name in ("azure", "openrouter", "lab"):
        begin = text.index(f"  # {name}:")
        end = text.index("\n\n", begin)
        text = text[:begin] + text[begin:end].replace("  # ", "  ") + text[end:]
    (tmp_path / "gateway.yaml").write_text(text)
    settings = load_settings(tmp_path / "gateway.yaml", {}, {})
    assert set(settings.channels) == {"openai", "anthropic", "azure", "openrouter", "lab"}
    assert not settings.channels["lab"].needs_key


def test_the_shipped_model_is_found_without_importing_its_package() -> None:
    """The package's own import needs what is not installed here."""
    settings = load_settings(ROOT / "configs" / "gateway.yaml", {}, {})
    ((name, manifest),) = local_manifests(settings).items()
    model = local_model(settings, name, manifest, (0, 0))
    assert (model.name, model.context, model.slots, model.queue) == ("smollm2", 4096, 8, 64)
    assert (model.gpu_layers, model.threads, model.preload) == (None, None, True)
    assert model.manifest.path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert model.manifest.licence == "Apache-2.0"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{path: tiny.gguf}", "{path: none.gguf}", "there is no file .*none.gguf: put the GGUF"),
        (
            "{path: tiny.gguf}",
            "{package: not_there, resource: x}",
            "the package not_there is not installed: run make setup",
        ),
        (
            "{path: tiny.gguf}",
            "{package: pydantic, resource: x}",
            "the package pydantic has no file x: reinstall it",
        ),
        (
            "{path: tiny.gguf}",
            "{path: tiny.yaml}\ntemplate: none.jinja",
            "there is no file .*none.jinja: put the chat template there, or leave out `template`",
        ),
    ],
)
def test_a_missing_file_says_what_to_do(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """Package, resource or path: the error names it and the next step."""
    (tmp_path / "tiny.yaml").write_text(MANIFEST.replace(old, new))
    with pytest.raises(ModelFileError, match=expected):
        load_manifest(tmp_path, "tiny")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("id: tiny", "id: other", "1:5: expected 'tiny', the name of the file"),
        ("{path: tiny.gguf}", "{path: a, package: b}", "2:7: expected either package and resource"),
        ("{path: tiny.gguf}", "{package: b, resource: ../x}", "expected a path inside the package"),
        ("b179", "B179", "3:9: "),
        ("huggingface", "huggingfce", "4:12: unknown vendor 'huggingfce'"),
    ],
)
def test_a_wrong_manifest_is_told_with_positions(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    """A manifest is a strict document like all others."""
    (tmp_path / "tiny.yaml").write_text(MANIFEST.replace(old, new))
    with pytest.raises(DocumentError) as caught:
        load_manifest(tmp_path, "tiny")
    assert f"tiny.yaml:{expected}" in caught.value.message or expected in caught.value.message


PROJECTOR = f"projector: {{file: {{path: mmproj.gguf}}, sha256: {'ab' * 32}}}\n"


def test_a_manifest_may_name_a_projector(tmp_path: Path) -> None:
    """Found and pinned as the model's own file is; without one there is none."""
    (tmp_path / "tiny.gguf").touch()
    (tmp_path / "mmproj.gguf").touch()
    (tmp_path / "tiny.yaml").write_text(MANIFEST)
    assert load_manifest(tmp_path, "tiny").projector is None
    (tmp_path / "tiny.yaml").write_text(MANIFEST + PROJECTOR)
    assert load_manifest(tmp_path, "tiny").projector == Projector(
        tmp_path / "mmproj.gguf", "ab" * 32
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{path: mmproj.gguf}", "{path: a, resource: b}", "8:19: expected either package and"),
        ("{path: mmproj.gguf}", "{package: b, resource: /x}", "a path inside the package"),
        (", sha256: ", ", sha: ", "sha256"),
        ("ab" * 32, "ab" * 31, "8:"),
        ("mmproj", "gone", "there is no file"),
    ],
)
def test_a_wrong_projector_is_told(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """By the rules of the model's own file, at its place."""
    (tmp_path / "tiny.gguf").touch()
    (tmp_path / "tiny.yaml").write_text(MANIFEST + PROJECTOR.replace(old, new))
    with pytest.raises((DocumentError, ModelFileError)) as caught:
        load_manifest(tmp_path, "tiny")
    assert expected in caught.value.message


def test_a_manifest_that_is_not_there_gets_the_nearest(tmp_path: Path) -> None:
    """A typing mistake in the configuration finds its way back."""
    (tmp_path / "tiny.yaml").write_text(MANIFEST)
    with pytest.raises(ModelFileError, match=r"no manifest .*tinny\.yaml; did you mean 'tiny'"):
        load_manifest(tmp_path, "tinny")


def test_a_manifest_may_say_how_a_model_pools(tmp_path: Path) -> None:
    """One of three words, and nothing where the file is to say it."""
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    for line, pooling in (("", None), ("pooling: cls\n", Pooling.CLS)):
        (tmp_path / "tiny.yaml").write_text(MANIFEST + line)
        assert load_manifest(tmp_path, "tiny").pooling is pooling
