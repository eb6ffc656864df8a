"""What an app was answered, overheard while it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from gateway.domain.call import Api, Call
from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Finished,
    Piece,
    Reasoned,
    Relayed,
)
from gateway.engine.attempt import Told
from gateway.engine.heard import Heard, Listening
from gateway.wire.anthropic_relay import AnthropicSpeech
from gateway.wire.openai_completions_relay import CompletionSpeech
from gateway.wire.openai_relay import OpenAISpeech
from gateway.wire.openai_responses_relay import ResponsesSpeech
from gateway.wire.relay import AnswerFailed, Speech
from gateway.wire.sse import EventSplitter

SPEECHES: Mapping[Api, Speech] = {
    Api.CHAT: OpenAISpeech(),
    Api.COMPLETIONS: CompletionSpeech(),
    Api.RESPONSES: ResponsesSpeech(),
    Api.MESSAGES: AnthropicSpeech(),
}
"""The APIs whose answers can be told from each other."""
MOST = 1_000_000
"""Bytes of an answer that are kept: of a longer one nothing is."""
EACH = 100
"""That what is told takes beside its text: some vendors tell each letter for itself."""


class Overheard:
    """The answer to one call, of one of ``SPEECHES``."""

    def __init__(self, call: Call) -> None:
        self._api, self._model, self._stream = call.api, call.model, call.stream
        self._told: list[Told] = []
        self._size = 0

    def take(self, batch: Sequence[Told]) -> None:
        """What the app is told next."""
        if self._size > MOST:
            return
        self._told += batch
        self._size += sum(map(_size, batch))
        if self._size > MOST:
            self._told.clear()

    def asked(self, call: Call) -> Call:
        """The call, so that what goes onward by itself is overheard, too."""
        onward = call.onward
        if onward is None:
            return call

        def overheard(event: Relayed) -> bool:
            if not onward(event):
                return False
            self.take((event,))
            return True

        return replace(call, onward=overheard)

    def heard(self) -> Heard | None:
        """The whole of it; ``None`` where it was too long, or cannot be read. Takes a while for a
        long one.
        """
        if not self._told:
            return None
        listening = Listening()
        relayed: list[bytes] = []
        try:
            for told in self._told:
                if isinstance(told, Relayed):
                    relayed.append(told.data)
                    continue
                if relayed and isinstance(told, Continued | Finished):
                    for piece in self._pieces(b"".join(relayed)):
                        listening.take(piece)
                    relayed.clear()
                listening.take(told)
        except (ValueError, AnswerFailed):
            return None
        return listening.heard()

    def _pieces(self, data: bytes) -> Iterable[Piece]:
        """What bytes of the app's own API say. Raises ``ValueError`` and ``AnswerFailed``."""
        speech = SPEECHES[self._api]
        if not self._stream:
            yield from speech.answer(data, self._model, typed=True).pieces
            return
        reader, splitter = speech.reader(self._model, typed=True), EventSplitter()
        for payload in (*splitter.feed(data), *splitter.end()):
            chunk = reader.read(payload)
            if chunk.malformed:
                raise ValueError("the stream is not of its API")
            yield from chunk.pieces


def _size(told: Told) -> int:
    match told:
        case Relayed(data=data):
            return len(data)
        case Delta(text=text) | Reasoned(text=text) | Called(arguments=text):
            return EACH + len(text)
        case _:
            return 0
