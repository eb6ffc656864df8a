"""Who goes away while the console reads what they send."""

from __future__ import annotations

from pathlib import Path

from starlette.types import Message

from tests.console.house import House
from tests.exchange.asgi import asked


async def test_who_hangs_up_within_a_form_is_no_fault(tmp_path: Path) -> None:
    """Nobody is answered, and nothing is raised that a server would log as our own mistake."""

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        assert message.get("body", b"") == b""

    host = (b"host", b"127.0.0.1:8080")
    await House(tmp_path).app()(asked("POST", "/console/login", [host]), receive, send)
