"""What canaries ask: what an app asked before, with bounds, or something of our own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from gateway.domain.call import (
    Api,
    Call,
    Chat,
    Completion,
    Embedding,
    Message,
    Sampling,
    Shape,
    ShapeKind,
    Task,
    Tool,
    ToolChoice,
    Tools,
)
from gateway.domain.target import Capability
from gateway.engine.heard import Heard, HeardCall

WITHIN = 120.0
"""Seconds that a canary's answer may take."""


def bounded(task: Chat | Completion, most: int) -> tuple[Chat | Completion, int | None]:
    """The task with one answer of no more than ``most`` tokens; that number, where the app allowed
    more. Without a seed: what is to be repeatable is computed by itself, and holds up all others.
    """
    limit = most if task.max_tokens is None or task.max_tokens > most else None
    sampling = replace(task.sampling, seed=None)
    tokens = task.max_tokens if limit is None else limit
    if isinstance(task, Completion):
        prompts = task.prompts[:1]
        asked: Chat | Completion = replace(
            task, prompts=prompts, choices=1, logprobs=None, sampling=sampling, max_tokens=tokens
        )
    else:
        asked = replace(task, choices=1, logprobs=None, sampling=sampling, max_tokens=tokens)
    return asked, limit


def call(model: str, task: Task, api: Api = Api.CHAT, *needs: Capability) -> Call:
    """A call that no app makes."""
    now = time.monotonic()
    return Call(
        id=os.urandom(16).hex(),
        api=api,
        model=model,
        stream=not isinstance(task, Embedding),
        body=b"",
        asked=task,
        received=now,
        deadline=now + WITHIN,
        needs=frozenset(needs),
        typed=True,
        spare=True,
    )


class Own(NamedTuple):
    """Something of our own to ask, and what an answer is held to."""

    call: Call
    expected: Heard | None


def own(model: str, abilities: Collection[Capability], most: int) -> Iterator[Own]:
    """What a model of these abilities is asked by itself, the shortest first."""
    sampling = Sampling(temperature=0.0)

    def chat(text: str, tools: Tools | None = None, shape: Shape | None = None) -> Chat:
        return Chat((Message("user", text),), sampling, most, tools=tools, shape=shape)

    if Capability.CHAT in abilities:
        yield Own(call(model, chat("In which country is the city of Paris?")), _said("France"))
        if Capability.TOOLS in abilities:
            tools = Tools((_CITY,), ToolChoice.REQUIRED)
            asked = chat("Look up the weather in Paris.", tools=tools)
            calls = call(model, asked, Api.CHAT, Capability.TOOLS)
            yield Own(calls, _said("", HeardCall(_CITY.name, '{"city":"Paris"}')))
        if Capability.JSON_SCHEMA in abilities:
            shape = Shape(ShapeKind.JSON_SCHEMA, _COUNTRY)
            asked = chat("In which country is the city of Paris? Answer in JSON.", shape=shape)
            written = call(model, asked, Api.CHAT, Capability.JSON_SCHEMA)
            yield Own(written, _said('{"country":"France"}'))
    elif Capability.COMPLETIONS in abilities:
        asked_on = Completion(("The city of Paris is in",), sampling=sampling, max_tokens=most)
        yield Own(call(model, asked_on, Api.COMPLETIONS), _said("France"))
    if Capability.EMBEDDINGS in abilities and Capability.CHAT not in abilities:
        vectors = Embedding(("The city of Paris is in France.",))
        yield Own(call(model, vectors, Api.EMBEDDINGS), None)


def _said(text: str, *calls: HeardCall) -> Heard:
    return Heard(text=text, thoughts="", calls=calls, seconds=0.0)


_CITY = Tool(
    "look_up_weather",
    "The weather in a city.",
    json.dumps(
        {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 60}},
            "required": ["city"],
            "additionalProperties": False,
        }
    ),
)
_COUNTRY = json.dumps(
    {
        "type": "object",
        "properties": {"country": {"type": "string", "maxLength": 60}},
        "required": ["country"],
        "additionalProperties": False,
    }
)
