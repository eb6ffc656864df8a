"""``apis:`` of a channel: which APIs of the OpenAI dialect its server has beside chats."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from gateway.domain.target import APIS, Capability

RESPONSES = "responses"
WORDS: Mapping[str, frozenset[Capability]] = {
    "completions": frozenset({Capability.COMPLETIONS}),
    "embeddings": frozenset({Capability.EMBEDDINGS}),
    "moderations": frozenset({Capability.MODERATIONS}),
    "audio": frozenset({Capability.SPEECH, Capability.TRANSCRIPTION}),
    "images": frozenset({Capability.IMAGE_GENERATION}),
    "rerank": frozenset({Capability.RERANK}),
    # What it can do, chat completions can do in its place.
    RESPONSES: frozenset(),
}
"""What each word adds to what the channel's targets can do."""
USUAL = tuple(word for word in WORDS if word not in ("rerank", RESPONSES))
"""Where a channel does not say."""


def _words(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not set(map(str, value)) <= WORDS.keys():
        raise PydanticCustomError(
            "apis",
            "expected a list of APIs",
            {"hint": f"known: {', '.join(WORDS)}; chat completions are always taken to be there"},
        )
    return tuple(value)


Apis = Annotated[tuple[str, ...] | None, BeforeValidator(_words)]


def capabilities(words: Collection[str]) -> frozenset[Capability] | None:
    """What a target can be asked for where its server has these APIs; ``None`` means all."""
    found = frozenset[Capability]().union(*(WORDS[word] for word in words))
    return None if found == APIS else frozenset(Capability) - APIS | found
