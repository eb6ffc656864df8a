"""What is told of a response that is kept, as the official SDK reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses.response_item import ResponseItem
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import TypeAdapter

from gateway.domain.kept import KeptResponse
from gateway.errors import InvalidRequest
from gateway.wire.openai_responses_kept import input_items, page

ITEM: TypeAdapter[ResponseItem] = TypeAdapter(ResponseItem)
WRITTEN: list[dict[str, Any]] = [
    {"role": "user", "content": "hello"},
    {"role": "developer", "content": "be brief", "type": "message"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": [{"type": "input_text", "text": "and?"}], "id": "msg_own"},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "1", "status": None},
    {"type": "reasoning", "id": "rs_own", "summary": [], "encrypted_content": "eA=="},
]


def kept(id: str, *items: dict[str, Any], previous: str | None = None) -> KeptResponse:
    said = {
        "type": "message",
        "id": f"msg_{id}",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": f"said {id}", "annotations": []}],
    }
    body = json.dumps({"id": id, "output": [said]}).encode()
    return KeptResponse(id, previous, 0, tuple(json.dumps(i).encode() for i in items), body)


def test_items_are_what_the_sdk_knows() -> None:
    """Each with an id of its own, the same whenever it is asked for, and its content in parts."""
    conversation = [kept("resp_1", *WRITTEN), kept("resp_2", WRITTEN[0], previous="resp_1")]
    items = input_items(conversation)
    for item in items:
        ITEM.validate_python(item, strict=True)
    assert len(items) == len(WRITTEN) + 2
    assert len({item["id"] for item in items}) == len(items)
    assert input_items(conversation) == items
    assert [item["id"] for item in items[3:9:3]] == ["msg_own", "rs_own"]
    assert items[0]["content"] == [{"type": "input_text", "text": "hello"}]
    assert items[2]["content"][0]["type"] == "output_text"
    assert items[-2]["content"][0]["text"] == "said resp_1"
    assert items[5]["status"] == "completed"


def ids(**given: Any) -> tuple[list[str], bool]:
    """The numbers on a page of seven items."""
    items = [{"id": str(number)} for number in range(7)]
    asked: dict[str, Any] = {"limit": 3, "newest_first": False, "after": None, "before": None}
    found = page(items, **(asked | given))
    data = [item["id"] for item in found["data"]]
    assert (found["first_id"], found["last_id"]) == ((data[0], data[-1]) if data else (None, None))
    return data, found["has_more"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, (["0", "1", "2"], True)),
        ({"newest_first": True}, (["6", "5", "4"], True)),
        ({"limit": 7}, (["0", "1", "2", "3", "4", "5", "6"], False)),
        ({"after": "2"}, (["3", "4", "5"], True)),
        ({"after": "3"}, (["4", "5", "6"], False)),
        ({"after": "6"}, ([], False)),
        ({"after": "4", "newest_first": True}, (["3", "2", "1"], True)),
        ({"before": "2"}, (["0", "1"], False)),
        ({"before": "5"}, (["2", "3", "4"], True)),
        ({"after": "1", "before": "6"}, (["2", "3", "4"], True)),
    ],
)
def test_pages(given: dict[str, Any], shown: tuple[list[str], bool]) -> None:
    assert ids(**given) == shown


@pytest.mark.parametrize("param", ["after", "before"])
def test_an_item_that_is_none_of_them(param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ids(**{param: "9"})
    assert caught.value.param == param


def test_a_page_is_a_list_object() -> None:
    found = page(
        input_items([kept("resp_1", *WRITTEN)]), limit=9, newest_first=True, after=None, before=None
    )
    assert ResponseItemList.model_validate(found, strict=True).object == "list"
