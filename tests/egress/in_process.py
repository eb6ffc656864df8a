"""The whole gateway in this process, told as a story: asked, let down by vendors, given other
policies; and what its sockets did meanwhile, each act judged at its instant.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from starlette.types import Message

from gateway.audit.record import Record
from gateway.config.credential import renew
from gateway.config.presence import run_dir
from gateway.config.publication import Publication, publish
from gateway.config.settings import load_settings
from gateway.domain.call import Call
from gateway.domain.decision import Labels, Verdict
from gateway.domain.events import Delta, Event, Finished, FinishReason, Started, Usage
from gateway.domain.identity import Locality
from gateway.domain.target import Target
from gateway.engine.attempt import Told
from gateway.engine.routes import Route
from gateway.http.app import create_app
from gateway.policy.evaluate import evaluate
from gateway.serving import ServeOptions
from gateway.telemetry.readings import Shared
from gateway.wiring import Gateway
from tests.egress.drawn import (
    ANSWERS,
    EVERYBODY,
    Ask,
    Mishap,
    Story,
    Swap,
    configuration,
    policy_text,
)
from tests.egress.watched import ASKING, Asking, WatchedLoop, Way
from tests.simulators.vendor import VendorSimulator

GRACE = timedelta(seconds=0.1)
"""Between the question and the act a date may pass."""
NOBODY = {"default": "deny", "in_flight": "finish", "vendors": {}, "rules": []}
SHUT = {**NOBODY, "rules": [{"match": {"locality": ["cloud", "sovereign"]}, "verdict": "deny"}]}


@dataclass(frozen=True)
class Act:
    """Something that a socket, or a look-up for one, did. ``allowed`` is by the policy in force at
    that instant.
    """

    what: str
    channel: str
    model: str | None
    asking: Asking | None
    at: float
    allowed: bool


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes

    @property
    def proper(self) -> bool:
        """Whether it is an answer or a typed error."""
        if self.status == 200 and self.headers[b"content-type"].startswith(b"text/event-stream"):
            *_, last, end = self.body.decode().split("\n\n")
            return end == "" and (last == "data: [DONE]" or "error" in json.loads(last[6:]))
        body = json.loads(self.body)
        if self.status == 200:
            return bool(body["choices"][0]["message"]["content"])
        return self.status != 500 and bool(body["error"]["type"] and body["error"]["message"])


class Words:
    """A local target that says two words at once."""

    def ready(self, target: Target) -> bool:
        return True

    async def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        yield (Started(),)
        for word in ("two", " words"):
            yield (Delta(word),)
            await asyncio.sleep(0)
        yield (Usage(1, 2), Finished((FinishReason.STOP,)))


class Tale:
    """One story: ``acts`` and ``replies`` are what came of it."""

    def __init__(self, story: Story, folder: Path, vendors: Mapping[str, VendorSimulator]) -> None:
        self.acts: list[Act] = []
        self.replies: list[Reply] = []
        self._story = story
        self._vendors = vendors
        self._began = datetime.now(UTC)
        self._policy = folder / "policies" / "10.yaml"
        self._policy.parent.mkdir(parents=True)
        self._policy.write_text(policy_text(story.first, self._began))
        config = folder / "gateway.yaml"
        config.write_text(configuration(story, {n: v.port for n, v in vendors.items()}))
        text = config.read_bytes()
        run_folder = run_dir(load_settings(config, {}, {}, text))
        publish(run_folder, Publication(1, text, {}))
        renew(run_folder)
        shared, url = Shared.begin(folder / "run").folder, "http://127.0.0.1:0"
        self._gateway = Gateway(ServeOptions(config, {}, text, url, shared, url))
        engine = self._gateway.engine
        engine._backends = {**engine._backends, "local": Words()}
        self._app = create_app(self._gateway)
        run = engine.run

        def labelled(
            call: Call,
            record: Record,
            reader: asyncio.Task[Any] | None = None,
            route: Route | None = None,
        ) -> AsyncGenerator[Sequence[Told], None]:
            asking = ASKING.get()
            assert asking is not None
            record.labels = asking.labels
            return run(replace(call, labels=asking.labels), record, reader, route)

        engine.run = labelled  # type: ignore[method-assign]

    async def run(self) -> None:
        """Tell it, then shut everything off and wait until nothing is open."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, WatchedLoop)
        ports = {vendor.port: name for name, vendor in self._vendors.items()}
        loop.way = Way(ports, self._note, random.Random(self._story.seed))
        asked = []
        async with self._gateway.lifespan():
            for number, step in enumerate(self._story.steps):
                match step:
                    case Ask():
                        asking = Asking(f"r{number}", step.model, step.labels)
                        asked.append(asyncio.create_task(self._ask(asking, step.stream)))
                        await asyncio.sleep(step.pause)
                    case Mishap():
                        vendor = self._vendors[step.channel]
                        await asyncio.to_thread(vendor.behave, step.behaviour, **step.options)
                    case Swap():
                        self._swap(step.rules)
                        await asyncio.sleep(step.pause)
            self.replies = await asyncio.gather(*asked)
            self._swap(SHUT)
            until = time.monotonic() + 20
            while any(vendor.open for vendor in self._vendors.values()):
                assert time.monotonic() < until, "a connection is kept to whom nobody may use"
                await asyncio.sleep(0.005)

    def _swap(self, rules: dict[str, Any]) -> None:
        """As the watcher of the policy's files does it, but now."""
        self._policy.write_text(policy_text(rules, self._began))
        store = self._gateway._store
        store.reload()
        assert store.problem is None
        self._gateway._changed()

    async def _ask(self, asking: Asking, stream: bool) -> Reply:
        """One request through the ASGI app."""
        ASKING.set(asking)
        message = {"role": "user", "content": "hi"}
        body = {"model": asking.model, "messages": [message], "stream": stream, "user": asking.id}
        incoming: list[Message] = [{"type": "http.request", "body": json.dumps(body).encode()}]
        gone = asyncio.Event()
        outgoing: list[Message] = []

        async def receive() -> Message:
            if incoming:
                return incoming.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            outgoing.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        }
        await self._app(scope, receive, send)
        gone.set()
        start, *pieces = outgoing
        data = b"".join(piece.get("body", b"") for piece in pieces)
        return Reply(start["status"], dict(start["headers"]), data)

    def _note(self, what: str, channel: str, model: str | None) -> None:
        asking = ASKING.get()
        allowed = self._allowed(channel, model, asking)
        self.acts.append(Act(what, channel, model, asking, time.time(), allowed))

    def _allowed(self, channel: str, model: str | None, asking: Asking | None) -> bool:
        """Whether any target that this can be for may be used by whom it is for. Where nobody in
        particular asks, by anybody.
        """
        gateway = self._gateway
        routes = gateway.engine.routes
        if asking is not None:
            targets = routes.find(asking.model).targets
        else:
            configured = [target for route in routes.all() for target in route.targets]
            bare = [
                gateway._now.inventory.server(name) for name in gateway._now.inventory.sovereign
            ]
            targets = (*configured, *bare)
        now = datetime.now(UTC)
        return any(
            self._may(target, labels, at)
            for target in targets
            if target.channel == channel and model in (None, target.model)
            for labels in ([asking.labels] if asking is not None else EVERYBODY)
            for at in (now, now - GRACE)
        )

    def _may(self, target: Target, labels: Labels, at: datetime) -> bool:
        if self._story.offline and target.locality is Locality.CLOUD:
            return False
        policy = self._gateway._store.current
        decision = evaluate(policy, target.id, target.identity, labels, at)
        return decision.acted is not Verdict.DENY


def settle(vendors: Mapping[str, VendorSimulator]) -> None:
    """All vendors up and answering, each with a model of its own."""
    for name, vendor in vendors.items():
        model = ANSWERS.get(name)
        if model is None:
            vendor.behave("answer")
        else:
            vendor.behave("other_model", model=model)
