"""The serving process's side of the local models: a ``Backend`` over their workers' sockets."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from gateway.background import Background
from gateway.domain.call import Call, Chat, Counting, Passing, Task
from gateway.domain.events import (
    Called,
    Delta,
    Embedded,
    Event,
    Failed,
    FailureKind,
    Finished,
    FinishReason,
    Reasoned,
    Started,
    Usage,
)
from gateway.domain.target import Target
from gateway.errors import (
    CapabilityMissing,
    ContextOverflow,
    InvalidRequest,
    RequestError,
    Unavailable,
)
from gateway.local.link import Answer, Link
from gateway.local.links import Links
from gateway.local.protocol import (
    Accepted,
    Count,
    Counted,
    Done,
    Hello,
    Reason,
    RefusalKind,
    Refused,
    Text,
    Vectors,
    work,
)
from gateway.local.reader import PieceKind
from gateway.local.suspects import REMEMBERED
from gateway.processes.frames import ProtocolError

BACK_SOON = 2.0
"""Seconds: within this a lost worker of a small model is back."""
PATIENCE = 10.0
"""Seconds that a request waits for a worker that was lost."""
LOADING = 120.0
"""Seconds that one waits for a model that is loaded on demand, room being made for it."""
MOST_TRIES = 3
"""Workers that get a request: by then it is known whether it ends them."""

FAILURES: Mapping[RefusalKind, FailureKind] = {
    RefusalKind.BUSY: FailureKind.BUSY,
    RefusalKind.CONTEXT_OVERFLOW: FailureKind.CONTEXT_OVERFLOW,
    RefusalKind.REQUEST: FailureKind.REQUEST_FAULT,
    RefusalKind.INCAPABLE: FailureKind.INCAPABLE,
    RefusalKind.FAULT: FailureKind.SERVER_ERROR,
}

LOST = Failed(FailureKind.WORKER_LOST, "the local model's worker is not up", retry_after=BACK_SOON)
CONVICTED = Failed(
    FailureKind.INCAPABLE,
    "two workers of the local model ended while they computed this request: it is not tried again "
    f"for {REMEMBERED / 60:.0f} minutes",
)


class LocalBackend:
    """Performs attempts on local models. ``sockets`` is the Unix socket of each by its name;
    ``on_demand`` are those that are loaded when they are asked for.
    """

    def __init__(
        self,
        sockets: Mapping[str, Path],
        background: Background,
        on_demand: Collection[str] = frozenset(),
    ) -> None:
        self._sockets = dict(sockets)
        self._on_demand = frozenset(on_demand)
        self._links = Links(background)

    async def start(self) -> None:
        """Begin to connect; does not wait for any worker."""
        self._links.start(self._sockets, self._on_demand)

    def change(
        self, sockets: Mapping[str, Path], on_demand: Collection[str], at_once: Collection[str] = ()
    ) -> None:
        """Other models: answers under way are left to their end. One whose socket is another is
        asked there as soon as it is ready, or ``at_once``. Does not wait for any worker.
        """
        self._sockets, self._on_demand = dict(sockets), frozenset(on_demand)
        self._links.change(self._sockets, self._on_demand, at_once)

    async def stop(self) -> None:
        """Close all connections; what is still being answered fails."""
        await self._links.stop()

    def coming(self, name: str) -> bool:
        """Whether a model was added while all else is running, and has never been ready."""
        return self._links.coming(name)

    async def wait_ready(self, name: str, timeout: float) -> bool:
        """Whether the worker of the model ``name`` has said that it is ready within ``timeout``
        seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._links.of(name).up.wait()
        except TimeoutError:
            return False
        return True

    def ready(self, target: Target) -> bool:
        """Whether an attempt will be taken: the model is loaded, or soon will be again."""
        link = self._links.get(target.model)
        return link is not None and (link.hello is not None or link.expected)

    def loaded(self, name: str) -> Hello | None:
        """What the worker of that name has said of its model, once that is loaded and warmed and as
        long as the worker is connected.
        """
        link = self._links.get(name)
        return link.hello if link is not None else None

    async def count(self, name: str, task: Task) -> int:
        """How many tokens the prompts of a task have for the model ``name``, all together. Of one
        that is too long for it, it is only known that it has no fewer.

        Raises Unavailable where its worker is not there, RequestError where the task is not one
        for that model.
        """
        link = self._links.get(name)
        if link is None:
            raise Unavailable(LOST.message)
        request = Count(work(link.next_id(), task))
        try:
            answers = link.open(request)
        except ProtocolError as error:
            raise ContextOverflow(str(error)) from error
        if answers is None:
            raise Unavailable(LOST.message, retry_after=BACK_SOON)
        try:
            answer = await answers.get()
        finally:
            link.close(request.id)
        match answer:
            case Counted():
                return answer.tokens
            case Refused(kind=RefusalKind.INCAPABLE):
                raise CapabilityMissing(answer.message, param=answer.param)
            case Refused(kind=RefusalKind.REQUEST):
                raise InvalidRequest(answer.message, param=answer.param)
            case _:
                raise Unavailable(LOST.message, retry_after=BACK_SOON)

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        """Yield the events of one attempt, together those of all that has come. Closing the
        generator frees the slot at once. Where a worker is lost before it has said anything, the
        next one is asked, as soon as it is there.
        """
        link = self._links.get(target.model)
        if link is None:
            yield (LOST,)
            return
        if isinstance(call.task, Passing):
            yield (Failed(FailureKind.INCAPABLE, f"a local model has no /v1/{call.api}"),)
            return
        if isinstance(call.task, Counting):
            yield await self._counted(link, target, call, call.task)
            return
        told = False
        # One that is to cost nobody anything is not to cost another worker either.
        for last in (True,) if call.spare else (False,) * (MOST_TRIES - 1) + (True,):
            retry = False
            # The model may have been replaced while this waited.
            link = self._links.get(target.model) or link
            async with aclosing(self._try(link, target, call, call.task)) as batches:
                async for events in batches:
                    told = told or any(
                        event is not LOST and not isinstance(event, Started) for event in events
                    )
                    retry = events[-1] is LOST and not told and not last and link.expected
                    if retry:
                        break
                    yield events
            if not retry:
                return

    async def _counted(
        self, link: Link, target: Target, call: Call, counting: Counting
    ) -> tuple[Event, ...]:
        """The events of an attempt that only counts."""
        if not await self._there(link, target, call):
            return (LOST,)
        try:
            tokens = await self.count(target.model, counting.task)
        except RequestError as error:
            kind = FailureKind.REQUEST_FAULT
            if isinstance(error, CapabilityMissing):
                kind = FailureKind.INCAPABLE
            return (Failed(kind, error.message, param=error.param),)
        except Unavailable:
            return (LOST,)
        return Started(target.model), Usage(tokens, 0), Finished()

    async def _there(self, link: Link, target: Target, call: Call) -> bool:
        """Wait for a worker, as long as makes sense."""
        patience = LOADING if target.model in self._on_demand else PATIENCE
        return await link.wait(min(patience, call.deadline - time.monotonic()))

    async def _try(
        self, link: Link, target: Target, call: Call, task: Task
    ) -> AsyncGenerator[Sequence[Event], None]:
        """Ask one worker."""
        if not await self._there(link, target, call):
            yield (LOST,)
            return
        now = time.monotonic()
        if link.suspects.convicted(task, now):
            yield (CONVICTED,)
            return
        request = work(
            link.next_id(),
            task,
            app=f"{call.labels.team}/{call.labels.app}",
            within=call.deadline - now,
            suspect=link.suspects.suspected(task, now),
            spare=call.spare,
        )
        answer = _Answer(target.model, call)
        try:
            answers = link.open(request)
        except ProtocolError as error:
            yield (Failed(FailureKind.CONTEXT_OVERFLOW, str(error)),)
            return
        if answers is None:
            yield (LOST,)
            return
        try:
            ended = False
            while not ended:
                if events := tuple(answer.events(await _batch(answers))):
                    ended = isinstance(events[-1], Finished | Failed)
                    yield events
        finally:
            link.close(request.id)


async def _batch(answers: asyncio.Queue[Answer | None]) -> list[Answer | None]:
    """Whatever is there, at least one."""
    batch = [await answers.get()]
    while not answers.empty():
        batch.append(answers.get_nowait())
    return batch


class _Answer:
    """Turns a worker's replies to one call into events."""

    def __init__(self, model: str, call: Call) -> None:
        self._model = model
        # An app that named the function that must be called is told that its answer simply ended.
        tools = call.task.tools if isinstance(call.task, Chat) else None
        self._named = tools is not None and tools.named is not None
        self._calls: Counter[int] = Counter()

    def events(self, batch: list[Answer | None]) -> Iterator[Event]:
        """Pieces that arrived together and belong together become one event."""
        texts: list[Text] = []
        for answer in batch:
            if texts and not (isinstance(answer, Text) and _follows(texts[-1], answer)):
                yield self._piece(texts)
                texts = []
            match answer:
                case None:
                    yield LOST
                case Accepted():
                    yield Started(self._model)
                case Text():
                    texts.append(answer)
                case Vectors():
                    yield Embedded(answer.vectors)
                case Counted():
                    pass
                case Done():
                    yield Usage(
                        answer.prompt_tokens,
                        answer.completion_tokens,
                        answer.cached,
                        answer.reasoning,
                    )
                    yield Finished(tuple(map(self._reason, answer.reasons)), stop=answer.stop)
                case Refused():
                    yield Failed(
                        FAILURES[answer.kind],
                        answer.message,
                        retry_after=answer.retry_after,
                        param=answer.param,
                    )
        if texts:
            yield self._piece(texts)

    def _piece(self, texts: list[Text]) -> Event:
        kind, choice = texts[0].kind, texts[0].choice
        text = "".join(one.text for one in texts)
        match kind:
            case PieceKind.CONTENT:
                scores = tuple(score for one in texts for score in one.scores)
                return Delta(text, choice, scores)
            case PieceKind.REASONING:
                return Reasoned(text, choice)
            case PieceKind.CALL:
                index = self._calls[choice]
                self._calls[choice] += 1
                id = f"call_{uuid.uuid4().hex[:24]}"
                return Called(index, id=id, name=text, choice=choice)
            case PieceKind.ARGUMENTS:
                return Called(self._calls[choice] - 1, text, choice=choice)

    def _reason(self, reason: Reason) -> FinishReason:
        if reason is Reason.TOOL_CALLS and self._named:
            return FinishReason.STOP
        return FinishReason(reason.value)


def _follows(last: Text, next: Text) -> bool:
    """Whether two pieces are of one text."""
    return (last.kind, last.choice) == (next.kind, next.choice) and next.kind is not PieceKind.CALL
