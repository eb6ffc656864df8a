"""Answers beside those of models, as the app gives them to a server."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from starlette.types import Message

from gateway.http.admin.gate import Names
from gateway.http.app import GatewayApp, create_app
from tests.exchange.asgi import Arriving, asked
from tests.exchange.bare import bare

HOST = (b"host", b"localhost:8080")
ANTHROPIC = (b"anthropic-version", b"2023-06-01")


def broken() -> None:
    raise ZeroDivisionError("a defect, with sk-secret in it")


@pytest.fixture(scope="module")
def app() -> GatewayApp:
    """Whose state cannot be told."""
    return create_app(bare(state=broken, names=Names()))


async def answered(
    app: GatewayApp, method: str, path: str, *headers: tuple[bytes, bytes], peer: str = "127.0.0.1"
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**asked(method, path, headers), "client": (peer, 1)}
    with contextlib.suppress(ZeroDivisionError):  # raised again, for the server's log
        await app(scope, Arriving(b""), send)
    start, *bodies = sent
    return start["status"], dict(start["headers"]), b"".join(body["body"] for body in bodies)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "10.0.0.5", "2001:db8::1", "", "unix"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
async def test_who_is_no_operator_is_not_told_what_is_there(
    app: GatewayApp, method: str, peer: str
) -> None:
    """Whatever is asked, from wherever: the answer is that for a path that never was."""
    for path in ("/admin/status", "/admin/explain", "/admin", "//admin//status/"):
        there = await answered(app, method, path, HOST, peer=peer)
        never = await answered(app, method, "/admin/nothing", HOST, peer=peer)
        assert (there[0], never[0]) == (401, 401)
        assert b"allow" not in there[1]
        ids = [told[1][b"x-gateway-request-id"] for told in (there, never)]
        assert there[2].replace(ids[0], b"") == never[2].replace(ids[1], b"")


@pytest.mark.parametrize("host", [b"", b"page.example", b"127.0.0.1.page.example", b"[::2]:80"])
async def test_nor_who_came_by_another_name(app: GatewayApp, host: bytes) -> None:
    """Before it is asked who they are; a second name beside a right one is no better."""
    for sent in ([(b"host", host)], [HOST, (b"host", host)]):
        status, _, body = await answered(app, "GET", "/admin/status", *sent)
        assert (status, json.loads(body)["error"]["code"]) == (421, "unknown_host")


@pytest.mark.parametrize(
    ("headers", "kind"), [((), "type"), ((ANTHROPIC,), "request_id")], ids=["openai", "anthropic"]
)
async def test_a_defect_is_told_by_its_id_alone(
    app: GatewayApp, headers: tuple[tuple[bytes, bytes], ...], kind: str
) -> None:
    """In the caller's dialect; the message holds nothing of what was raised."""
    status, told, body = await answered(app, "GET", "/readyz", *headers)
    answer: dict[str, Any] = json.loads(body)
    id = told[b"x-gateway-request-id"].decode()
    assert (status, id in answer["error"]["message"]) == (500, True)
    assert kind in {**answer, **answer["error"]}
    assert b"sk-secret" not in body


async def test_head_has_no_body_whatever_the_server(app: GatewayApp) -> None:
    """A server need not take it away."""
    status, told, body = await answered(app, "HEAD", "/livez")
    got = await answered(app, "GET", "/livez")
    assert (status, body, told[b"content-length"]) == (200, b"", got[1][b"content-length"])
