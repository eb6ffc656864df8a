"""A conversation without its oldest turns, where a model's context does not hold them all."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gateway.domain.call import Chat, Message


def trimmed(chat: Chat, fits: Callable[[Chat], bool]) -> Chat | None:
    """As much of a conversation as fits, of whose turns the oldest are left out first; ``None``
    where not even the last one does. What a system message says stays, and no answer of a function
    is left without its call.
    """
    messages = chat.messages
    asked = [at for at, message in enumerate(messages) if message.role == "user"]
    done = [at for at, message in enumerate(messages) if message.role == "assistant"]
    # Templates like a user to begin; behind the last one there are only the assistant's own steps.
    for turns in (asked[1:], [at for at in done if not asked or at > asked[-1]]):
        shorter = [replace(chat, messages=_from(messages, start)) for start in turns]
        at = bisect_left(shorter, True, key=fits)
        if at < len(shorter):
            return shorter[at]
    return None


def _from(messages: Sequence[Message], start: int) -> tuple[Message, ...]:
    kept = (message for message in messages[:start] if message.role == "system")
    return (*kept, *messages[start:])
