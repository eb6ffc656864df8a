"""What a connection is good for after each kind of answer, byte by byte."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from tests.end_to_end.raw_http import Answered, Connection, chat, request
from tests.end_to_end.running import RunningGateway, configuration

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
LIMIT = 200_000
JSON = "content-type: application/json"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("connections")
    text = configuration(extra=f"server: {{max_body_mb: {LIMIT / 1_000_000}}}")
    with RunningGateway(folder, text, key=None) as running:
        yield running


@pytest.fixture
def connection(gateway: RunningGateway) -> Iterator[Connection]:
    with Connection(gateway.port) as connection:
        yield connection


REQUESTS: list[tuple[str, str, bytes | None, tuple[str, ...], int]] = [
    ("POST", CHAT, chat(), (), 200),
    ("POST", CHAT, chat(stream=True), (), 200),
    ("POST", CHAT, b"{not json", (), 400),
    ("POST", CHAT, b"", (), 400),
    ("POST", CHAT, None, (), 400),
    ("POST", CHAT, chat(model="no-such"), (), 404),
    ("POST", CHAT, bytes(LIMIT + 1), (), 413),
    ("POST", CHAT, bytes(3 * LIMIT), (), 413),
    ("POST", CHAT, b"x", ("content-encoding: br",), 415),
    ("POST", CHAT, gzip.compress(chat()), ("content-encoding: gzip",), 200),
    ("POST", CHAT, gzip.compress(bytes(100 * LIMIT)), ("content-encoding: gzip",), 413),
    ("POST", CHAT, gzip.compress(chat())[:-3], ("content-encoding: gzip",), 400),
    ("PUT", CHAT, chat(), (), 405),
    ("GET", CHAT, b"a body where none belongs", (), 405),
    ("GET", CHAT, None, (), 405),
    ("HEAD", CHAT, None, (), 405),
    ("OPTIONS", CHAT, None, (), 204),
    ("OPTIONS", CHAT, b"with a body", (), 204),
    ("POST", "/v1/nothing", bytes(LIMIT), (), 404),
    ("GET", "/v1/nothing", None, (), 404),
    ("HEAD", "/v1/models", None, (), 200),
    ("GET", "/v1/models", b"a body where none belongs", (), 200),
    ("GET", "/livez", None, (), 200),
    ("POST", "/livez", b"with a body", (), 405),
    ("GET", "/openapi.json", None, (), 200),
    ("HEAD", "/metrics", None, (), 200),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REQUESTS)
def test_the_connection_goes_on_after_each_answer(
    connection: Connection,
    method: str,
    path: str,
    body: bytes | None,
    headers: tuple[str, ...],
    status: int,
) -> None:
    """Twice the same and then a question: nothing of a request is left over in the next."""
    for _ in range(2):
        got = connection.ask(method, path, body, headers)
        assert got.status == status, got.body
        assert not got.last
        if method == "HEAD" or status == 204:
            assert got.body == b""
    assert connection.ask("POST", CHAT, chat()).status == 200


def test_a_body_far_over_the_limit_ends_the_connection(connection: Connection) -> None:
    """It is read up to four times the limit; then the answer says that nothing follows it."""
    head = request("POST", CHAT, headers=(JSON, "transfer-encoding: chunked"))
    connection.send(head)
    for size in (LIMIT, LIMIT, LIMIT, LIMIT, 1):
        connection.send(b"%x\r\n%b\r\n" % (size, bytes(size)))
    got = connection.answer()
    assert (got.status, got.last) == (413, True)
    assert connection.ended()


def test_a_chunked_body_is_read(connection: Connection) -> None:
    """In chunks of one byte, encoded or not."""
    for body, headers in ((chat(), ()), (gzip.compress(chat()), ("content-encoding: gzip",))):
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        head = request("POST", CHAT, headers=("transfer-encoding: chunked", *headers))
        connection.send(head + chunks)
        assert connection.answer().status == 200


def test_whoever_waits_for_100_is_told_to_go_on(connection: Connection) -> None:
    """And then gets the answer."""
    for _ in range(2):
        whole = request("POST", CHAT, chat(), ("expect: 100-continue",))
        head, _, body = whole.partition(b"\r\n\r\n")
        connection.send(head + b"\r\n\r\n")
        assert connection.answer().status == 100
        connection.send(body)
        assert connection.answer().status == 200


@pytest.mark.parametrize(
    ("method", "path", "length", "status"),
    [
        ("POST", CHAT, LIMIT + 1, 413),
        ("PUT", CHAT, 10, 405),
        ("POST", "/v1/nothing", 10, 404),
    ],
)
def test_whoever_waits_for_100_in_vain_sends_nothing(
    connection: Connection, method: str, path: str, length: int, status: int
) -> None:
    """What comes next could be the body or the next request, so the connection ends there."""
    head = request(method, path, headers=("expect: 100-continue", f"content-length: {length}"))
    connection.send(head)
    got = connection.answer()
    assert (got.status, got.last) == (status, True)
    assert connection.ended()


def test_requests_sent_at_once_are_answered_in_their_order(connection: Connection) -> None:
    """Slow ones and quick ones, a stream and an error among them."""
    connection.send(
        request("POST", CHAT, chat(stream=True))
        + request("GET", "/livez")
        + request("POST", CHAT, b"{")
        + request("HEAD", "/livez")
        + request("POST", CHAT, chat())
    )
    stream, live, bad, head, whole = (
        connection.answer("HEAD" if number == 3 else "POST") for number in range(5)
    )
    assert (stream.status, stream.body[-14:]) == (200, b"data: [DONE]\n\n")
    assert live.json == {"status": "alive"}
    assert (bad.status, head.status) == (400, 200)
    assert whole.json["object"] == "chat.completion"


def test_an_old_client_s_connection_ends(connection: Connection) -> None:
    """HTTP/1.0 knows no chunks and no kept connections; it is answered all the same."""
    connection.send(b"GET /livez HTTP/1.0\r\n\r\n")
    got = connection.answer()
    assert (got.status, got.last, got.json) == (200, True, {"status": "alive"})
    assert connection.ended()


def test_a_client_that_closes_is_told_so(connection: Connection) -> None:
    """``Connection: close`` is said back, behind a stream too."""
    got = connection.ask("POST", CHAT, chat(stream=True), ("connection: close",))
    assert (got.status, got.last) == (200, True)
    assert connection.ended()


@pytest.mark.parametrize(
    "data",
    [
        b"no HTTP at all\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ],
    ids=["garbage", "two lengths", "a path that is not ASCII"],
)
def test_what_is_no_request_ends_the_connection(connection: Connection, data: bytes) -> None:
    """With 400, before anybody behind it could read it in another way."""
    connection.send(data)
    got = connection.answer()
    assert (got.status, got.last) == (400, True)
    assert connection.ended()


def answers(connection: Connection) -> Iterator[Answered]:
    for method, path, body, headers, _ in REQUESTS:
        yield connection.ask(method, path, body, headers)


def test_no_answer_tells_what_serves_it(connection: Connection) -> None:
    """No product, no version."""
    for got in answers(connection):
        assert not {"server", "x-powered-by", "via"} & set(got.headers)
        assert b"uvicorn" not in got.body
