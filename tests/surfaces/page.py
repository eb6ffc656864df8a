"""Writes the tables of docs/surfaces.md: ``python -m tests.surfaces.page``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gateway.domain.call import Api, Call
from gateway.domain.identity import Identity, Locality
from gateway.domain.providers import PROVIDERS
from gateway.domain.target import Target
from gateway.errors import CapabilityMissing, GatewayError
from gateway.http.anthropic import AnthropicManners
from gateway.upstream.translate.parameters import Untranslatable, read
from gateway.wire import anthropic_errors, anthropic_messages, openai_chat
from gateway.wire.openai_request import written
from tests.surfaces import chat_parameters, message_parameters
from tests.surfaces.errors import CAUSES, Cause
from tests.surfaces.rows import Effect, Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "surfaces.md"
CLAUDE = PROVIDERS["anthropic"].capabilities
_BLOCK = "<!-- {name} -->\n\n{text}\n\n<!-- end of {name} -->"


ALWAYS = frozenset({"model", "messages", "max_tokens", "tool_choice"})
"""What any target is told of a message, whatever it says."""


def chat_rows() -> str:
    lines = [
        (f"`{row.title}`", _local(row), _translated(chat_parameters.PLAIN, row))
        for row in chat_parameters.ROWS
    ]
    return table(("parameter", "local model", "a channel translated to Anthropic's API"), lines)


def message_rows() -> str:
    lines = [(f"`{row.title}`", _local(row), _told(row)) for row in message_parameters.ROWS]
    return table(("parameter", "local model", "a vendor of the OpenAI dialect"), lines)


def errors() -> str:
    lines = [
        (
            cause.words,
            str(cause.error.status),
            f"`{cause.error.type}`, `{cause.error.code}`",
            f"`{cause.openai}`",
            str(anthropic_errors.status(cause.error)),
            f"`{_anthropic_type(cause.error)}`",
            f"`{cause.anthropic}`",
            _again(cause),
        )
        for cause in CAUSES
    ]
    openai = ("cause", "status", "`type`, `code`", "`openai` raises")
    anthropic = ("status", "`type`", "`anthropic` raises", "SDKs ask again")
    return table((*openai, *anthropic), lines)


def _anthropic_type(error: GatewayError) -> str:
    body = json.loads(AnthropicManners().envelope(error, "r"))
    return str(body["error"]["type"])


def _again(cause: Cause) -> str:
    return "yes, after `Retry-After`" if cause.again else "no"


def _local(row: Row) -> str:
    return f"refused: *{row.lacks}*" if row.effect is Effect.REFUSED else row.effect.value


def _translated(plain: Mapping[str, Any], row: Row) -> str:
    """What becomes of a chat completion's parameter on a channel that is translated."""
    body = json.dumps({**plain, **row.sends}).encode()
    lacking = sorted(openai_chat.parse(body).needs - CLAUDE)
    if lacking:
        return f"refused: *{lacking[0]}*"
    try:
        parameters = read(body).parameters
    except Untranslatable as missing:
        return f"refused: *{missing.param}*"
    known = row.name in parameters or row.name in ("model", "stream", "stream_options")
    return "given to litellm" if known else "no effect"


def _told(row: Row) -> str:
    """What becomes of a message's parameter at a vendor of the other dialect."""
    body = json.dumps({**message_parameters.PLAIN, **row.sends}).encode()
    without = {**message_parameters.PLAIN, **row.sends, **row.baseline}
    if not row.baseline:
        without.pop(row.name, None)
    target = Target("v", "real", Identity("v", "openai", "m", (), Locality.CLOUD, ()))
    try:
        sent = written(_call(body), target)
    except CapabilityMissing as missing:
        return f"refused: *{missing.param}*"
    if row.name in ALWAYS and not row.baseline:
        return "honoured"
    return (
        "no effect" if written(_call(json.dumps(without).encode()), target) == sent else "honoured"
    )


def _call(body: bytes) -> Call:
    request = anthropic_messages.parse(body)
    return Call(
        id="r",
        api=Api.MESSAGES,
        model="m",
        stream=request.stream,
        body=body,
        asked=request.chat,
        received=0,
        deadline=60,
        needs=request.needs,
    )


def table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    heads = tuple(heads)
    written = [heads, ("---",) * len(heads), *lines]
    return "\n".join("| " + " | ".join(cell for cell in line) + " |" for line in written)


TABLES: Mapping[str, Callable[[], str]] = {
    "chat completions": chat_rows,
    "messages": message_rows,
    "errors": errors,
}


def page(text: str) -> str:
    """The page with the tables as they are now."""
    for name, rows in TABLES.items():
        found = re.compile(_BLOCK.format(name=name, text=".*?"), re.DOTALL).split(text)
        if len(found) != 2:
            raise ValueError(f"{len(found) - 1} places for the table of {name}")
        text = _BLOCK.format(name=name, text=rows()).join(found)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    sys.stdout.write(f"{PAGE}\n")
