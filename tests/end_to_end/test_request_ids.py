"""Ids of requests: ours on every answer, an app's own told back and written down."""

from __future__ import annotations

import re
from collections.abc import Iterator

import anthropic
import openai
import pytest
from anthropic import Anthropic

from tests.end_to_end.raw_http import Connection, chat
from tests.end_to_end.running import RunningGateway, configuration

CHAT = "/v1/chat/completions"
ANTHROPIC = "anthropic-version: 2023-06-01"
OURS = re.compile(r"[0-9a-f]{32}\Z")
QUESTION = "In which country is the city of Paris?"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("ids")
    with RunningGateway(folder, configuration(), key=None) as running:
        yield running


@pytest.fixture
def connection(gateway: RunningGateway) -> Iterator[Connection]:
    with Connection(gateway.port) as connection:
        yield connection


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", CHAT, chat()),
        ("POST", CHAT, chat(stream=True)),
        ("POST", CHAT, b"{"),
        ("POST", CHAT, chat(model="no-such")),
        ("GET", CHAT, None),
        ("OPTIONS", CHAT, None),
        ("GET", "/v1/models", None),
        ("HEAD", "/v1/models", None),
        ("GET", "/v1/models/no-such", None),
        ("GET", "/v1/nothing", None),
        ("GET", "/livez", None),
    ],
)
def test_every_answer_tells_its_id(
    connection: Connection, method: str, path: str, body: bytes | None
) -> None:
    """Under the dialect's own name too, and never the same one twice."""
    ids = set()
    for header, name in (("accept: */*", "x-request-id"), (ANTHROPIC, "request-id")):
        got = connection.ask(method, path, body, (header,))
        id = got.headers["x-gateway-request-id"]
        assert OURS.match(id)
        ids.add(id)
        if path != CHAT or name == "x-request-id":
            assert got.headers[name] == id
    assert len(ids) == 2


@pytest.mark.parametrize("name", ["x-request-id", "x-client-request-id"])
@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/nothing", "/v1/models"])
def test_an_app_s_own_id_is_told_back(connection: Connection, name: str, path: str) -> None:
    """Of a good answer and of an error; ours stays what it was."""
    for body in (chat(), b"{"):
        got = connection.ask("POST", path, body, (f"{name}: App-1.2_x",))
        assert got.headers[name] == "App-1.2_x"
        assert OURS.match(got.headers["x-gateway-request-id"])
        if path == "/v1/messages":
            assert got.headers["request-id"] == got.headers["x-gateway-request-id"]


@pytest.mark.parametrize("value", ["", "a b", "a,b", "ä", '"x"', "x" * 129, "<script>", "a/b"])
def test_a_malformed_one_is_ignored(connection: Connection, value: str) -> None:
    """It is neither told back nor written down, and no reason to refuse the request."""
    for name in ("x-request-id", "x-client-request-id"):
        got = connection.ask("POST", CHAT, chat(), (f"{name}: {value}",))
        assert got.status == 200
        assert got.headers["x-request-id"] == got.headers["x-gateway-request-id"]
        assert "x-client-request-id" not in got.headers


@pytest.mark.parametrize(
    ("headers", "written"),
    [
        ((), None),
        (("x-request-id: from-a-proxy",), "from-a-proxy"),
        (("x-client-request-id: " + "x" * 128,), "x" * 128),
        (("x-request-id: proxy", "x-client-request-id: app"), "app"),
        (("x-request-id: not good",), None),
    ],
)
def test_it_is_in_the_record(
    gateway: RunningGateway, connection: Connection, headers: tuple[str, ...], written: str | None
) -> None:
    """Beside our own."""
    got = connection.ask("POST", CHAT, chat(), headers)
    record = gateway.last_record(got.headers["x-gateway-request-id"])
    assert record["client_request_id"] == written


def test_the_openai_sdk_has_the_id(gateway: RunningGateway) -> None:
    """Of answers and of errors."""
    client = gateway.sdk
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}], max_tokens=4
    )
    assert answer._request_id == gateway.last_record()["id"]
    assert OURS.match(client.models.list()._request_id or "")
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("no-such")
    assert OURS.match(caught.value.request_id or "")
    given = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=4,
        extra_headers={"x-request-id": "mine"},
    )
    assert given._request_id == "mine"


def test_the_anthropic_sdk_has_the_id(gateway: RunningGateway) -> None:
    """Of answers and of errors."""
    sdk = Anthropic(base_url=gateway.url, api_key="unused", max_retries=0, timeout=60)
    with gateway.heard(sdk) as client:
        answer = client.messages.create(
            model="gpt-4o", messages=[{"role": "user", "content": QUESTION}], max_tokens=4
        )
        assert answer._request_id == gateway.last_record()["id"]
        with pytest.raises(anthropic.NotFoundError) as caught:
            client.models.retrieve("no-such")
        assert OURS.match(caught.value.request_id or "")
