"""The second request with a long beginning that the first has had: how much sooner it is served."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.local.client import Peer, Question
from benchmarks.local.load import PEOPLE, PLACES

SENTENCES = 78
"""Come to about 1,000 tokens of SmolLM2's vocabulary."""
TOKENS = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """Waits are in seconds to the first token; ``cached`` tokens were taken over by the second."""

    peer: str
    prompt: int
    cached: int
    first: float
    second: float

    @property
    def ratio(self) -> float:
        return self.second / self.first


def beginning(number: int) -> str:
    """A long system prompt; those of two numbers differ from their first word on."""
    lines = [
        f"{number + at}: the {PEOPLE[at % 10]} of the {PLACES[at * 7 % 10]} keeps {at} letters."
        for at in range(SENTENCES)
    ]
    return " ".join(lines)


async def pairs(peer: Peer, numbers: range) -> list[Pair]:
    """One pair for each number, one request at a time."""
    found = []
    for number in numbers:
        system = beginning(number * 1000)
        answers = []
        for text in ("Who keeps the most letters?", "Name two places that keep letters."):
            answer = await (await peer.ask(Question(text, TOKENS, system))).answer()
            if answer.fault is not None:
                raise RuntimeError(f"{peer.name}: {answer.fault}")
            answers.append(answer)
        first, second = answers
        found.append(Pair(peer.name, second.prompt, second.cached, first.wait, second.wait))
    return found
