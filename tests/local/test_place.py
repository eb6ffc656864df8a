"""Which layers are on which device, as llama.cpp would lay them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.local.fit import MARGIN, Needs, needs
from gateway.local.gguf import read_header
from gateway.local.layout import Layout
from gateway.local.place import place

MB = 1 << 20
NEEDS = Needs(
    layers=(10 * MB,) * 4, stores=(5 * MB,) * 4, rest=20 * MB, working=8 * MB, output=12 * MB
)
"""Each of four layers takes 15 MB; the output, which is the fifth, takes 12. While not all layers
are on a device, it keeps room for the weights of one: 10 MB.
"""
WORK, LENT = 8 * MB, 10 * MB


@pytest.mark.parametrize(
    ("free", "asked", "split", "devices", "over"),
    [
        ((), None, (), (), 0),
        ((), 3, (), (), 0),
        ((0,), None, (0,), (0,), 0),
        ((MARGIN + WORK + LENT + 11 * MB,), None, (0,), (0,), 0),
        ((MARGIN + WORK + LENT + 12 * MB,), None, (1,), (30 * MB,), 0),
        ((MARGIN + WORK + LENT + 27 * MB,), None, (2,), (45 * MB,), 0),
        ((MARGIN + WORK + 72 * MB,), None, (5,), (80 * MB,), 0),
        ((500 * MB,), 2, (2,), (45 * MB,), 0),
        ((500 * MB,), 99, (5,), (80 * MB,), 0),
        ((500 * MB,), 0, (0,), (0,), 0),
        ((MARGIN + 50 * MB,), 5, (5,), (80 * MB,), 30 * MB),
        # On one device where one is enough, the one with the most room.
        ((200 * MB, 500 * MB), None, (0, 5), (0, 80 * MB), 0),
        # On several, in their order, each with room for copies on their way.
        (
            (MARGIN + 2 * WORK + 45 * MB, MARGIN + 2 * WORK + 30 * MB),
            None,
            (3, 2),
            (61 * MB, 43 * MB),
            0,
        ),
        (
            (MARGIN + 2 * WORK, MARGIN + 2 * WORK + LENT + 27 * MB, MARGIN),
            None,
            (0, 2, 0),
            (0, 45 * MB, 0),
            0,
        ),
    ],
)
def test_as_many_layers_as_fit(
    free: tuple[int, ...],
    asked: int | None,
    split: tuple[int, ...],
    devices: tuple[int, ...],
    over: int,
) -> None:
    """The last ones first, each with its keys and values; or as many as asked for."""
    placed = place(NEEDS, free, asked)
    assert (placed.split, placed.devices, placed.over) == (split, devices, over)
    assert placed.layers == 5
    assert placed.gpu_layers == sum(split)
    moved = max(sum(split) - 1, 0) * 15 * MB + (12 * MB if any(split) else 0)
    assert placed.memory == NEEDS.total - moved


def test_a_projector_is_on_the_first_device() -> None:
    """Where any layers are on devices, whichever those are; it leaves main memory then."""
    seeing = replace(NEEDS, seeing=100 * MB)
    placed = place(seeing, [150 * MB, 500 * MB])
    assert (placed.split, placed.devices) == ((0, 5), (100 * MB, 80 * MB))
    assert placed.memory == NEEDS.total - 72 * MB
    assert place(seeing, [MARGIN + WORK + 171 * MB]).gpu_layers < 5
    assert place(seeing, [MARGIN + WORK + 172 * MB]).gpu_layers == 5
    assert place(seeing, [0]).memory == seeing.total
    layout = Layout.of(placed, ("G0", "G1"))
    assert (layout.gpu_layers, [share.layers for share in layout.devices]) == (5, [0, 5])


def test_an_output_that_is_the_input_is_there_twice(gguf: Path) -> None:
    """The real model's: a device has a copy, and main memory keeps what the first layer reads."""
    wanted = needs(read_header(gguf), 512, 2)
    assert wanted.tied
    placed = place(wanted, [1 << 40])
    assert placed.gpu_layers == 31
    assert placed.memory == wanted.total - sum(wanted.layers) - wanted.store
    assert placed.devices[0] == sum(wanted.layers) + wanted.store + wanted.output + wanted.working
