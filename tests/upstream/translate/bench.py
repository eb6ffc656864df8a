"""A channel that is translated, and what tests ask of it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from gateway.background import Background
from gateway.domain.call import Api, Call, Chat, Embedding
from gateway.domain.events import Event, Failed, FailureKind, Finished, Relayed, Started, Usage
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Target
from gateway.upstream.guard import EgressGuard
from gateway.upstream.translate.backend import TranslateBackend, Translated
from gateway.upstream.translate.link import Link
from gateway.upstream.translate.protocol import Begin
from tests.upstream import channels
from tests.upstream.conftest import NoDeepSeek
from tests.waiting import PATIENCE

PYTHON = Path(__file__).resolve().parents[3] / ".venv-translate" / "bin" / "python"
READY = 60.0
QUESTION = "In which country is Paris?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
"""A PNG of one pixel, in base64."""
LOOKED: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        ],
    }
]
"""A question about it."""


def called(id: str) -> list[dict[str, Any]]:
    """A conversation in which a function was called, with that id, and has answered."""
    function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    call = {"id": id, "type": "function", "function": function}
    return [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id, "content": "Sunny."},
    ]


@dataclass
class Bench:
    """One channel, called ``vendor``, and its ``model``. ``denied`` are channels that policy
    denies, ``looked_up`` the names that were resolved.
    """

    backend: TranslateBackend
    model: str
    denied: set[str] = field(default_factory=set)
    looked_up: list[str] = field(default_factory=list)

    @property
    def link(self) -> Link:
        return self.backend.links["vendor"]

    def target(self) -> Target:
        return Target(
            "vendor", self.model, Identity("vendor", "maker", self.model, (), Locality.CLOUD, ())
        )

    def call(self, *, stream: bool = False, within: float = PATIENCE, **fields: Any) -> Call:
        now = time.monotonic()
        body = {
            "model": "asked-model",
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": stream,
            **fields,
        }
        return Call(
            id="1",
            api=Api.CHAT,
            model="asked-model",
            stream=stream,
            body=json.dumps(body).encode(),
            asked=Chat(()),
            received=now,
            deadline=now + within,
        )

    async def events(self, **fields: Any) -> list[Event]:
        async with aclosing(self.backend.attempt(self.target(), self.call(**fields))) as batches:
            return [event async for batch in batches for event in batch]

    async def failure(self, **fields: Any) -> Failed:
        last = (await self.events(**fields))[-1]
        assert isinstance(last, Failed), last
        return last

    async def kind(self, **fields: Any) -> FailureKind:
        return (await self.failure(**fields)).kind

    async def embeddings(self, *, base64: bool = False, **fields: Any) -> list[Event]:
        """The events of a request for embeddings."""
        body = {"model": "asked-model", **fields}
        call = replace(
            self.call(),
            api=Api.EMBEDDINGS,
            body=json.dumps(body).encode(),
            asked=Embedding((), None),
            base64=base64,
        )
        async with aclosing(self.backend.attempt(self.target(), call)) as batches:
            return [event async for batch in batches for event in batch]

    async def plain(self, **fields: Any) -> dict[str, Any]:
        """The body of a plain answer."""
        events = await self.events(**fields)
        assert isinstance(events[-1], Finished), events[-1]
        body: dict[str, Any] = json.loads(_relayed(events))
        return body

    async def chunks(self, **fields: Any) -> list[dict[str, Any]]:
        """The chunks of a stream, which ends as one must."""
        events = await self.events(stream=True, **fields)
        assert isinstance(events[-1], Finished), events[-1]
        lines = _relayed(events).decode().split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def _relayed(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Relayed))


def usage_of(events: list[Event]) -> Usage:
    (found,) = (event for event in events if isinstance(event, Usage))
    return found


def model_of(events: list[Event]) -> str | None:
    (found,) = (event for event in events if isinstance(event, Started))
    return found.model


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    )


@asynccontextmanager
async def bench(
    provider: str,
    url: str,
    model: str,
    credentials: Mapping[str, str],
    *,
    also: tuple[str, ...] = (),
    parameters: Mapping[str, str] | None = None,
    authorities: str | None = None,
    wait: float = PATIENCE,
    base: bool = True,
) -> AsyncIterator[Bench]:
    """The channel's translator, up. ``also`` are further addresses that it may reach, ``wait`` its
    time-outs in seconds; without ``base`` litellm is not told where the API is.
    """
    denied: set[str] = set()
    looked_up: list[str] = []

    async def recorded(name: str, port: int) -> list[str]:
        looked_up.append(name)
        return ["127.0.0.1"]

    endpoints = {}
    for one in (url, *also):
        parts = urlsplit(one)
        channel = channels.channel(one, allow_private=True, connect=2, wait=wait)
        endpoints[parts.hostname or "", channel.port] = channel
    begin = Begin(
        provider=provider,
        credentials=dict(credentials),
        parameters=dict(parameters or {}),
        api_base=url if base else None,
        agent="sovereign-gateway/test",
        connect=2.0,
        authorities=authorities,
    )
    backend = TranslateBackend(
        [Translated("vendor", begin, endpoints)],
        EgressGuard(recorded),
        lambda name: name not in denied,
        NoDeepSeek(denied),
        PYTHON,
        Background(),
    )
    await backend.start()
    try:
        made = Bench(backend, model, denied, looked_up)
        assert await made.link.wait(READY), "run make translate"
        yield made
    finally:
        await backend.stop()
