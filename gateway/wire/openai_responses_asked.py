"""A request of the Responses API as it is put to a vendor that has that API.

The state of a conversation is the gateway's. The body that comes here holds the whole of it, so the
vendor is told to keep nothing (``store: false``), and is not shown what refers to something kept:
ids of items, and reasoning that does not hold its own content. Servers of one's own look nothing
up, and check items by the published types, in which ids are required: they get them as they are.

Sources: the published pages on conversation state and on reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.domain.call import Begun, Call, Chat
from gateway.domain.identity import Locality
from gateway.domain.target import Target
from gateway.wire.model_name import with_model

ENCRYPTED = "reasoning.encrypted_content"
"""What is to be included so that reasoning can be shown to its model again."""

_THINKING_MODEL = re.compile(r"(o[1-9]|gpt-[5-9]|codex)(?!.*\bchat\b)")
"""Names of OpenAI's models that reason by default. Others refuse to be asked for ``ENCRYPTED``."""
_NAMELESS = frozenset(
    {
        *("message", "function_call", "function_call_output"),
        *("custom_tool_call", "custom_tool_call_output", "web_search_call", "local_shell_call"),
    }
)
"""Items that are complete without an id, and would be looked up by it: OpenAI's own clients send
none for what is not kept.
"""
_LOOKED_UP = re.compile(rb'"(?:id|reasoning)"')
_COUNTED = frozenset(
    {
        *("model", "input", "instructions", "parallel_tool_calls", "personality", "reasoning"),
        *("text", "tool_choice", "tools", "truncation"),
    }
)
"""Parameters that a count is of."""
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_any = msgspec.json.Decoder()


def asked_of(call: Call, target: Target) -> bytes:
    """The body that asks for an answer. ``call.body`` holds the history that it goes on from.
    Raises ``ValueError`` for what is no JSON object.
    """
    members = _objects.decode(with_model(call.body, call.model, target.model))
    kept = _value(members, "store") is not False
    _replace(members, "store", False)
    members["input"] = _input(members, target)
    if kept and _thinks(members, target):
        included = _value(members, "include") or []
        if ENCRYPTED not in included:
            _replace(members, "include", [*included, ENCRYPTED])
    if call.begun is not None and isinstance(call.task, Chat):
        _go_on(members, call.task, call.begun)
    return msgspec.json.encode(members)


def counted_by(call: Call, target: Target) -> bytes:
    """The body that asks how many tokens the input has. Raises ``ValueError``."""
    members = _objects.decode(with_model(call.body, call.model, target.model))
    members["input"] = _input(members, target)
    counted = {name: value for name, value in members.items() if name in _COUNTED}
    return msgspec.json.encode(counted)


def _input(members: Mapping[str, msgspec.Raw], target: Target) -> msgspec.Raw:
    """The input without what refers to something that a vendor would have kept."""
    written = bytes(members.get("input", b"[]"))
    own = target.locality is Locality.SOVEREIGN
    if own or not written.startswith(b"[") or not _LOOKED_UP.search(written):
        return msgspec.Raw(written)
    items = [item for item in _items.decode(written) if not _is_reference(item)]
    for item in items:
        if _value(item, "type") in (None, *_NAMELESS):
            item.pop("id", None)
    return msgspec.Raw(msgspec.json.encode(items))


def _is_reference(item: Mapping[str, msgspec.Raw]) -> bool:
    """Whether it is reasoning whose content the vendor would have to know."""
    return _value(item, "type") == "reasoning" and not _value(item, "encrypted_content")


def _thinks(members: Mapping[str, msgspec.Raw], target: Target) -> bool:
    """Whether the target reasons, and may be asked for that in a form that can be kept."""
    if target.locality is Locality.SOVEREIGN:
        return False
    named = _THINKING_MODEL.match(target.identity.model)
    return bool(named) or _value(members, "reasoning") is not None


def _go_on(members: dict[str, msgspec.Raw], chat: Chat, begun: Begun) -> None:
    """Make it the request for the rest of an answer: what there is of it stands as the assistant's
    message, which a vendor goes on from as it sees fit.
    """
    written = _any.decode(members["input"])
    items = [{"role": "user", "content": written}] if isinstance(written, str) else written
    if chat.prefill != begun.text:
        # The app itself gave the turn's beginning, as its last message.
        items.pop()
    if chat.prefill:
        items.append({"role": "assistant", "content": chat.prefill})
    _replace(members, "input", items)
    if chat.max_tokens is not None and "max_output_tokens" in members:
        _replace(members, "max_output_tokens", chat.max_tokens)


def _value(members: Mapping[str, msgspec.Raw], name: str) -> Any:
    return _any.decode(members[name]) if name in members else None


def _replace(members: dict[str, msgspec.Raw], name: str, value: object) -> None:
    """Some decoders do not look at the case of a key."""
    for key in [key for key in members if key.lower() == name]:
        del members[key]
    members[name] = msgspec.Raw(msgspec.json.encode(value))
