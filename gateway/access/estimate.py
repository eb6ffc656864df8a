"""How many tokens a request could use, before anybody has counted them: rather too many than too
few. The target's own count settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.access.account import Ask
from gateway.domain.call import Call, Chat, Completion, Counting, Embedding, Passing, Prompt, Unread

BYTES_A_TOKEN = 3
"""Of UTF-8. English has about four, most code and other European languages three and more; Chinese
and Japanese have about three, which is one character.
"""
A_CHAT = 32
"""Tokens that a chat template says before all turns, where it does: that it is an assistant."""
A_TURN = 6
"""Tokens that it puts around a turn."""
TOOLS = 350
"""Tokens by which vendors tell a model what tools are, before those that there are."""
AN_IMAGE = 1200
"""Tokens of a picture of a megapixel; vendors count from 85 to about 1600."""
USUAL_ANSWER = 1024
"""Tokens that are reserved for an answer where the request does not say how many it may have."""


def ask(call: Call) -> Ask:
    """What a call could use, without what it would cost. Counting tokens uses none."""
    task = call.asked
    match task:
        case Chat():
            return _asked(_chat(task), task.max_tokens, task.choices)
        case Unread(around=around):
            prompt = _chat(around, task.turns, task.size, task.images)
            return _asked(prompt, around.max_tokens, around.choices)
        case Counting():
            return Ask(0, 0)
        case Embedding():
            return Ask(_prompts(task.inputs), 0)
        case Completion():
            prompt = _prompts(task.prompts)
            return _asked(prompt, task.max_tokens, task.choices * len(task.prompts))
        case Passing(boundary=None):
            return Ask(_tokens(len(call.body)), 0)
        case Passing():
            # A file: of its bytes nothing follows. What is used is counted where a target tells it;
            # but it is not free, and so none comes in once a budget is spent.
            return Ask(1, 0)


def _asked(prompt: int, most: int | None, answers: int) -> Ask:
    if most is None:
        return Ask(prompt, USUAL_ANSWER * answers, open=True)
    return Ask(prompt, most * answers)


def _chat(chat: Chat, turns: int = 0, size: int = 0, images: int = 0) -> int:
    """With so many turns that are not read, and so many bytes and images in them."""
    size += _size(chat.prefill)
    around = A_CHAT + turns * A_TURN + images * AN_IMAGE
    for turn in chat.messages:
        size += _size(turn.content)
        size += 0 if turn.reasoning is None else _size(turn.reasoning)
        for call in turn.calls:
            size += _size(call.name) + _size(call.arguments)
        around += A_TURN + len(turn.images) * AN_IMAGE
    if chat.tools is not None:
        around += TOOLS
        for tool in chat.tools.available:
            size += _size(tool.name) + _size(tool.description) + _size(tool.schema)
    if chat.shape is not None:
        size += _size(chat.shape.source)
    return _tokens(size) + around


def _prompts(prompts: Sequence[Prompt]) -> int:
    return sum(_each(prompts))


def _each(prompts: Iterable[Prompt]) -> Iterable[int]:
    for prompt in prompts:
        yield _tokens(_size(prompt)) if isinstance(prompt, str) else len(prompt)


def _size(text: str) -> int:
    """Bytes, without writing them where that is known."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _tokens(size: int) -> int:
    return -(-size // BYTES_A_TOKEN)
