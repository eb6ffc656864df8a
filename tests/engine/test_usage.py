"""What targets say that they used."""

from __future__ import annotations

from gateway.domain.events import MOST_TOKENS, Delta, Finished, FinishReason, Started, Usage
from tests.engine.test_engine import House, Scripted


async def test_no_target_tells_what_cannot_be() -> None:
    """Budgets and counters go by it: nothing is given back, and nothing overflows."""
    answer = (
        Started(),
        Delta("x"),
        Usage(10**400, -(10**30), cached=-1),
        Finished((FinishReason.STOP,)),
    )
    house = House(Scripted(openai=answer))
    events = await house.ask()
    assert Usage(MOST_TOKENS, 0) in events
    (record,) = house.records
    assert (record.prompt_tokens, record.completion_tokens) == (MOST_TOKENS, 0)
    (attempt,) = record.attempts
    assert (attempt.prompt_tokens, attempt.completion_tokens) == (MOST_TOKENS, 0)
    assert attempt.cached_tokens == 0
