"""What a model needs, by its header, and how large it is made where that is to be chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ModelFileError
from gateway.local.fit import BASE, Wish, largest, needs, shares
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
    larger = needs(header, 4096, 8, 1024)
    assert larger.working > 1.9 * wanted.working
    assert larger.store == wanted.store


def test_layers_may_differ(tmp_path: Path) -> None:
    """A figure of each layer; one without heads keeps nothing."""
    (tmp_path / "m.gguf").write_bytes(small_model(layers=3))
    wanted = needs(read_header(tmp_path / "m.gguf"), 100, 2)
    assert wanted.stores == (200 * 2 * 32 * 2, 200 * 2 * 32 * 2, 0)
    assert wanted.layers == (64 * 32 * 4,) * 3
    assert wanted.rest == 64 * 100 * 4
    assert (wanted.output, wanted.tied) == (64 * 100 * 4, True)


def test_an_encoder_keeps_nothing_and_takes_a_text_whole(tmp_path: Path) -> None:
    """More slots are nothing to it, and a longer context is."""
    (tmp_path / "m.gguf").write_bytes(tiny_bert.tiny_bert())
    header = read_header(tmp_path / "m.gguf")
    short, long = needs(header, 64, 1), needs(header, 512, 1)
    assert short.stores == long.stores == (0, 0)
    assert long.working - short.working >= 4 * (512 - 64) * len(tiny_bert.vocabulary())
    assert (long.output, long.tied) == (0, False)
    assert long.weights == sum(tensor.size for tensor in header.tensors)


def test_seeing_takes_memory(gguf: Path, tmp_path: Path) -> None:
    """The projector's weights, encoding, and decoding the largest image that is taken."""
    sight = read_projector(projector(tmp_path / "mmproj.gguf"))
    header = read_header(gguf)
    blind, seeing = needs(header, 512, 1), needs(header, 512, 1, projector=sight)
    assert seeing.total - blind.total == seeing.seeing
    assert seeing.seeing > sum(tensor.size for tensor in sight.tensors) + 12 * 40_000_000
    assert largest(header, (4096, 8), blind.total) is not None
    assert largest(header, (512, 1), blind.total, projector=sight) is None


def test_what_is_no_projector_is_refused_by_its_header(gguf: Path, tmp_path: Path) -> None:
    """A model's own file is none; of some kinds images would depend on what stands before them."""
    with pytest.raises(ModelFileError, match="is no projector of images"):
        read_projector(gguf)
    other = projector(tmp_path / "mmproj.gguf", "hunyuanvl")
    with pytest.raises(ModelFileError, match="of type hunyuanvl, which is not supported"):
        read_projector(other)


def test_the_largest_that_fits(gguf: Path) -> None:
    """Above 8,192 tokens a context is halved first; then slots are given up, then context again;
    at last there is none. What must be so stays so.
    """
    header = read_header(gguf)

    def free(context: int, slots: int) -> int:
        return needs(header, context, slots).total

    assert largest(header, (4096, 8), free(4096, 8)) == (4096, 8)
    assert largest(header, (4096, 8), free(4096, 3)) == (4096, 3)
    assert largest(header, (4096, 8), free(1024, 1)) == (1024, 1)
    assert largest(header, (4096, 8), 100 * MB) is None
    assert largest(header, (20_000, 8), free(10_000, 8)) == (10_000, 8)
    assert largest(header, (20_000, 8), free(8192, 8)) == (8192, 8)
    assert largest(header, (20_000, 8), free(8192, 7)) == (8192, 7)
    assert largest(header, (20_000, 8), free(1024, 4), least=(512, 4)) == (1024, 4)
    assert largest(header, (4096, 8), free(4096, 1) - 1, least=(4096, 1)) is None


def test_memory_is_shared_equally(gguf: Path) -> None:
    """What one has no use for goes to the others; all together keep to what there is."""
    header = read_header(gguf)
    large = Wish(header, (8192, 8), (512, 1), 512, always=True)
    small = Wish(header, (1024, 2), (1024, 2), 512, always=True)

    def total(*sizes: tuple[int, int]) -> int:
        return sum(needs(header, *size).total for size in sizes)

    assert shares([large, small], total((8192, 8), (1024, 2)), in_turns=False) == [
        (8192, 8),
        (1024, 2),
    ]
    budget = total((8192, 4), (8192, 4), (1024, 2))
    found = shares([large, small, large], budget, in_turns=False)
    assert found == [(8192, 4), (1024, 2), (8192, 4)]
    assert total(*found) <= budget
    assert shares([large], 100 * MB, in_turns=False) == [(512, 1)]


def test_those_that_give_way_to_each_other_share_one_place(gguf: Path) -> None:
    """Where models are loaded on demand within a limit, one of them is there at a time."""
    header = read_header(gguf)
    always = Wish(header, (1024, 2), (1024, 2), 512, always=True)
    others = [Wish(header, (8192, 8), (512, 1), 512, always=False) for _ in range(3)]
    budget = needs(header, 1024, 2).total + needs(header, 8192, 5).total
    assert shares([always, *others], budget, in_turns=True) == [(1024, 2)] + [(8192, 5)] * 3
    apart = shares([always, *others], budget, in_turns=False)
    assert sum(needs(header, *size).total for size in apart) <= budget
    assert apart[1] < (8192, 5)
