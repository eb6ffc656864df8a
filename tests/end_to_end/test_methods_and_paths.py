"""Methods and paths, rightly and wrongly asked, in both dialects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.raw_http import Connection, chat
from tests.end_to_end.running import RunningGateway, configuration

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
ANTHROPIC = "anthropic-version: 2023-06-01"
READ = {"GET", "HEAD", "OPTIONS"}
SAME = (
    ("/livez", READ),
    ("/readyz", READ),
    ("/metrics", READ),
    ("/openapi.json", READ),
    ("/v1/models", READ),
    ("/v1/models/gpt-4o", READ),
    ("/v1/models/of/a/vendor", READ),
    (CHAT, {"OPTIONS", "POST"}),
    (MESSAGES, {"OPTIONS", "POST"}),
    (f"{MESSAGES}/count_tokens", {"OPTIONS", "POST"}),
)
CHANGING = ("/metrics", "/readyz")
"""They tell of what goes on."""


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    folder = tmp_path_factory.mktemp("methods")
    with (
        RunningGateway(folder, configuration(), key=None) as gateway,
        Connection(gateway.port) as connection,
    ):
        yield connection


@pytest.mark.parametrize(("path", "methods"), SAME)
def test_options_tells_what_a_path_can_be_asked_with(
    connection: Connection, path: str, methods: set[str]
) -> None:
    """204, no body, and no word of other origins: that is off unless it is configured."""
    headers = ("origin: https://page.example", "access-control-request-method: POST")
    got = connection.ask("OPTIONS", path, headers=headers)
    assert (got.status, got.allow, got.body) == (204, methods, b"")
    assert not [name for name in got.headers if name.startswith("access-control")]


def test_options_of_nothing_in_particular(connection: Connection) -> None:
    """``OPTIONS *`` (RFC 9110, 9.3.7) names no path."""
    got = connection.ask("OPTIONS", "*")
    assert (got.status, got.json["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize(("path", "methods"), SAME)
def test_head_is_get_without_the_body(connection: Connection, path: str, methods: set[str]) -> None:
    """The same status and the same length, in either dialect; 405 where there is no GET."""
    for headers in ((), (ANTHROPIC,)):
        got = connection.ask("HEAD", path, headers=headers)
        read = connection.ask("GET", path, headers=headers)
        assert (got.status, got.body) == (read.status, b"")
        assert (got.status == 405) is ("GET" not in methods)
        assert got.headers["content-type"] == read.headers["content-type"]
        if got.status == 200 and path not in CHANGING:
            assert got.headers["content-length"] == read.headers["content-length"]


@pytest.mark.parametrize(("path", "methods"), SAME)
def test_another_method_is_told_the_right_ones(
    connection: Connection, path: str, methods: set[str]
) -> None:
    """405, Allow, and the same in words."""
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"} - methods:
        got = connection.ask(method, path)
        assert (got.status, got.allow) == (405, methods), method
        assert f"{method} is not allowed here" in got.json["error"]["message"]


def test_errors_are_in_the_caller_s_dialect(connection: Connection) -> None:
    """By the path where it is one dialect's, else by the header that only one's SDKs send."""
    for path, status, kind in (
        (MESSAGES, 405, "invalid_request_error"),
        (f"{MESSAGES}/nothing", 404, "not_found_error"),
    ):
        got = connection.ask("GET", path)
        assert (got.status, got.json["error"]["type"]) == (status, kind)
        assert got.json["request_id"] == got.headers["request-id"]
        assert got.headers["x-gateway-request-id"] == got.headers["request-id"]
    for headers, code in (((), "unknown_url"), ((ANTHROPIC,), None)):
        got = connection.ask("GET", "/v1/nothing", headers=headers)
        assert (got.status, got.json["error"].get("code")) == (404, code)
    got = connection.ask("GET", "/v1/models?limit=0", headers=(ANTHROPIC,))
    assert (got.status, got.json["type"], "limit" in got.json["error"]["message"]) == (
        400,
        "error",
        True,
    )


@pytest.mark.parametrize(
    "path",
    [
        f"{CHAT}/",
        "//v1/chat/completions",
        "/v1//chat///completions//",
        "/v1/chat%2Fcompletions",
        "/%76%31/chat/completions",
        "/v1/chat/completions?api-version=1",
    ],
)
def test_a_slash_too_many_is_no_other_path(connection: Connection, path: str) -> None:
    """Base URLs are put together carelessly; nothing is answered by a redirect."""
    assert connection.ask("POST", path, chat()).status == 200
    assert connection.ask("GET", path).status == 405


@pytest.mark.parametrize("path", ["/v1/models/", "//v1/models", "/livez/", "/v1/models/gpt-4o/"])
def test_nor_of_the_other_paths(connection: Connection, path: str) -> None:
    assert connection.ask("GET", path).status == 200


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/chat/completions", "begin with /v1"),
        ("/v1/v1/messages", "ends without /v1"),
        ("/v1/V1/chat/completions", ""),
        ("/v1/chat/completions%00", ""),
        ("/v1/../v1/chat/completions", ""),
        ("/v1/%ff", ""),
        ("/", "begin with /v1"),
        ("/docs", ""),
    ],
)
def test_a_path_that_is_not_there(connection: Connection, path: str, hint: str) -> None:
    """404, and what is probably wrong with the base URL."""
    got = connection.ask("POST", path, chat())
    assert (got.status, got.json["error"]["code"]) == (404, "unknown_url")
    assert hint in got.json["error"]["message"]
    assert connection.ask("OPTIONS", path).status == 404
