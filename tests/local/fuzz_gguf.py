"""Broken GGUF files by the thousand: ``python -m tests.local.fuzz_gguf --inputs 100000``.

Each input is a small whole file or the beginning of a real one with bytes changed, numbers replaced
by awkward ones, parts cut out, doubled or swapped, or nothing but noise. Nothing but ModelFileError
may come out, and never may the reader take much more memory than the file has bytes.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.errors import ModelFileError
from gateway.local.gguf import read_header
from tests.local.gguf_files import gguf, number, real_model, small_model, text

AWKWARD = (
    0,
    1,
    2,
    7,
    8,
    9,
    31,
    255,
    65_535,
    1 << 20,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 33,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
)
SPARE = 1 << 20
"""Bytes beside the file's own that reading may take: buffers, and the objects of what is kept."""
TIMES = 24
"""A small string or number is an object of some fifty bytes, so a file of tiny entries may take
more than its size; never more than so many times.
"""


def seeds() -> list[bytes]:
    with real_model().open("rb") as file:
        beginning = file.read(4096)
    return [
        small_model(),
        gguf([text("general.architecture", "x"), number("x.y", 1)], {}),
        beginning,
    ]


def broken(rng: random.Random, whole: Sequence[bytes]) -> bytes:
    """One input."""
    if rng.random() < 0.02:
        return rng.choice((b"", b"GGUF")) + rng.randbytes(rng.randint(0, 200))
    data = bytearray(rng.choice(whole))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(6):
            case 0:
                data[at : at + 1] = rng.randbytes(1)
            case 1:
                width, code = rng.choice(((8, "<Q"), (4, "<I"), (2, "<H")))
                value = rng.choice(AWKWARD) & ((1 << (8 * width)) - 1)
                data[at : at + width] = struct.pack(code, value)
            case 2:
                del data[at : at + rng.randint(1, 40)]
            case 3:
                data[at:at] = data[at : at + rng.randint(1, 40)]
            case 4:
                del data[at:]
            case _:
                data[at:at] = rng.randbytes(rng.randint(1, 9))
    return bytes(data)


def run(inputs: int, seed: int) -> Iterator[str]:
    """The outcome of each input; raises AssertionError where one breaks a promise."""
    rng = random.Random(seed)
    whole = seeds()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        tracemalloc.start()
        try:
            for count in range(inputs):
                data = broken(rng, whole)
                path.write_bytes(data)
                tracemalloc.reset_peak()
                before, _ = tracemalloc.get_traced_memory()
                outcome, said = "read", ""
                try:
                    read_header(path)
                except ModelFileError as error:
                    outcome, said = "refused", error.message
                assert len(said) < 1000, said
                _, peak = tracemalloc.get_traced_memory()
                assert peak - before <= TIMES * len(data) + SPARE, (count, seed, peak - before)
                yield outcome
        finally:
            tracemalloc.stop()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    outcomes = Counter(run(given.inputs, given.seed))
    sys.stdout.write(f"{given.inputs} inputs, seed {given.seed}: {dict(outcomes)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
