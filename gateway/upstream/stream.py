"""A streamed answer: the body's bytes to events, without I/O."""

from __future__ import annotations

from collections.abc import Callable

from gateway.domain.events import (
    Event,
    Failed,
    FailureKind,
    Finished,
    FinishReason,
    Relayed,
    Started,
    Usage,
)
from gateway.wire.openai_relay import Chunk, StreamReader
from gateway.wire.sse import MOST_EVENT, EventSplitter


class StreamRelay:
    """``judge`` says why an answer by the model it is given may not be delivered, or ``None``;
    ``judge_provider`` says it of whom a router sent the request on to; ``provider`` is who that is
    as far as the head of the answer says it.

    ``started`` once the first event with a choice has come, ``ended`` once no more is read,
    ``finished`` if that is because the answer is complete. The opening, which says nothing yet, is
    held back until the answer's first content: until then another target can still take over
    unnoticed.
    """

    def __init__(
        self,
        asked: str,
        judge: Callable[[str], str | None],
        judge_provider: Callable[[str], str | None],
        provider: str | None = None,
    ) -> None:
        self.started = False
        self.ended = False
        self.finished = False
        self._judge = judge
        self._judge_provider = judge_provider
        self._reader = StreamReader(asked)
        self._splitter = EventSplitter()
        self._model: str | None = None
        self._provider = provider
        self._held: list[bytes] = []
        self._opening = 0
        self._flowing = False
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None
        self._came = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes of the body make."""
        self._came = True
        events = self._events(self._splitter.feed(data))
        if self._splitter.oversized and not self.ended:
            events.append(self._fail(FailureKind.MALFORMED, "an event of the stream is too long"))
        return events

    def end(self) -> list[Event]:
        """The body is over."""
        events = self._events(self._splitter.end())
        if not self.ended:
            kind = FailureKind.TRUNCATED if self._came else FailureKind.MALFORMED
            events.append(self._fail(kind, "the stream ended without its terminator"))
        return events

    def _events(self, payloads: list[bytes]) -> list[Event]:
        events: list[Event] = []
        text = 0
        last: Event | None = None
        for payload in payloads:
            chunk = self._reader.read(payload)
            last = self._reject(chunk)
            if last is not None:
                break
            if chunk.choice and not self.started:
                self.started = True
                events.append(Started(self._model, self._provider))
            self._held.append(chunk.data)
            text += chunk.text
            self._note(chunk)
            if not self._flowing:
                self._opening += len(chunk.data)
            if self._opening > MOST_EVENT:
                last = self._fail(FailureKind.MALFORMED, "the stream's opening is too long")
                break
            if chunk.done:
                self.ended = self.finished = True
                last = Finished((self._reason,) if self._reason else ())
                break
        if self._flowing and self._held:
            events.append(Relayed(b"".join(self._held), text))
            self._held.clear()
        if self.finished and self._usage is not None:
            events.append(self._usage)
        if last is not None:
            events.append(last)
        return events

    def _reject(self, chunk: Chunk) -> Failed | None:
        if chunk.error:
            return self._fail(FailureKind.STREAM_ERROR, "the vendor sent an error in the stream")
        if chunk.malformed or (chunk.done and not self.started):
            return self._fail(FailureKind.MALFORMED, "the stream is not the API's shape")
        if chunk.model is not None and chunk.model != self._model:
            # Some vendors send an empty name before the answer proper.
            self._model = chunk.model or None
            why = self._judge(chunk.model) if chunk.model else None
            if why is not None:
                return self._fail(FailureKind.ANSWERED_BY_DENIED, why)
        if chunk.provider is not None and chunk.provider != self._provider:
            self._provider = chunk.provider
            why = self._judge_provider(chunk.provider)
            if why is not None:
                return self._fail(FailureKind.ANSWERED_BY_DENIED, why)
        return None

    def _note(self, chunk: Chunk) -> None:
        self._flowing = self._flowing or chunk.content or chunk.done
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.finish_reason is not None:
            self._reason = chunk.finish_reason

    def _fail(self, kind: FailureKind, message: str) -> Failed:
        self.ended = True
        return Failed(kind, message)
