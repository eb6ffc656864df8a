"""A streamed answer: the body's bytes to events, without I/O.

Theory of operation. Each event of the stream is read as a ``Chunk``. The opening, which says
nothing yet, is held back until the answer's first content: until then another target can still take
over unnoticed. So is what closes the answer, until its terminator or more content comes: a stream
that breaks off has not told the app that it is over, and another target can go on. Where nothing is
held back, an event that came alone and differs from one before it in what it says only is passed on
with no further look; such are ``plain``, and need wake nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.domain.events import (
    Event,
    Failed,
    FailureKind,
    Finished,
    FinishReason,
    Piece,
    Relayed,
    Started,
    Usage,
)
from gateway.wire.likeness import Likeness
from gateway.wire.relay import Chunk, StreamReader
from gateway.wire.sse import MOST_EVENT, EventSplitter


class StreamRelay:
    """``reader`` knows the stream's dialect; with ``typed`` an answer is told as what it says and
    not as bytes. ``judge`` says why an answer by the model it is given may not be delivered, or
    ``None``; ``judge_provider`` says it of whom a router sent the request on to; ``provider`` is
    who that is as far as the head of the answer says it; ``most_event`` bounds an event's bytes.

    ``started`` once the first event with a choice has come, ``flowing`` once it says something,
    ``ended`` once no more is read,
    ``finished`` if that is because the stream is complete.
    """

    def __init__(
        self,
        reader: StreamReader,
        judge: Callable[[str], str | None],
        judge_provider: Callable[[str], str | None],
        provider: str | None = None,
        *,
        typed: bool = False,
        most_event: int = MOST_EVENT,
    ) -> None:
        self.started = False
        self.ended = False
        self.finished = False
        self._reader = reader
        self._typed = typed
        self._judge = judge
        self._judge_provider = judge_provider
        self._splitter = EventSplitter(most_event)
        self._model: str | None = None
        self._provider = provider
        self._held = _Held()
        self._closing: list[Chunk] = []
        self._kept = 0
        self.flowing = False
        self._usage: Usage | None = None
        self._choices: set[int] = set()
        self._reasons: dict[int, FinishReason] = {}
        self._stop: str | None = None
        self._came = False
        self._like: Likeness | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes of the body make."""
        self._came = True
        plain = self.plain((data,))
        if plain is not None:
            return [plain]
        events = self._read(data)
        self._like = self._known()
        return events

    def plain(self, pieces: Sequence[bytes]) -> Relayed | None:
        """All that ``feed`` would say of these bytes, where each piece is one event that is like
        one before it; else ``None``, and they are still to be fed.
        """
        like = self._like
        if like is None:
            return None
        alone, whole, chunk = self._splitter.alone, like.whole, like.chunk
        if len(pieces) == 1:
            (data,) = pieces
            found = whole(data) if alone(data) else None
            if found is None:
                return None
            data, text = found
            if chunk.text:
                return Relayed(data, text, 1, chunk.binding, chunk.block)
            return Relayed(data, "", 0, chunk.binding, chunk.block)
        sent: list[bytes] = []
        said: list[str] = []
        for data in pieces:
            found = whole(data) if alone(data) else None
            if found is None:
                return None
            sent.append(found[0])
            said.append(found[1])
        if chunk.text:
            return Relayed(b"".join(sent), "".join(said), len(sent), chunk.binding, chunk.block)
        return Relayed(b"".join(sent), "", 0, chunk.binding, chunk.block)

    def _read(self, data: bytes) -> list[Event]:
        events = self._events(self._splitter.feed(data))
        if self._splitter.oversized and not self.ended:
            events.append(self._fail(FailureKind.MALFORMED, "an event of the stream is too long"))
        return events

    def end(self) -> list[Event]:
        """The body is over."""
        events = self._events(self._splitter.end())
        if not self.ended and not self._reader.terminator and self._complete:
            self.ended = self.finished = True
            for chunk in self._closing:
                self._held.take(chunk)
            events += [*self._held.events(typed=self._typed), *self._ending(None)]
        if not self.ended:
            kind = FailureKind.TRUNCATED if self._came else FailureKind.MALFORMED
            events += self.broken(Failed(kind, "the stream ended without its terminator"))
        return events

    def broken(self, failure: Failed) -> list[Event]:
        """No more will come. Where all that is missing is the terminator, the app gets one: the
        target has said that the answer is complete.
        """
        self.ended = True
        if not self._complete:
            return [failure]
        for chunk in (*self._closing, Chunk(self._reader.terminator)):
            self._held.take(chunk)
        return [*self._held.events(typed=self._typed), *self._ending(failure)]

    def _known(self) -> Likeness | None:
        """What the next event may be like, to be passed on at once: nothing is held back, and who
        answers is who was judged.
        """
        like = self._reader.likeness
        if like is None or self._typed or self.ended or not self.flowing or self._closing:
            return None
        chunk = like.chunk
        if chunk.model is not None and chunk.model != self._model:
            return None
        if chunk.provider is not None and chunk.provider != self._provider:
            return None
        return like if self._choices.issuperset(chunk.choices) else None

    @property
    def _complete(self) -> bool:
        """Whether the target has said of all that it began that it is over."""
        return self.flowing and bool(self._choices) and self._choices <= self._reasons.keys()

    def _events(self, payloads: list[bytes]) -> list[Event]:
        events: list[Event] = []
        last: list[Event] = []
        for payload in payloads:
            chunk = self._reader.read(payload)
            failure = self._reject(chunk)
            if failure is not None:
                denied = failure.kind is FailureKind.ANSWERED_BY_DENIED
                last = [failure] if denied else self.broken(failure)
                break
            if chunk.choices and not self.started:
                self.started = True
                events.append(Started(self._model, self._provider, chunk.id, chunk.created))
            self._note(chunk)
            if self._kept > MOST_EVENT:
                last = [self._fail(FailureKind.MALFORMED, "what holds no answer is too long")]
                break
            if chunk.done:
                self.ended = self.finished = True
                last = self._ending(None)
                break
        if self.flowing:
            events += self._held.events(typed=self._typed)
        return events + last

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
        """Put a chunk where it is to wait, or among what flows."""
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.reason is not None:
            choice, reason = chunk.reason
            self._reasons[choice] = reason
            self._stop = chunk.stop
        if not self._choices.issuperset(chunk.choices):
            self._choices.update(chunk.choices)
        self.flowing = self.flowing or chunk.content or chunk.done
        if self.flowing and not chunk.closing:
            self._kept = 0
        else:
            self._kept += len(chunk.data)
        if chunk.closing and not chunk.done:
            self._closing.append(chunk)
            return
        if self._closing:
            for closing in self._closing:
                self._held.take(closing)
            self._closing.clear()
        self._held.take(chunk)

    def _ending(self, flaw: Failed | None) -> list[Event]:
        events: list[Event] = [] if self._usage is None else [self._usage]
        reasons = tuple(reason for _, reason in sorted(self._reasons.items()))
        return [*events, Finished(reasons, flaw, self._stop)]

    def _fail(self, kind: FailureKind, message: str) -> Failed:
        self.ended = True
        return Failed(kind, message)


class _Held:
    """What has come and was not told yet, put together as it comes."""

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._texts: list[str] = []
        self._said: list[Piece] = []
        self._binding = False
        self._block: int | None = None

    def take(self, chunk: Chunk) -> None:
        self._data.append(chunk.data)
        if chunk.text:
            self._texts.append(chunk.text)
        if chunk.pieces:
            self._said += chunk.pieces
        self._binding = self._binding or chunk.binding
        self._block = chunk.block

    def events(self, *, typed: bool) -> list[Event]:
        """All of it; nothing is held any more."""
        said, data, texts = self._said, self._data, self._texts
        if not data:
            return []
        binding, self._binding = self._binding, False
        self._data, self._texts, self._said = [], [], []
        if typed:
            return [*said]
        return [Relayed(b"".join(data), "".join(texts), len(texts), binding, self._block)]
