"""Each parameter of chat completions, asked of the real local model: what is honoured shows in the
answer, what is a hint leaves it as it is, and what is refused is by its name.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.surfaces.chat_parameters import PLAIN, ROWS, said
from tests.surfaces.rows import Answer, Effect, Row


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
    """Whole, or as ``chunks``."""
    body = json.dumps({**PLAIN, **sends}).encode()
    if not sends.get("stream"):
        status, answered, _ = gateway.post(body)
        assert status == 200, answered
        return answered
    request = urllib.request.Request(f"{gateway.url}/v1/chat/completions", data=body)
    with urllib.request.urlopen(request, timeout=60) as stream:
        lines = [line.removeprefix(b"data: ") for line in stream.read().split(b"\n\n")]
    assert lines[-2:] == [b"[DONE]", b""]
    return {"chunks": [json.loads(line) for line in lines[:-2]]}


HONOURED = [row for row in ROWS if row.effect is Effect.HONOURED]


@pytest.mark.parametrize("row", HONOURED, ids=lambda row: row.title)
def test_what_is_honoured(gateway: RunningGateway, plain: Answer, row: Row) -> None:
    """It shows."""
    found = answer(gateway, row.sends)
    if row.name == "seed":
        found["again"] = said(answer(gateway, row.sends))
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
    status, body, _ = gateway.post(json.dumps({**PLAIN, **row.sends}).encode())
    assert (status, body["error"]["code"]) == (400, "unsupported_parameter")
    assert body["error"]["param"] == row.lacks
