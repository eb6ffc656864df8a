"""Requests to the operators' API as they are on the wire: every header is the test's own."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from tests.end_to_end.running import RunningGateway
from tests.waiting import until


@dataclass(frozen=True, slots=True)
class Got:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """Of an error."""
        found: str | None = self.json["error"]["code"]
        return found

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def cookie(self) -> str:
        """As a browser would send it back."""
        set_cookie = self.header("set-cookie")
        assert set_cookie is not None
        return set_cookie.partition(";")[0]


def ask(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = None,
    host: str | None = "127.0.0.1",
    **headers: str,
) -> Got:
    """One request on a connection of its own, which any of the serving processes may get. A
    ``body`` that is no bytes is sent as JSON; ``_`` in names of headers is ``-``.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if content is not None:
        sent.setdefault("content-type", "application/json")
        sent["content-length"] = str(len(content))
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    if host is not None:
        connection.putheader("host", f"{host}:{port}" if ":" not in host else host)
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders(content)
    answer = connection.getresponse()
    got = Got(answer.status, answer.getheaders(), answer.read())
    connection.close()
    return got


def operator(gateway: RunningGateway, role: str, name: str = "someone") -> dict[str, Any]:
    """A new operator's key, as the API tells it."""
    body = {"name": name, "role": role}
    got = ask(gateway.port, "POST", "/admin/operators", body, key=gateway.credential)
    assert got.status == 201, got.body
    made: dict[str, Any] = got.json
    return made


def events(gateway: RunningGateway, about: str, least: int) -> list[dict[str, Any]]:
    """What happened to something, newest first, as the audit log has it: that is written behind the
    answers, so there may be fewer than ``least`` at first.
    """

    def found() -> list[dict[str, Any]] | None:
        lines = ask(gateway.port, "GET", "/admin/audit?limit=500", key=gateway.credential).json
        seen = [one for one in lines if one.get("event", "").startswith(f"{about}.")]
        return seen if len(seen) >= least else None

    # Where none is needed, none may be there.
    return (until(found) if least else found()) or []
