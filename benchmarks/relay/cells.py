"""Which loads there are. All combinations of clients, prompts, kinds, rules and contenders would
take hours; these answer the goals, and show along one line each what grows with what.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.relay.contenders import DIRECT, LITELLM, NGINX, OURS, PORTKEY, ROUTER, RULES

ALL = (OURS, RULES, DIRECT, NGINX, ROUTER, PORTKEY, LITELLM)
FAST = (OURS, DIRECT, NGINX, ROUTER)


@dataclass(frozen=True, slots=True)
class Cell:
    """One load: ``why`` it is there, who is under it, in how many ``rounds``, each of that
    ``share`` of the time that a load has.
    """

    clients: int
    kilobytes: float
    kind: str
    who: tuple[str, ...]
    rounds: int
    why: str
    share: float = 2 / 3

    @property
    def name(self) -> str:
        """In the results: for instance ``plain-32x0.3``."""
        return f"{self.kind}-{self.clients}x{self.kilobytes:g}"


ONE = Cell(1, 0.3, "plain", ALL, 3, "added latency")
MANY = Cell(32, 0.3, "plain", ALL, 3, "throughput, and what 1,000 rules cost", share=1)
LARGE = Cell(32, 300, "plain", (*FAST, PORTKEY), 3, "what agents send all day", share=1)
STREAM = Cell(32, 0.3, "streamed", (*FAST, PORTKEY), 2, "50 chunks, as fast as read")
CELLS = (
    ONE,
    MANY,
    Cell(256, 0.3, "plain", FAST, 2, "more clients than can be served at once"),
    Cell(32, 4, "plain", FAST, 2, "larger prompts"),
    Cell(32, 64, "plain", FAST, 2, "larger prompts"),
    LARGE,
    Cell(1, 300, "plain", FAST, 2, "added latency of a large prompt"),
    Cell(1, 0.3, "streamed", (*FAST, PORTKEY, LITELLM), 2, "added latency of a stream"),
    STREAM,
    Cell(256, 0.3, "streamed", (OURS, NGINX), 2, "more streams than can be served at once"),
    Cell(32, 64, "streamed", (OURS, NGINX), 2, "larger prompts, streamed"),
)
QUICK = (
    Cell(1, 0.3, "plain", ALL, 1, ONE.why),
    Cell(32, 0.3, "plain", ALL, 1, MANY.why),
    Cell(32, 300, "plain", (OURS, NGINX), 1, LARGE.why),
    Cell(32, 0.3, "streamed", (OURS, NGINX), 1, STREAM.why),
)
