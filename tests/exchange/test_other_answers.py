"""Answers beside those of models, as the app gives them to a server."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from starlette.types import Message

from gateway.http.app import GatewayApp, create_app
from tests.exchange.asgi import Arriving, asked
from tests.exchange.bare import bare

ANTHROPIC = (b"anthropic-version", b"2023-06-01")


def broken() -> None:
    raise ZeroDivisionError("a defect, with sk-secret in it")


@pytest.fixture(scope="module")
def app() -> GatewayApp:
    """Whose state cannot be told."""
    return create_app(bare(state=broken))


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


@pytest.mark.parametrize("peer", ["10.0.0.5", "::ffff:10.0.0.5", "2001:db8::1", "", "unix"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
async def test_operators_paths_are_not_there_for_others(
    app: GatewayApp, method: str, peer: str
) -> None:
    """Whatever is asked: the answer is that of a path that never was."""
    for path in ("/admin/status", "/admin/explain", "/admin", "//admin//status/"):
        there = await answered(app, method, path, peer=peer)
        never = await answered(app, method, "/admin/nothing", peer=peer)
        assert (there[0], never[0]) == (404, 404)
        assert b"allow" not in there[1]
        tidy = path.replace("//", "/").rstrip("/").encode()
        assert there[2].replace(b" " + tidy, b"") == never[2].replace(b" /admin/nothing", b"")


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
