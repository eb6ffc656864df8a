"""Web pages of other origins: none unless ``server.cors`` names them; operators' paths for none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.raw_http import Answered, Connection, chat
from tests.end_to_end.running import RunningGateway, configuration

CHAT = "/v1/chat/completions"
PAGE = "https://page.example"
OTHER = "https://other.example"
NAMED = f"server: {{cors: {{origins: [{PAGE}, http://localhost:3000], headers: [x-team]}}}}"
ANY = 'server: {cors: {origins: "*", max_age: 60}}'
SDK = "authorization,x-api-key,anthropic-version,anthropic-dangerous-direct-browser-access"
STAINLESS = "x-stainless-lang,x-stainless-retry-count,x-stainless-timeout,content-type"


def gateway(folder: pytest.TempPathFactory, extra: str) -> Iterator[Connection]:
    text = configuration(extra=extra)
    with (
        RunningGateway(folder.mktemp("cors"), text, key=None) as running,
        Connection(running.port) as connection,
    ):
        yield connection


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    yield from gateway(tmp_path_factory, "")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    yield from gateway(tmp_path_factory, NAMED)


@pytest.fixture(scope="module")
def anyone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    yield from gateway(tmp_path_factory, ANY)


def preflight(
    connection: Connection, path: str, origin: str, headers: str = SDK, method: str = "POST"
) -> Answered:
    """What a browser asks before it lets a page send that."""
    return connection.ask(
        "OPTIONS",
        path,
        headers=(
            f"origin: {origin}",
            f"access-control-request-method: {method}",
            f"access-control-request-headers: {headers}",
        ),
    )


def words(got: Answered, name: str) -> set[str]:
    return {word.strip().lower() for word in got.headers.get(name, "").split(",")} - {""}


def told(got: Answered) -> list[str]:
    """What an answer says to browsers."""
    return [name for name in got.headers if name.startswith("access-control")]


def test_off_nothing_is_said_to_browsers(off: Connection) -> None:
    """Without keys a page's simple request is refused: it could not be read by the page, and would
    be computed all the same.
    """
    assert told(preflight(off, CHAT, PAGE)) == []
    got = off.ask("POST", CHAT, chat(), (f"origin: {PAGE}", "content-type: text/plain"))
    assert (got.status, told(got), "vary" in got.headers) == (401, [], False)


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/models", "/v1/models/gpt-4o"])
@pytest.mark.parametrize("origin", [PAGE, "http://localhost:3000"])
def test_a_named_page_may_ask(named: Connection, path: str, origin: str) -> None:
    """With what the SDKs send, and what the operator adds; caches are told that it depends."""
    got = preflight(named, path, origin, f"{SDK},{STAINLESS},x-team")
    assert got.status == 200
    assert got.headers["access-control-allow-origin"] == origin
    assert {"get", "post"} <= words(got, "access-control-allow-methods")
    assert set(f"{SDK},{STAINLESS},x-team".split(",")) <= words(got, "access-control-allow-headers")
    assert "origin" in words(got, "vary")
    assert got.headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in got.headers


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        (OTHER, SDK),
        ("null", SDK),
        (f"{PAGE}.evil.example", SDK),
        (PAGE.upper(), SDK),
        (f"{PAGE}:8443", SDK),
        (PAGE, "x-other"),
    ],
)
def test_another_page_or_header_may_not(named: Connection, origin: str, headers: str) -> None:
    """An origin is equal or it is another one."""
    got = preflight(named, CHAT, origin, headers)
    assert got.status == 400
    if origin != PAGE:
        assert "access-control-allow-origin" not in got.headers


@pytest.mark.parametrize(
    ("body", "status"), [(chat(), 200), (chat(stream=True), 200), (b"{", 400), (b"", 400)]
)
def test_a_named_page_may_read_answers(named: Connection, body: bytes, status: int) -> None:
    """Good ones, streams and errors, with the headers that tell of the gateway and of retries."""
    got = named.ask("POST", CHAT, body, (f"origin: {PAGE}",))
    assert (got.status, got.headers["access-control-allow-origin"]) == (status, PAGE)
    assert "origin" in words(got, "vary")
    exposed = words(got, "access-control-expose-headers")
    assert {"x-request-id", "request-id", "retry-after", "x-ratelimit-limit-requests"} <= exposed
    assert {name for name in got.headers if name.startswith("x-gateway")} <= exposed
    other = named.ask("POST", CHAT, body, (f"origin: {OTHER}",))
    assert (other.status, other.headers.get("access-control-allow-origin")) == (401, None)
    assert "origin" in words(other, "vary")


def test_refused_paths_and_methods_can_be_read_too(named: Connection) -> None:
    """A page is told what is wrong like everybody else."""
    for method, path, status in (("GET", CHAT, 405), ("POST", "/v1/nothing", 404)):
        got = named.ask(method, path, headers=(f"origin: {PAGE}",))
        assert (got.status, got.headers["access-control-allow-origin"]) == (status, PAGE)


@pytest.mark.parametrize(
    "path",
    ["/admin/status", "/admin/explain", "//admin/status", "/livez", "/metrics", "/v1/../admin"],
)
def test_operators_paths_are_for_no_page(anyone: Connection, named: Connection, path: str) -> None:
    """Whatever is configured, and however they are written."""
    for connection, origin in ((anyone, OTHER), (named, PAGE)):
        for got in (
            connection.ask("GET", path, headers=(f"origin: {origin}",)),
            connection.ask("OPTIONS", path, headers=(f"origin: {origin}",)),
            preflight(connection, path, origin),
        ):
            assert "access-control-allow-origin" not in got.headers or path.startswith("/v1/")
            assert b"revision" not in got.body or "access-control-allow-origin" not in got.headers


def test_any_page_where_the_operator_says_so(anyone: Connection) -> None:
    """Without credentials: what a browser holds of its own is never sent along."""
    got = preflight(anyone, CHAT, OTHER, f"{SDK},{STAINLESS}")
    assert (got.status, got.headers["access-control-allow-origin"]) == (200, "*")
    assert got.headers["access-control-max-age"] == "60"
    read = anyone.ask("POST", CHAT, chat(), (f"origin: {OTHER}", "cookie: a=b"))
    assert read.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in {**got.headers, **read.headers}


def test_a_page_on_the_internet_reaches_a_machine_at_home_only_by_name(
    anyone: Connection, named: Connection
) -> None:
    """Browsers ask for it where the gateway is in a private network."""
    for connection, origin, status in ((anyone, OTHER, 400), (named, PAGE, 200)):
        got = connection.ask(
            "OPTIONS",
            CHAT,
            headers=(
                f"origin: {origin}",
                "access-control-request-method: POST",
                "access-control-request-private-network: true",
            ),
        )
        assert got.status == status
