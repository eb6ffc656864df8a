"""What a backend sends onward by itself counts like what it yields."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from gateway.domain.call import Begun, Call
from gateway.domain.events import Event, FailureKind, Finished, FinishReason, Relayed, Started
from gateway.domain.target import Target
from tests.engine.test_continuation import REST, chat, texts
from tests.engine.test_engine import House, Scripted, failed

WORDS = [Relayed(b"<%d>" % number, f"é{number} ", 1) for number in range(150)]
BROKEN = failed(FailureKind.TRUNCATED)
WHOLE = (Finished((FinishReason.STOP,)),)


class Onward(Scripted):
    """Sends what it may onward, and yields the rest; ``taken`` is how much was."""

    def __init__(self, **scripts: tuple[Event, ...]) -> None:
        super().__init__(**scripts)
        self.calls: list[Call] = []
        self.taken = 0

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        self.calls.append(call)
        async for batch in super().attempt(target, call):
            (event,) = batch
            if call.onward is not None and isinstance(event, Relayed) and call.onward(event):
                self.taken += 1
            else:
                yield batch


@pytest.mark.parametrize("end", [WHOLE, BROKEN], ids=["whole", "broken"])
async def test_it_counts_like_what_is_yielded(end: tuple[Event, ...]) -> None:
    """For the record, and for who goes on where it breaks off. Before an answer has begun for the
    app, and where the app takes no more, nothing goes onward.
    """
    outcomes = []
    for short in (True, False):
        backend = Onward(openai=(Started("m"), *WORDS, *end), mistral=REST)
        house, heard = House(backend), list[Event]()

        def take(event: Relayed, heard: list[Event] = heard) -> bool:
            if len(heard) >= 100:
                return False
            heard.append(event)
            return True

        told = await house.ask(asked=chat(), onward=take if short else None)
        assert backend.taken == (100 if short else 0)
        (record,) = house.records
        attempts = [
            (one.outcome, one.seam, one.seen_tokens, one.first_content_us is None)
            for one in record.attempts
        ]
        begun = backend.calls[-1].begun
        outcomes.append((record.outcome, record.sent_characters, attempts, begun))
        relayed = [event for event in told if isinstance(event, Relayed)]
        assert [relayed[0], *heard, *relayed[1:]] == WORDS
    assert outcomes[0] == outcomes[1]
    if end is BROKEN:
        assert texts(told).endswith("lo")
        assert outcomes[0][3] == Begun("".join(word.text for word in WORDS), 150, 150)
