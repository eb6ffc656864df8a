"""Each parameter of messages, asked of the real local model: what is honoured shows in the answer,
what is a hint leaves it as it is, and what is refused is by its name.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.surfaces.message_parameters import PLAIN, ROWS, prompt, said
from tests.surfaces.rows import Answer, Effect, Row

COUNTED = frozenset({"messages", "system", "tools", "tool_choice"})
"""Parameters that decide how long a prompt is."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("parameters")
    models = "  mine: {targets: [local/smollm2]}"
    with RunningGateway(folder, configuration(models=models), key=None) as running:
        yield running


@pytest.fixture(scope="module")
def plain(gateway: RunningGateway) -> Answer:
    """The answer without any of them."""
    return answer(gateway, {})


def answer(gateway: RunningGateway, sends: Mapping[str, Any]) -> Answer:
    """Whole, or as ``events``."""
    body = json.dumps({**PLAIN, **sends}).encode()
    if not sends.get("stream"):
        status, answered, _ = gateway.post(body, "/v1/messages")
        assert status == 200, answered
        return answered
    request = urllib.request.Request(f"{gateway.url}/v1/messages", data=body)
    with urllib.request.urlopen(request, timeout=60) as stream:
        events = stream.read().split(b"\n\n")[:-1]
    return {"events": [json.loads(event.partition(b"data: ")[2]) for event in events]}


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.effect is Effect.HONOURED], ids=lambda row: row.title
)
def test_what_is_honoured(gateway: RunningGateway, plain: Answer, row: Row) -> None:
    """It shows."""
    found = answer(gateway, row.sends)
    assert row.shows is not None
    assert row.shows(found, plain), found


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.effect is Effect.HINT], ids=lambda row: row.title
)
def test_what_is_a_hint(gateway: RunningGateway, plain: Answer, row: Row) -> None:
    """The answer is word by word what it is without."""
    without = answer(gateway, row.baseline) if row.baseline else plain
    assert said(answer(gateway, row.sends)) == said(without)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.effect is Effect.REFUSED], ids=lambda row: row.title
)
def test_what_is_refused(gateway: RunningGateway, row: Row) -> None:
    """By its name, and before anything is computed."""
    status, body, _ = gateway.post(json.dumps({**PLAIN, **row.sends}).encode(), "/v1/messages")
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert row.lacks is not None
    assert f"supports: {row.lacks}" in body["error"]["message"]


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.name in COUNTED and row.effect is Effect.HONOURED],
    ids=lambda row: row.title,
)
def test_what_is_counted(gateway: RunningGateway, row: Row) -> None:
    """``count_tokens`` says what the message's usage then does."""
    asked = {name: value for name, value in {**PLAIN, **row.sends}.items() if name != "max_tokens"}
    status, counted, _ = gateway.post(json.dumps(asked).encode(), "/v1/messages/count_tokens")
    assert status == 200
    assert counted == {"input_tokens": prompt(answer(gateway, row.sends))}
