"""``POST /v1/responses``: of the OpenAI dialect, with answers that may follow those before them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from gateway.domain.call import Api, Call, Chat, Counting
from gateway.domain.kept import KeptResponse
from gateway.errors import GatewayError
from gateway.http.arrival import Arrival
from gateway.http.openai import OpenAIManners
from gateway.http.surface import Surface
from gateway.wire import openai_responses, openai_responses_errors
from gateway.wire.openai_responses_answer import InputTokensWriter, ResponsesWriter
from gateway.wire.openai_responses_given import given
from gateway.wire.openai_responses_output import Progress
from gateway.wire.writer import Writer


class ResponseStore(Protocol):
    """Where answers are kept. ``owner`` is whose they are, as ``Caller.owner`` says it: what one
    has kept, no other is told of.
    """

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all."""
        ...

    async def history(self, owner: str, id: str) -> Sequence[bytes]:
        """The items of an answer and of all that it follows, oldest first, and of each its input
        before its output: JSON objects. Raises ``RequestError`` (``previous_response_not_found``,
        of the parameter ``previous_response_id``) where there is none.
        """
        ...

    async def keep(self, owner: str, kept: KeptResponse) -> None:
        """Keep an answer. Raises nothing: an app is not to lose an answer for it."""
        ...


class ResponseCall(Call, frozen=True, kw_only=True):
    """A call whose answer may be kept: for ``owner``, behind the one that is ``previous``, with the
    items that the app sent as ``input``. With ``padded`` the stream's deltas are obfuscated.
    """

    owner: str
    keep: bool
    previous: str | None
    input: tuple[bytes, ...]
    padded: bool


class Responses(OpenAIManners, Surface):
    """``POST /v1/responses``."""

    api = Api.RESPONSES

    def __init__(self, store: ResponseStore) -> None:
        self._store = store

    def envelope(self, error: GatewayError, request_id: str) -> bytes:
        return openai_responses_errors.envelope(error)

    async def call(self, arrival: Arrival, body: bytes) -> ResponseCall:
        parsed = openai_responses.parse(body)
        whose = arrival.caller.owner
        history = await self._history(whose, parsed.previous_response_id)
        request = openai_responses.asked(parsed, body, history)
        return ResponseCall(
            id=arrival.id,
            api=self.api,
            model=request.model,
            stream=request.stream,
            body=request.body,
            asked=request.chat,
            received=arrival.received,
            deadline=arrival.deadline,
            labels=arrival.caller.labels,
            client_id=arrival.head.client_id,
            include_usage=True,
            needs=request.needs,
            session=request.session,
            owner=whose,
            keep=request.store and self._store.keeps,
            previous=request.previous,
            input=request.input,
            padded=request.padded,
        )

    async def _history(self, whose: str, previous: str | None) -> Sequence[bytes]:
        if previous is None:
            return ()
        return await self._store.history(whose, previous)

    def writer(self, call: Call) -> Writer:
        assert isinstance(call, ResponseCall)  # noqa: S101 - this surface's own
        return ResponsesWriter(
            Progress(f"resp_{call.id}", int(time.time())),
            given(call.body, previous=call.previous, stored=call.keep),
            clock=time.time,
            padded=call.padded,
        )

    async def settled(self, call: Call, writer: Writer) -> None:
        assert isinstance(call, ResponseCall)  # noqa: S101 - this surface's own
        assert isinstance(writer, ResponsesWriter)  # noqa: S101 - as above
        if not call.keep:
            return
        progress = writer.progress
        await self._store.keep(
            call.owner,
            KeptResponse(progress.id, call.previous, progress.created, call.input, writer.response),
        )


class InputTokens(Responses):
    """``POST /v1/responses/input_tokens``."""

    api = Api.INPUT_TOKENS

    async def call(self, arrival: Arrival, body: bytes) -> ResponseCall:
        call = await super().call(arrival, body)
        assert isinstance(call.task, Chat)  # noqa: S101 - what this API asks for
        return replace(call, stream=False, keep=False, asked=Counting(call.task))

    def writer(self, call: Call) -> Writer:
        return InputTokensWriter()

    async def settled(self, call: Call, writer: Writer) -> None:
        """Nothing is kept of a count."""
