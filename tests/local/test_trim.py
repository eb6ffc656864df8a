"""What is left of a conversation that a context does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.domain.call import Chat, Message, ToolCall
from gateway.local.jobs import Declined
from gateway.local.llama import LlamaModel
from gateway.local.prepare import Preparer
from gateway.local.trim import trimmed

CONTEXT = 512
SYSTEM = Message("system", "be brief")
CALL = Message("assistant", "", (ToolCall("c", "f", "{}"),))
OUTPUT = Message("tool", "18", call_id="c")


def user(text: str) -> Message:
    return Message("user", text)


@pytest.fixture(scope="module")
def model(gguf: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(gguf, context=CONTEXT, slots=1, threads=2, gpu_layers=0)
    yield model
    model.close()


@pytest.mark.parametrize(
    ("messages", "most", "left"),
    [
        ((SYSTEM, user("a"), CALL, OUTPUT, user("b")), 4, (SYSTEM, user("b"))),
        (
            (user("a"), SYSTEM, Message("assistant", "x"), user("b"), CALL, OUTPUT, user("c")),
            5,
            (SYSTEM, user("b"), CALL, OUTPUT, user("c")),
        ),
        ((user("a"), CALL, OUTPUT, CALL, OUTPUT), 2, (CALL, OUTPUT)),
        ((user("a"), user("b")), 1, (user("b"),)),
        ((SYSTEM, user("a")), 1, None),
    ],
)
def test_the_oldest_turns_go_first(
    messages: tuple[Message, ...], most: int, left: tuple[Message, ...] | None
) -> None:
    """No more of them than must, and no answer of a function without its call."""
    chat = Chat(messages, max_tokens=3)
    found = trimmed(chat, lambda less: len(less.messages) <= most)
    assert found == (None if left is None else replace(chat, messages=left))


def prompt(model: LlamaModel, chat: Chat) -> str | Declined:
    jobs = Preparer(model, CONTEXT).jobs((1, 2), chat)
    if isinstance(jobs, Declined):
        return jobs
    return b"".join(model.name(token) for token in jobs[0].prompt).decode()


TURNS = tuple(
    message
    for number in range(40)
    for message in (user(f"question {number} " + "word " * 10), Message("assistant", f"{number}."))
)


def test_a_prompt_that_is_trimmed_has_room_for_its_answer(model: LlamaModel) -> None:
    """As much as was asked for, or a quarter of the context."""
    for most, room in ((100, 100), (None, CONTEXT // 4)):
        chat = Chat((SYSTEM, *TURNS, user("last")), max_tokens=most, trims=True)
        jobs = Preparer(model, CONTEXT).jobs((1, 2), chat)
        assert not isinstance(jobs, Declined)
        assert CONTEXT - room - 40 < len(jobs[0].prompt) <= CONTEXT - room
        text = prompt(model, chat)
        assert isinstance(text, str)
        assert "be brief" in text
        assert "question 39" in text
        assert "question 5 " not in text
        assert "last" in text


def test_what_fits_or_may_not_be_trimmed_is_not(model: LlamaModel) -> None:
    """Trimming is for those who ask, and where it must be."""
    short = Chat((user("first"), *TURNS[-2:], user("last")))
    assert prompt(model, replace(short, trims=True)) == prompt(model, short)
    jobs = Preparer(model, CONTEXT).jobs((1, 2), Chat((*TURNS, user("last"))))
    assert not isinstance(jobs, Declined)
    assert len(jobs[0].prompt) >= CONTEXT


def test_one_turn_that_is_too_long_stays_so(model: LlamaModel) -> None:
    """Nothing is cut within a turn."""
    jobs = Preparer(model, CONTEXT).jobs((1, 2), Chat((user("word " * 600),), trims=True))
    assert not isinstance(jobs, Declined)
    assert len(jobs[0].prompt) >= CONTEXT
