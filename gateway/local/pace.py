"""How fast a model works and how long its answers are, as measured: what waiting times rest on."""

from __future__ import annotations

from collections.abc import Iterable

WEIGHT = 0.05
"""Of the newest measurement in a smoothed figure."""
FIRST_ANSWER = 128
"""Tokens of an answer, before any has ended."""
FIRST_RATE = 20.0
"""Tokens a second, before any was measured: a low guess keeps callers from hammering."""
SHORTEST_WAIT = 1.0
"""Seconds."""


class Pace:
    """Rates are in tokens a second over all sequences together; 0 until measured."""

    def __init__(self) -> None:
        self.prefill_rate = 0.0
        self.decode_rate = 0.0
        self._answer = float(FIRST_ANSWER)

    def step(self, seconds: float, prefilled: int, generated: int) -> None:
        """One batch was computed. Mixed ones count as decoding: so it is felt while busy."""
        if seconds <= 0:
            return
        if generated > 0 and prefilled <= generated:
            self.decode_rate = _smooth(self.decode_rate, generated / seconds)
        elif generated <= 1 and prefilled > 0:
            self.prefill_rate = _smooth(self.prefill_rate, prefilled / seconds)

    def answered(self, tokens: int) -> None:
        """An answer ended by itself or at its limit after so many tokens."""
        self._answer = _smooth(self._answer, float(tokens))

    def seconds(self, prompt_tokens: int, answers: Iterable[tuple[int, int]]) -> float:
        """The time that this work takes. ``answers`` are (limit, tokens so far) of each."""
        left = 0.0
        for limit, so_far in answers:
            expected = self._answer if so_far < self._answer else so_far + self._answer / 2
            left += max(min(expected, limit) - so_far, 1.0)
        decode = self.decode_rate or FIRST_RATE
        prefill = self.prefill_rate or decode * 4
        return max(left / decode + prompt_tokens / prefill, SHORTEST_WAIT)


def _smooth(old: float, new: float) -> float:
    return new if old == 0.0 else old + WEIGHT * (new - old)
