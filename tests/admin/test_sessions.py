"""Sessions of a browser: cookies, pages of others, other names, and how they end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.admin.asking import Got, ask, events, operator
from tests.end_to_end.running import RunningGateway
from tests.waiting import until

SAME = {"sec_fetch_site": "same-origin"}
BAN = "/admin/vendors/openai/ban"


def login(gateway: RunningGateway, key: str, **more: str) -> Got:
    return ask(gateway.port, "POST", "/admin/session", {"key": key}, **more)


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return str(operator(gateway, "operator", "browser")["key"])


@pytest.fixture(scope="module")
def session(gateway: RunningGateway, key: str) -> Got:
    return login(gateway, key, **SAME)


def test_a_session_is_a_cookie_that_no_script_reads_and_no_other_page_sends(
    gateway: RunningGateway, session: Got, key: str
) -> None:
    """It holds nothing of the key; this one is not ``Secure``, or no browser would keep it."""
    assert session.status == 200
    cookie = session.header("set-cookie")
    assert cookie is not None
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {*cookie.split("; ")}
    assert "Secure" not in cookie
    assert "Domain" not in cookie
    assert key.rpartition("_")[2] not in cookie
    assert session.json["role"] == "operator"
    for _ in range(8):  # whichever process is asked
        got = ask(gateway.port, "GET", "/admin/session", cookie=session.cookie)
        assert (got.status, got.json["title"], got.json["csrf"]) == (
            200,
            "browser",
            session.json["csrf"],
        )


def test_a_cookie_that_was_altered_is_none(gateway: RunningGateway, session: Got) -> None:
    """Of another's key, for longer, or of another kind."""
    name, _, value = session.cookie.partition("=")
    body, _, signature = value.partition(".")
    for wrong in (
        f"{body}.{'0' * 64}",
        f"{body[:-2]}AA.{signature}",
        body,
        f"{body}.{session.json['csrf']}",
        "",
        "é.é",
    ):
        got = ask(gateway.port, "GET", "/admin/session", cookie=f"{name}={wrong}")
        assert (got.status, got.code) == (401, "session_over")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "other_origin"),
        ({"sec_fetch_site": "cross-site"}, "other_origin"),
        ({"sec_fetch_site": "same-site"}, "other_origin"),
        ({"sec_fetch_site": "none"}, "other_origin"),
        ({"origin": "http://page.example"}, "other_origin"),
        ({"origin": "null"}, "other_origin"),
        ({"origin": "https://127.0.0.1"}, "other_origin"),
        ({"sec_fetch_site": "same-origin", "origin": "http://page.example"}, "other_origin"),
        (SAME, "csrf"),
        ({**SAME, "x_gateway_csrf": "0" * 64}, "csrf"),
    ],
)
def test_another_page_changes_nothing(
    gateway: RunningGateway, session: Got, headers: dict[str, str], code: str
) -> None:
    """Though the browser sends the cookie along; and with the right token, from elsewhere."""
    body = {"reason": "forged"}
    if code == "other_origin":
        headers = {**headers, "x_gateway_csrf": session.json["csrf"]}
    got = ask(gateway.port, "POST", BAN, body, cookie=session.cookie, **headers)
    assert (got.status, got.code) == (403, code)
    vendors = ask(gateway.port, "GET", "/admin/vendors", cookie=session.cookie).json
    assert {one["vendor"]: one["standing"] for one in vendors}["openai"] == "allowed"


def test_our_own_page_does(gateway: RunningGateway, session: Got) -> None:
    """By header or by the field of a form, and with the origin of where the page is."""
    token = session.json["csrf"]
    ours = {"origin": f"http://127.0.0.1:{gateway.port}", "x_gateway_csrf": token, **SAME}
    got = ask(gateway.port, "POST", BAN, {"reason": "ours"}, cookie=session.cookie, **ours)
    assert (got.status, got.json["banned"], got.json["waiting"]) == (200, True, [])
    form = {"content_type": "application/x-www-form-urlencoded", **SAME}
    got = ask(gateway.port, "DELETE", BAN, f"csrf={token}".encode(), cookie=session.cookie, **form)
    assert (got.status, got.json["banned"]) == (200, False)
    made = ask(gateway.port, "GET", "/admin/session", cookie=session.cookie).json
    assert [
        (one["event"], one["actor"], one["subject"]) for one in events(gateway, "vendor", 2)
    ] == [
        ("vendor.unbanned", made["actor"], "openai"),
        ("vendor.banned", made["actor"], "openai"),
    ]


def test_a_key_needs_no_token(gateway: RunningGateway, key: str) -> None:
    """No browser sends it by itself."""
    evil = {"origin": "http://page.example", "sec_fetch_site": "cross-site"}
    got = ask(gateway.port, "POST", BAN, {"reason": "by a key"}, key=key, **evil)
    assert got.status == 200
    assert ask(gateway.port, "DELETE", BAN, key=key).status == 200


def test_no_page_of_others_logs_anybody_in(gateway: RunningGateway, key: str) -> None:
    """Nobody is to act in another's name without knowing."""
    got = login(gateway, key, origin="http://page.example")
    assert (got.status, got.code) == (403, "other_origin")
    assert got.header("set-cookie") is None


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:80@page.example", 421),
        ("localhost:page.example", 421),
        ("[::1].page.example", 421),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("gateway.example", 200),
        ("GATEWAY.example:443", 200),
        ("page.example", 421),
        ("127.0.0.1.page.example", 421),
        ("gateway.example.page.example:80", 421),
        ("", 421),
    ],
)
def test_only_our_own_names_lead_here(
    gateway: RunningGateway, key: str, host: str, status: int
) -> None:
    """A page may give its own name our address (DNS rebinding): then the browser says that name."""
    for got in (
        ask(gateway.port, "GET", "/admin/session", key=key, host=host),
        ask(gateway.port, "POST", "/admin/session", {"key": key}, host=host),
    ):
        assert got.status == status


@pytest.mark.parametrize("host", ["gateway.example", "page.example", ""])
def test_metrics_are_for_this_machine_and_for_operators(
    gateway: RunningGateway, key: str, host: str
) -> None:
    """Not for who came through a proxy on it, nor for an app."""
    app = ask(gateway.port, "POST", "/admin/keys", {"name": "app"}, key=gateway.credential).json
    assert ask(gateway.port, "GET", "/metrics").status == 200
    assert ask(gateway.port, "GET", "/metrics", host=host).status == 401
    assert ask(gateway.port, "GET", "/metrics", host=host, key=key).status == 200
    assert ask(gateway.port, "GET", "/metrics", host=host, key=app["key"]).status in (401, 429)


def test_a_session_ends_with_its_owner(gateway: RunningGateway) -> None:
    """In every process, at once; whoever has kept the cookie has nothing."""
    key = str(operator(gateway, "viewer")["key"])
    session = login(gateway, key)
    out = {"x_gateway_csrf": session.json["csrf"], **SAME}
    got = ask(gateway.port, "DELETE", "/admin/session", cookie=session.cookie, **out)
    assert got.status == 204
    assert "Max-Age=0" in (got.header("set-cookie") or "")
    for _ in range(20):
        again = ask(gateway.port, "GET", "/admin/session", cookie=session.cookie)
        assert (again.status, again.code) == (401, "session_over")


def test_a_session_ends_with_its_key(gateway: RunningGateway) -> None:
    """In both processes, and the key with it."""
    made = operator(gateway, "viewer")
    session = login(gateway, made["key"])
    got = ask(gateway.port, "DELETE", f"/admin/operators/{made['id']}", key=gateway.credential)
    assert got.json["good"] is False

    def over() -> bool:
        asked = [
            ask(gateway.port, "GET", "/admin/status", cookie=session.cookie) for _ in range(20)
        ]
        return {one.status for one in asked} == {401}

    until(over)
    assert ask(gateway.port, "GET", "/admin/status", key=made["key"]).status in (401, 429)


def test_wrong_keys_are_slowed_down_and_recorded(gateway: RunningGateway, key: str) -> None:
    """Ten wrong ones are not all answered as such; a right one always is."""
    statuses = [login(gateway, f"sgo_aaaaaaaaaa_{'A' * 43}").status for _ in range(30)]
    assert set(statuses) <= {401, 429}
    assert statuses.count(429) >= 15
    slow = login(gateway, "wrong")
    while slow.status != 429:
        slow = login(gateway, "wrong")
    assert int(slow.header("retry-after") or 0) > 0
    assert login(gateway, key).status == 200
    began = datetime.now(UTC)
    for _ in range(5):
        got = ask(gateway.port, "GET", "/metrics", key="wrong", host="gateway.example")
        assert got.status in (401, 429)
    time.sleep(0.5)
    told = events(gateway, "key", 0)
    assert not [one for one in told if datetime.fromisoformat(one["at"]) >= began]

    def refusals() -> list[dict[str, Any]] | None:
        told = events(gateway, "operator", 1)
        refused = [one for one in told if one["event"] == "operator.refused"]
        return refused if len(refused) >= 5 else None

    refused = until(refusals)
    assert {one["subject"] for one in refused} == {"127.0.0.1"}
    assert len(refused) < 30
    assert "AAAAAAAA" not in str(refused)
    assert any(one["event"] == "operator.login" for one in events(gateway, "operator", 1))


def test_a_body_has_an_end(gateway: RunningGateway) -> None:
    """Also of who has not said yet who they are."""
    got = ask(gateway.port, "POST", "/admin/session", b" " * 300_000)
    assert (got.status, got.code) == (413, "request_too_large")
