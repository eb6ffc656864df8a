"""A vendor for the soak, in a process of its own: most requests are answered, and what becomes of
the others changes every few hundred milliseconds.

``python -m tests.faults.storm --log FILE --seed N --called MODEL`` prints its address, and writes a
line for each request: when it came (seconds since 1970), and what it said in ``user``.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
from pathlib import Path
from typing import Any

from tests.simulators.peer import Peer
from tests.simulators.seen import SeenRequest
from tests.simulators.vendor import VendorSimulator

CHANGE = (0.2, 0.8)
"""Seconds between two changes, from and to."""
DOWN = 0.04
"""The share of changes by which the vendor is not there at all for a while."""
SHARES = (0.0, 0.05, 0.1, 0.2)
"""How many of the requests go wrong, one of these at a time."""
FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("503", {}), ("500", {}), ("529", {}), ("429", {"retry_after_ms": "300"}), ("html", {})),
    *(("reset", {"at": at}) for at in ("request", "head", "opening", "content", "terminator")),
    *(("hang_up", {"at": at}) for at in ("request", "head", "opening", "content", "terminator")),
    *(("stall", {"at": at}) for at in ("request", "head", "opening", "content", "terminator")),
    *(("half_chunk", {}), ("half_character", {}), ("split_characters", {}), ("empty", {})),
    *(("missing_done", {}), ("missing_end", {}), ("missing_both", {}), ("no_choices", {})),
    *(("wrong_length", {"by": by}) for by in (-9, 9)),
    *(("broken_event", {}), ("broken_json", {}), ("usage_twice", {}), ("gzip_bomb", {})),
    *(("error_event", {"shape": shape}) for shape in ("openai", "text", "status", "openrouter")),
    *(("error_event", {"shape": "response.failed", "after": after}) for after in (0, 2)),
    *(("close_after", {}), ("close_after", {"told": True}), ("other_model", {"late": True})),
    *(("raw", {"data": data}) for data in (b"", b"SSH-2.0-OpenSSH_9.2\r\n")),
)
RARE: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("big_header", {}), ("drip", {}), ("endless", {}), ("endless", {"comments": True})),
)
"""What costs the machine much, or the app its patience."""
ONCE_IN = 20
"""Of the faults, one in so many is a rare one."""


class Storm(VendorSimulator):
    """``called`` is what it calls its model: policy judges by it."""

    def __init__(self, log: Path, seed: int, called: str) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self._called = called
        self._share = 0.0
        self._kinds = FAULTS
        self._seen = log.open("a", buffering=1)

    def saw(self, request: SeenRequest) -> None:
        self._seen.write(f"{request.time:.6f} {request.json['user']}\n")
        self.connections.clear()

    async def answer(
        self, request: SeenRequest, peer: Peer, behaviour: str, options: dict[str, Any]
    ) -> bool:
        if self._random.random() < self._share:
            rare = self._random.randrange(ONCE_IN) == 0
            behaviour, options = self._random.choice(RARE if rare else self._kinds)
        else:
            options = {"pause": self._random.choice((0, 0, 0.01)), "delay": 0.005}
        options = {"called": self._called, **options}
        return await super().answer(request, peer, behaviour, options)

    def change(self) -> None:
        """Other faults from now on, and more or fewer of them."""
        was = self._behaviour == "refuse"
        down = not was and self._random.random() < DOWN
        if down != was:
            self.behave("refuse" if down else "answer")
        self._share = self._random.choice(SHARES)
        self._kinds = tuple(self._random.sample(FAULTS, 4))

    def seconds(self) -> float:
        """Until the next change."""
        return CHANGE[0] if self._behaviour == "refuse" else self._random.uniform(*CHANGE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--called", required=True)
    chosen = parser.parse_args()
    ended = threading.Event()

    def wait() -> None:
        """Whoever started it ends it by closing its standard input."""
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    with Storm(chosen.log, chosen.seed, chosen.called) as vendor:
        sys.stdout.write(f"{vendor.url}\n")
        sys.stdout.flush()
        while not ended.wait(vendor.seconds()):
            vendor.change()


if __name__ == "__main__":
    main()
