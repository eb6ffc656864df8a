"""One request by the official client, and what an app can say of the answer: whether its shape is
the API's, its text, its error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from openai import APIConnectionError, APIStatusError, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import ValidationError

from tests.faults.row import Mode

TOKENS = 8
QUESTION = "In which country is the city of Paris?"


@dataclass(frozen=True, slots=True)
class Got:
    """``problems`` are what is wrong with the answer whoever gave it; ``usage`` is prompt,
    completion and total; ``broken`` says that a stream ended in an error event.
    """

    status: int
    headers: Mapping[str, str]
    text: str = ""
    code: str = ""
    broken: bool = False
    usage: tuple[int, int, int] | None = None
    problems: tuple[str, ...] = ()


def ask(client: OpenAI, model: str, mode: Mode, fields: Mapping[str, Any]) -> Got:
    """Ask, and read all of the answer."""
    more: dict[str, Any] = {"temperature": 0, "max_tokens": TOKENS, **fields}
    if mode is Mode.STREAM:
        more["stream_options"] = {"include_usage": True}
    try:
        with client.chat.completions.with_streaming_response.create(
            model=model,
            messages=[{"role": "user", "content": QUESTION}],
            stream=mode is Mode.STREAM,
            **more,
        ) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            read = _stream if mode is Mode.STREAM else _whole
            return read(answer.status_code, headers, b"".join(answer.iter_bytes()), model)
    except APIStatusError as error:
        answered = error.response
        headers = {name.lower(): value for name, value in answered.headers.items()}
        body = json.loads(answered.content)
        return Got(answered.status_code, headers, code=body["error"]["code"] or "",
                   problems=_envelope(body))  # fmt: skip
    except APIConnectionError as error:
        return Got(0, {}, problems=(f"no answer: {error.__cause__!r}",))
    except OSError as error:
        return Got(0, {}, problems=(f"the answer broke off: {error!r}",))


def _envelope(body: Any) -> tuple[str, ...]:
    """What an error must have for the client to make its exception of it."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or set(error) != {"message", "type", "param", "code"}:
        return (f"an error of another shape: {body}",)
    return () if error["message"] and error["type"] else ("an error without message or type",)


def _whole(status: int, headers: Mapping[str, str], body: bytes, model: str) -> Got:
    try:
        answer = ChatCompletion.model_validate_json(body)
    except ValidationError as error:
        return Got(status, headers, problems=(f"no chat completion: {error.errors()[0]}",))
    asserted = {
        "another model": answer.model == model,
        "not one choice": len(answer.choices) == 1,
        "no usage": answer.usage is not None,
    }
    usage = None
    if answer.usage is not None:
        counts = answer.usage
        usage = (counts.prompt_tokens, counts.completion_tokens, counts.total_tokens)
    return Got(
        status,
        headers,
        answer.choices[0].message.content or "",
        usage=usage,
        problems=tuple(what for what, right in asserted.items() if not right),
    )


@dataclass
class _Stream:
    """What has come of a stream."""

    events: list[ChatCompletionChunk] = field(default_factory=list)
    done: int = 0
    error: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)

    def take(self, line: str) -> None:
        if not line or line.startswith(":"):
            return
        if self.done or self.error:
            self.problems.append(f"behind the end: {line[:60]}")
            return
        data = line.removeprefix("data: ")
        if data == "[DONE]":
            self.done += 1
            return
        try:
            value = json.loads(data)
            if "error" in value:
                self.error = value
                self.problems += _envelope(value)
                return
            self.events.append(ChatCompletionChunk.model_validate(value))
        except (ValueError, TypeError) as error:
            self.problems.append(f"no chunk: {data[:60]} ({error!r:.60})")

    def all(self, pick: Callable[[ChatCompletionChunk], Any]) -> list[Any]:
        return [value for event in self.events if (value := pick(event)) is not None]


def _stream(status: int, headers: Mapping[str, str], body: bytes, model: str) -> Got:
    stream = _Stream()
    for line in body.decode().split("\n"):
        stream.take(line.rstrip("\r"))
    roles = stream.all(lambda e: e.choices[0].delta.role if e.choices else None)
    ends = stream.all(lambda e: e.choices[0].finish_reason if e.choices else None)
    usages = stream.all(lambda e: e.usage)
    whole = stream.error is None
    asserted = {
        "not one id": len({e.id for e in stream.events}) == 1,
        "not one time of creation": len({e.created for e in stream.events}) == 1,
        "another model": {e.model for e in stream.events} == {model},
        f"{len(roles)} roles": roles == ["assistant"],
        f"{len(ends)} finish reasons": len(ends) == whole,
        f"{stream.done} terminators": stream.done == whole,
        "no usage": bool(usages) == whole,
        "usage is not last": not usages or stream.events[-1].usage is not None,
    }
    stream.problems += [what for what, right in asserted.items() if not right]
    text = "".join(stream.all(lambda e: e.choices[0].delta.content if e.choices else None))
    last = usages[-1] if usages else None
    return Got(
        status,
        headers,
        text,
        code=(stream.error or {}).get("error", {}).get("code") or "",
        broken=not whole,
        usage=last and (last.prompt_tokens, last.completion_tokens, last.total_tokens),
        problems=tuple(stream.problems),
    )
