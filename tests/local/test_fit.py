"""What a model needs, by its header, and what of it fits where."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ModelFileError
from gateway.local.fit import BASE, Needs, largest, needs, place
from gateway.local.gguf import read_header
from gateway.local.projector import read_projector
from tests.local import tiny_bert
from tests.local.gguf_files import small_model
from tests.local.projector_files import projector

MB = 1 << 20


def test_the_real_file(gguf: Path) -> None:
    """All its tensors, and 23,040 bytes for each token: 30 layers, 3 heads of 64, keys and values,
    16 bits.
    """
    header = read_header(gguf)
    wanted = needs(header, 4096, 8)
    assert wanted.weights == sum(tensor.size for tensor in header.tensors)
    assert len(wanted.layers) == 30
    assert wanted.store == 4096 * 8 * 30 * 3 * 64 * 2 * 2
    assert wanted.total > wanted.weights + wanted.store + BASE


def test_layers_may_differ(tmp_path: Path) -> None:
    """A figure of each layer; one without heads keeps nothing."""
    (tmp_path / "m.gguf").write_bytes(small_model(layers=3))
    wanted = needs(read_header(tmp_path / "m.gguf"), 100, 2)
    assert wanted.stores == (200 * 2 * 32 * 2, 200 * 2 * 32 * 2, 0)
    assert wanted.layers == (64 * 32 * 4,) * 3
    assert wanted.rest == 64 * 100 * 4


def test_an_encoder_keeps_nothing_and_takes_a_text_whole(tmp_path: Path) -> None:
    """More slots are nothing to it, and a longer context is."""
    (tmp_path / "m.gguf").write_bytes(tiny_bert.tiny_bert())
    header = read_header(tmp_path / "m.gguf")
    short, long = needs(header, 64, 1), needs(header, 512, 1)
    assert short.stores == long.stores == (0, 0)
    assert long.working - short.working >= 4 * (512 - 64) * len(tiny_bert.vocabulary())


def test_seeing_takes_memory(gguf: Path, tmp_path: Path) -> None:
    """The projector's weights, encoding, and decoding the largest image that is taken."""
    sight = read_projector(projector(tmp_path / "mmproj.gguf"))
    header = read_header(gguf)
    blind, seeing = needs(header, 512, 1), needs(header, 512, 1, sight)
    assert seeing.total - blind.total == seeing.seeing
    assert seeing.seeing > sum(tensor.size for tensor in sight.tensors) + 12 * 40_000_000
    assert largest(header, 4096, 8, blind.total) is not None
    assert largest(header, 512, 1, blind.total, sight) is None


def test_what_is_no_projector_is_refused_by_its_header(gguf: Path, tmp_path: Path) -> None:
    """A model's own file is none; of some kinds images would depend on what stands before them."""
    with pytest.raises(ModelFileError, match="is no projector of images"):
        read_projector(gguf)
    other = projector(tmp_path / "mmproj.gguf", "hunyuanvl")
    with pytest.raises(ModelFileError, match="of type hunyuanvl, which is not supported"):
        read_projector(other)


NEEDS = Needs(layers=(10 * MB,) * 4, stores=(5 * MB,) * 4, rest=20 * MB, working=8 * MB)


@pytest.mark.parametrize(
    ("free", "asked", "layers"),
    [
        ((), None, 0),
        ((0,), None, 0),
        ((8 * MB + 15 * MB,), None, 1),
        ((8 * MB + 59 * MB,), None, 3),
        ((500 * MB,), None, 4),
        ((8 * MB + 31 * MB, 8 * MB + 16 * MB), None, 3),
        ((500 * MB,), 2, 2),
        ((500 * MB,), 0, 0),
        ((8 * MB,), 4, 4),
    ],
)
def test_as_many_layers_as_fit(free: tuple[int, ...], asked: int | None, layers: int) -> None:
    """Each with its keys and values, beside what a computation takes; or as many as asked for."""
    placed = place(NEEDS, free, asked)
    assert placed.gpu_layers == layers
    assert placed.device == layers * 15 * MB + (8 * MB if layers else 0)
    assert placed.memory == NEEDS.total - layers * 15 * MB


def test_the_largest_that_fits(gguf: Path) -> None:
    """Slots are given up first, then context; at last there is none."""
    header = read_header(gguf)
    assert largest(header, 4096, 8, needs(header, 4096, 8).total) == (4096, 8)
    assert largest(header, 4096, 8, needs(header, 4096, 3).total) == (4096, 3)
    assert largest(header, 4096, 8, needs(header, 1024, 1).total) == (1024, 1)
    assert largest(header, 4096, 8, 100 * MB) is None
