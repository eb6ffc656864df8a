"""What is told of a response that is kept: the items that it was made from, a page at a time.

Source: the typed models of the official SDK (``ResponseItemList``, ``ResponseItem``). There each
item has an id and each message's content is a list; what an app sent may have neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from gateway.domain.kept import KeptResponse
from gateway.errors import InvalidRequest
from gateway.wire import paging

Listed: TypeAlias = dict[str, Any]

_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}
_OTHER = "item"


class _Output(msgspec.Struct):
    output: list[Listed] = []


_outputs = msgspec.json.Decoder(_Output)
_item = msgspec.json.Decoder(Listed)


def input_items(conversation: Sequence[KeptResponse]) -> list[Listed]:
    """What the last response of a conversation was made from, oldest first: what was said before
    it, and what the app sent for it.
    """
    items: list[Listed] = []
    for number, kept in enumerate(conversation):
        items += [_named(_item.decode(item), kept.id, at) for at, item in enumerate(kept.input)]
        if number < len(conversation) - 1:
            items += _outputs.decode(kept.body).output
    return items


def page(
    items: Sequence[Listed],
    *,
    limit: int,
    newest_first: bool,
    after: str | None,
    before: str | None,
) -> Listed:
    """A list object with up to ``limit`` items, those between two ids where they are given. Raises
    ``InvalidRequest`` for one that is none of them.
    """
    ordered = list(reversed(items)) if newest_first else list(items)
    ids = [item["id"] for item in ordered]
    for param, id in (("after", after), ("before", before)):
        if id is not None and id not in ids:
            raise InvalidRequest(f"{param}: no item {id[:200]!r} is there.", param=param)
    place, more = paging.page(ids, limit, after, before)
    shown = ordered[place]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": more,
    }


def _named(item: Listed, response: str, at: int) -> Listed:
    """An item as it is listed: what it does not say of itself is made up, each time the same."""
    kind = item.get("type") or "message"
    id = f"{_PREFIXES.get(kind, _OTHER)}_{response.partition('_')[2]}i{at:03x}"
    if kind != "message":
        return {"id": id, "status": "completed", **_set(item)}
    role = item.get("role")
    content = item.get("content")
    if isinstance(content, str):
        said = role == "assistant"
        more: Listed = {"annotations": []} if said else {}
        content = [{"type": "output_text" if said else "input_text", "text": content, **more}]
    return {"id": id, "type": "message", "status": "completed", **_set(item), "content": content}


def _set(item: Listed) -> Listed:
    return {name: value for name, value in item.items() if value is not None}
