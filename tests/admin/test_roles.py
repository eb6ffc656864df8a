"""Who may ask what: every route of ``/admin`` with every kind of credential, at a real gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi.routing import APIRoute

from gateway.access.operators import OperatorRole
from gateway.http.admin.gate import Least, Names
from gateway.http.app import create_app
from tests.admin.asking import ask, operator
from tests.end_to_end.running import RunningGateway
from tests.exchange.bare import bare

VIEWER, OPERATOR, ADMIN = OperatorRole
ANYBODY = None
ROLES: Mapping[tuple[str, str], OperatorRole | None] = {
    ("GET", "/admin/status"): VIEWER,
    ("GET", "/admin/policy"): VIEWER,
    ("GET", "/admin/vendors"): VIEWER,
    ("GET", "/admin/vendors/{vendor}/preview"): VIEWER,
    ("POST", "/admin/vendors/{vendor}/ban"): OPERATOR,
    ("DELETE", "/admin/vendors/{vendor}/ban"): OPERATOR,
    ("GET", "/admin/designations"): VIEWER,
    ("GET", "/admin/explain"): VIEWER,
    ("GET", "/admin/targets"): VIEWER,
    ("GET", "/admin/models"): VIEWER,
    ("POST", "/admin/models/{name}/load"): OPERATOR,
    ("POST", "/admin/models/{name}/unload"): OPERATOR,
    ("GET", "/admin/keys"): VIEWER,
    ("POST", "/admin/keys"): ADMIN,
    ("DELETE", "/admin/keys/{id}"): ADMIN,
    ("POST", "/admin/keys/{id}/rotate"): ADMIN,
    ("GET", "/admin/operators"): VIEWER,
    ("POST", "/admin/operators"): ADMIN,
    ("DELETE", "/admin/operators/{id}"): ADMIN,
    ("POST", "/admin/operators/{id}/rotate"): ADMIN,
    ("GET", "/admin/decisions"): VIEWER,
    ("GET", "/admin/audit"): VIEWER,
    ("GET", "/admin/traffic"): VIEWER,
    ("GET", "/admin/readiness"): VIEWER,
    ("GET", "/admin/drill"): VIEWER,
    ("POST", "/admin/drill"): OPERATOR,
    ("DELETE", "/admin/drill"): OPERATOR,
    ("GET", "/admin/drills"): VIEWER,
    ("GET", "/admin/drills/{id}"): VIEWER,
    ("POST", "/admin/session"): ANYBODY,
    ("GET", "/admin/session"): VIEWER,
    ("DELETE", "/admin/session"): VIEWER,
}
"""A route that is added is added here too, with who may ask it."""
BODIES: Mapping[tuple[str, str], dict[str, Any]] = {
    ("POST", "/admin/vendors/{vendor}/ban"): {"reason": "a test"},
    ("POST", "/admin/drill"): {"vendor": "nobody", "reason": "a test"},
    ("POST", "/admin/keys"): {"name": "made by a test"},
    ("POST", "/admin/operators"): {"name": "made by a test", "role": "viewer"},
    ("POST", "/admin/session"): {"key": "wrong"},
}
QUERIES = {"/admin/explain": "?model=gpt-4o"}
ROWS = sorted(ROLES)


def there() -> Iterator[APIRoute]:
    """Every route of the operators' API."""
    app = create_app(bare(names=Names()))
    for router in app.routes:
        for route in getattr(router, "original_router", app).routes:
            if isinstance(route, APIRoute) and route.path.startswith("/admin"):
                yield route


def test_every_route_has_the_role_that_is_written_here() -> None:
    """One that has none fails, and so does one that nobody has thought of here."""
    found = {}
    for route in there():
        needed = [d.dependency for d in route.dependencies if isinstance(d.dependency, Least)]
        assert len(needed) <= 1, route.path
        for method in route.methods or ():
            found[method, route.path] = needed[0].role if needed else ANYBODY
    assert found == ROLES


@pytest.fixture(scope="module")
def credentials(gateway: RunningGateway) -> dict[str, str | None]:
    """Of every kind, with the words of what it is."""
    app = ask(gateway.port, "POST", "/admin/keys", {"name": "app"}, key=gateway.credential)
    revoked = operator(gateway, "admin")
    path = f"/admin/operators/{revoked['id']}"
    assert ask(gateway.port, "DELETE", path, key=gateway.credential).status == 200
    wait_for_refusal(gateway, revoked["key"])
    known = {role.value: str(operator(gateway, role)["key"]) for role in OperatorRole}
    return {
        "nothing": None,
        "app": str(app.json["key"]),
        "revoked": str(revoked["key"]),
        "local": gateway.credential,
        **known,
    }


def wait_for_refusal(gateway: RunningGateway, key: str) -> None:
    """In both processes: often enough that each was asked."""
    refused = 0
    for _ in range(200):
        refused = (
            refused + 1 if ask(gateway.port, "GET", "/admin/session", key=key).status >= 400 else 0
        )
        if refused >= 20:
            return
    raise AssertionError("the key is still good")


@pytest.mark.parametrize(("method", "path"), ROWS)
@pytest.mark.parametrize("kind", ["nothing", "app", "revoked"])
def test_who_is_no_operator_gets_nothing(
    gateway: RunningGateway, credentials: dict[str, str | None], kind: str, method: str, path: str
) -> None:
    """401, or 429 for who has been wrong too often; a login is asked for its key alone."""
    if ROLES[method, path] is ANYBODY:
        return
    got = asked(gateway, method, path, credentials[kind])
    assert got.status in ((401,) if kind == "nothing" else (401, 429))
    assert got.json["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(("method", "path"), ROWS)
@pytest.mark.parametrize("kind", [*(role.value for role in OperatorRole), "local"])
def test_an_operator_may_what_the_role_may(
    gateway: RunningGateway, credentials: dict[str, str | None], kind: str, method: str, path: str
) -> None:
    """And is told which role the rest takes."""
    least = ROLES[method, path]
    if least is ANYBODY:
        return
    got = asked(gateway, method, path, credentials[kind])
    role = ADMIN if kind == "local" else OperatorRole(kind)
    if role.may(least):
        none_runs = (method, path) == ("DELETE", "/admin/drill") and got.code == "no_drill"
        assert none_runs or got.status in (200, 201, 204, 404), got.body
    else:
        assert (got.status, got.code) == (403, "role")
        assert f"takes the role {least}" in got.json["error"]["message"]


def asked(gateway: RunningGateway, method: str, path: str, key: str | None) -> Any:
    """As it is asked rightly, of somebody who is not there."""
    body = BODIES.get((method, path), {} if method == "POST" else None)
    filled = (
        path.replace("{vendor}", "nobody").replace("{name}", "nobody").replace("{id}", "nobody")
    )
    return ask(gateway.port, method, filled + QUERIES.get(path, ""), body, key=key)


def test_an_operator_is_no_app(gateway: RunningGateway, credentials: dict[str, str | None]) -> None:
    """Not even an admin, or who is on this machine."""
    for kind in ("viewer", "admin", "local"):
        got = ask(
            gateway.port, "POST", "/v1/chat/completions", {"model": "gpt-4o"}, key=credentials[kind]
        )
        assert (got.status, got.code) == (401, "invalid_api_key")


def test_who_has_the_id_of_a_key_has_nothing(
    gateway: RunningGateway, credentials: dict[str, str | None]
) -> None:
    """An app's key under an operator's name, and the other way round, are none."""
    for kind, prefix in (("app", "sgo"), ("admin", "sgw")):
        key = credentials[kind]
        assert key is not None
        other = prefix + key[3:]
        path = "/admin/session" if prefix == "sgo" else "/v1/chat/completions"
        body = None if prefix == "sgo" else {"model": "gpt-4o"}
        got = ask(gateway.port, "POST" if body else "GET", path, body, key=other)
        assert got.status in (401, 429)
