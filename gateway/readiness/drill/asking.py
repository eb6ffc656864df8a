"""What a drill asks by itself, where it leaves the apps alone: of each model that the ban would
move to a target of our own, texts of several lengths, a function, an answer by a schema.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.audit.journal import Journal
from gateway.audit.record import Record
from gateway.domain.call import Api, Call
from gateway.domain.decision import Labels
from gateway.domain.drill import ORIGIN, PATIENCE, Drill
from gateway.domain.drilled import Moved
from gateway.domain.target import Capability
from gateway.engine.heard import hear
from gateway.engine.loop import Engine
from gateway.errors import AuditUnavailable
from gateway.readiness.drill.fates import OURS
from gateway.wire.openai_chat import parse

MOST_AT_ONCE = 200
"""Requests of its own that may be under way: beyond that it skips some."""
_TEXT = (
    "The gateway practises that a vendor is gone. Its apps go on, and nobody waits for anybody. "
)
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
_TOOL: Mapping[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather of a city.", "parameters": _SCHEMA},
}
_SHAPE = {"type": "json_schema", "json_schema": {"name": "place", "schema": _SCHEMA}}
Fields = Mapping[str, Any]


def asked(moved: Moved) -> bool:
    """Whether the drill asks for that model: of what goes to another vendor it asks nothing."""
    return moved.locality in OURS


def kinds(can: Collection[str] | None) -> Iterator[Fields]:
    """The bodies that a target is asked with, but for the model, by what it ``can`` (``None``: not
    known, so everything). None for one that is there for embeddings alone.
    """
    if can is not None and Capability.EMBEDDINGS in can and Capability.CHAT not in can:
        return
    for repeats, tokens in ((0, 32), (6, 64), (40, 64)):
        text = f"{_TEXT * repeats}In two sentences: what is a river?"
        yield {"messages": _said(text), "max_tokens": tokens}
    if can is None or Capability.TOOLS in can:
        question = _said("What is the weather in Paris, a city of 2100000 people?")
        yield {
            "messages": question,
            "max_tokens": 96,
            "tools": [_TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        }
    if can is None or Capability.JSON_SCHEMA in can:
        question = _said("Paris has 2100000 people. Tell that as JSON.")
        yield {"messages": question, "max_tokens": 96, "response_format": _SHAPE}


def bodies(models: Mapping[str, Sequence[Fields]]) -> Iterator[Fields]:
    """Without end: the models in turn, each with its kinds in turn, every other one streamed."""
    number = 0
    while True:
        for model, fields in models.items():
            turn = fields[number % len(fields)]
            yield {"model": model, "stream": number % 2 == 0, "temperature": 0.7, **turn}
        number += 1


class Asker:
    """Asks by ``engine``; ``models`` are those to ask for, with their kinds of bodies."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        drill: Drill,
        models: Mapping[str, Sequence[Fields]],
        deadline: float,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._drill = drill
        self._models = models
        self._deadline = deadline
        self._under_way: set[asyncio.Task[object]] = set()

    async def run(self) -> None:
        """Until the drill ends; what is under way then has a little time more, and none where this
        is cancelled.
        """
        rate = self._drill.rate
        if rate is None or not self._models:
            return
        apps = self._drill.apps or (None,)
        began, number = time.monotonic(), 0
        try:
            for body in bodies(self._models):
                due = began + number / rate
                await asyncio.sleep(max(0.0, min(due - time.monotonic(), self._left)))
                if self._left <= 0:
                    break
                self._ask(body, apps[number % len(apps)])
                number += 1
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=PATIENCE)
        finally:
            for task in self._under_way:
                task.cancel()

    @property
    def _left(self) -> float:
        """Seconds; none once the engine goes by this drill no more, or the clock was set back."""
        now, drill = datetime.now(UTC), self._engine.drill
        if drill is None or drill.id != self._drill.id or not drill.holds(now):
            return 0.0
        return (drill.until - now).total_seconds()

    def _ask(self, body: Fields, app: str | None) -> None:
        if len(self._under_way) >= MOST_AT_ONCE:
            return
        try:
            self._journal.check()
        except AuditUnavailable:
            return
        id, now = os.urandom(16).hex(), time.monotonic()
        record = Record(id=id, at=datetime.now(UTC), api=Api.CHAT, origin=ORIGIN, cost=0)
        record.labels = Labels(app=app)
        call = called(id, body, record.labels, now, now + self._deadline)
        task = asyncio.create_task(hear(self._engine, self._journal, call, record))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


def called(id: str, body: Fields, labels: Labels, now: float, deadline: float) -> Call:
    """A body as the engine takes it."""
    written = json.dumps(body).encode()
    request = parse(written)
    return Call(
        id=id,
        api=Api.CHAT,
        model=request.model,
        stream=request.stream,
        body=written,
        asked=request.asked,
        received=now,
        deadline=deadline,
        needs=request.needs,
        labels=labels,
        typed=True,
    )


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]
