"""The console's pages without a browser: what they let whom do, what is escaped, what goes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.access.operators import OperatorRole
from gateway.domain.drill import Drill
from gateway.domain.drilled import End, Held
from gateway.domain.identity import Role
from gateway.errors import Refused
from gateway.http.console.pages import CSP
from gateway.http.drills import DrillState
from gateway.http.seen import Standing
from tests.console import recorded
from tests.console.house import House
from tests.console.recorded import REVISION, Recorded, decision, model, target, vendor

ORIGIN = "http://127.0.0.1:8080"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def browser(house: House) -> Iterator[TestClient]:
    with TestClient(house.app(), base_url=ORIGIN, follow_redirects=False) as client:
        client.headers["origin"] = ORIGIN
        yield client


def signed_in(browser: TestClient, house: House, role: OperatorRole = OperatorRole.OPERATOR) -> str:
    """The token that forms send."""
    answer = browser.post("/console/login", data={"key": house.keys[role]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get("/console").text)
    assert token is not None
    return token[1]


def ban(token: str, **fields: Any) -> dict[str, Any]:
    plain = {
        "csrf": token,
        "vendor": "openai",
        "reason": "Directive 12",
        "roles": ["channel", "developer"],
        "seen": REVISION,
        "accept": "yes",
    }
    return {**plain, **fields}


# Who sees what.


def test_who_has_not_signed_in_is_led_to_the_door(browser: TestClient) -> None:
    for path in ("/console", "/console/ban?vendor=openai", "/console/unload?model=smollm2"):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
        assert answer.text == ""
    assert 'name="key"' in browser.get("/console/login").text


def test_a_wrong_key_is_told_and_opens_nothing(browser: TestClient, house: House) -> None:
    answer = browser.post("/console/login", data={"key": "sgw_abcdefghij_" + "a" * 43})
    assert answer.status_code == 401
    assert "Incorrect API key" in answer.text
    assert "set-cookie" not in answer.headers
    assert house.noted == []


def test_the_key_opens_a_session_that_signing_out_ends(browser: TestClient, house: House) -> None:
    token = signed_in(browser, house)
    assert (
        "HttpOnly"
        in browser.post("/console/login", data={"key": house.keys[OperatorRole.VIEWER]}).headers[
            "set-cookie"
        ]
    )
    token = signed_in(browser, house)
    assert browser.get("/console/login").headers["location"] == "/console"
    kept = dict(browser.cookies)
    answer = browser.post("/console/logout", data={"csrf": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
    browser.cookies.update(kept)
    assert browser.get("/console").status_code == 303
    assert house.noted[-1] == ("logout", "Nadia operator")


def test_a_gateway_without_operators_says_which_command_makes_one(tmp_path: Path) -> None:
    browser = TestClient(House(tmp_path, roles=()).app(), base_url=ORIGIN)
    text = browser.get("/console").text
    assert "gateway operators create NAME --role operator" in text
    assert "<input" not in text


def test_a_viewer_sees_all_and_has_no_switch(browser: TestClient, house: House) -> None:
    token = signed_in(browser, house, OperatorRole.VIEWER)
    text = browser.get("/console").text
    assert "Directive 12" in text
    for way in ("/console/ban", "/console/unban", "/console/load", "/console/unload"):
        assert f'"{way}' not in text
        for answer in (
            browser.get(way, params={"vendor": "openai", "model": "smollm2"}),
            browser.post(way, data=ban(token, model="smollm2")),
        ):
            assert answer.status_code in (403, 405)
    assert browser.post("/console/ban", data=ban(token)).status_code == 403
    assert "You are a viewer" in browser.get("/console/ban?vendor=openai").text
    assert house.recorded.done == []


def test_another_page_cannot_change_anything(browser: TestClient, house: House) -> None:
    token = signed_in(browser, house)
    fields = ban(token)
    assert browser.post("/console/ban", data={**fields, "csrf": "0" * 64}).status_code == 403
    assert browser.post("/console/ban", data={**fields, "csrf": ""}).status_code == 403
    for origin in ("https://example.org", "null"):
        answer = browser.post("/console/ban", data=fields, headers={"origin": origin})
        assert answer.status_code == 403
    assert browser.post("/console/logout", data={}).status_code == 403
    assert house.recorded.done == []


def test_another_host_is_not_served(browser: TestClient) -> None:
    answer = browser.get("/console/login", headers={"host": "rebound.example"})
    assert answer.status_code == 421
    assert "admin.hosts" in answer.text


# What is done.


def test_a_ban_is_shown_before_it_is_made(browser: TestClient, house: House) -> None:
    token = signed_in(browser, house)
    form = browser.get("/console/ban?vendor=openai").text
    assert "1 model left with nothing:</strong> only-cloud" in form
    assert f'name="seen" value="{REVISION}"' in form
    assert house.recorded.done == []
    answer = browser.post(
        "/console/ban", data=ban(token, authority="CISO", until="2026-12-01T00:00")
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/console?banned=openai")
    ((what, name, actor, fields),) = house.recorded.done
    assert (what, name, fields["reason"], fields["authority"]) == (
        "ban",
        "openai",
        "Directive 12",
        "CISO",
    )
    assert actor.startswith("operator:")
    assert fields["roles"] == (Role.CHANNEL, Role.DEVELOPER)
    assert fields["reference"] is None
    assert fields["until"].isoformat() == "2026-12-01T00:00:00+00:00"


def test_a_preview_is_shown_anew_for_other_roles_and_bans_nothing(
    browser: TestClient, house: House
) -> None:
    token = signed_in(browser, house)
    answer = browser.post("/console/ban", data=ban(token, only="preview", roles=["weights"]))
    assert answer.status_code == 200
    assert 'value="weights" data-preview checked' in answer.text
    assert 'value="channel" data-preview>' in answer.text
    assert "Directive 12</textarea>" in answer.text
    assert house.recorded.done == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"reason": "  "}, "A ban needs a reason"),
        ({"roles": []}, "Choose at least one role"),
        ({"reference": "javascript:alert(1)"}, "Reference: expected an address"),
        ({"until": "tomorrow"}, "Until: expected a date"),
        ({"seen": "0" * 64}, "The policy has changed since this was shown"),
        ({"accept": ""}, "This would leave only-cloud with nothing"),
    ],
)
def test_a_ban_that_lacks_something_is_shown_again(
    browser: TestClient, house: House, fields: dict[str, Any], said: str
) -> None:
    token = signed_in(browser, house)
    answer = browser.post("/console/ban", data=ban(token, authority="kept", **fields))
    assert answer.status_code == 409
    assert said in answer.text
    assert 'value="kept"' in answer.text
    assert house.recorded.done == []


def test_what_cannot_be_done_is_told_where_it_was_asked(
    browser: TestClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(self: Recorded, vendor: str, **_: object) -> None:
        raise Refused(f"{vendor} is denied by the hand-written rule 'x' at 10.yaml:4")

    monkeypatch.setattr(Recorded, "ban", refused)
    monkeypatch.setattr(Recorded, "unban", refused)
    token = signed_in(browser, house)
    for path in ("/console/ban", "/console/unban"):
        answer = browser.post(path, data=ban(token))
        assert answer.status_code == 409
        assert "hand-written rule &#39;x&#39; at 10.yaml:4" in answer.text
    assert browser.get("/console/ban?vendor=opanai").status_code == 404


def test_a_ban_is_lifted_and_models_are_loaded_and_unloaded(
    browser: TestClient, house: House
) -> None:
    token = signed_in(browser, house)
    assert "Lift the ban of OpenAI" in browser.get("/console/unban?vendor=openai").text
    assert browser.get("/console/unban?vendor=nobody").status_code == 404
    assert browser.get("/console/unload?model=nothing").status_code == 404
    assert "Unload smollm2" in browser.get("/console/unload?model=smollm2").text
    for path, fields in (
        ("unban", {"vendor": "openai"}),
        ("load", {"model": "smollm2"}),
        ("unload", {"model": "smollm2", "cut": ""}),
        ("unload", {"model": "smollm2", "cut": "yes"}),
    ):
        answer = browser.post(f"/console/{path}", data={"csrf": token, **fields})
        assert answer.status_code == 303
    told = [(what, name, *rest[:-1]) for what, name, *rest in house.recorded.done]
    assert told == [
        ("unban", "openai"),
        ("load", "smollm2"),
        ("unload", "smollm2", False),
        ("unload", "smollm2", True),
    ]


def drill(**fields: Any) -> DrillState:
    began = datetime(2026, 11, 26, 3, 10, tzinfo=UTC)
    practised = Drill(
        "d1", "openai", began, began + timedelta(minutes=5), "local:root", "<b>Monday</b>"
    )
    return DrillState(
        **{
            **{"end": None, "moved": (), "verdict": None, "share": None},
            "drill": practised,
            **fields,
        }
    )


def test_a_drill_that_runs_is_seen_by_all_and_ended_by_who_may(
    browser: TestClient, house: House
) -> None:
    """Of the last one only what came of it is said."""
    token = signed_in(browser, house)
    house.recorded.drills_ = [drill()]
    page = browser.get("/console").text
    assert "a ban of openai is practised until" in page
    assert "&lt;b&gt;Monday&lt;/b&gt;" in page
    assert browser.post("/console/drill/stop").status_code == 403
    assert house.recorded.done == []
    answer = browser.post("/console/drill/stop", data={"csrf": token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console?drill=d1")
    assert [one[0] for one in house.recorded.done] == ["stop drill"]
    ended = End(datetime(2026, 11, 26, 3, 15, tzinfo=UTC))
    house.recorded.drills_ = [drill(end=ended, verdict=Held.GAPS, share=0.984)]
    page = browser.get("/console").text
    assert "holds with gaps</strong>, 98 % served without it" in page
    assert "End the drill" not in page
    assert "The drill of openai is over" in browser.get("/console?drill=d1").text
    assert 'class="done"' not in browser.get("/console?drill=d0").text
    browser.post("/console/logout", data={"csrf": token})
    signed_in(browser, house, OperatorRole.VIEWER)
    house.recorded.drills_ = [drill()]
    page = browser.get("/console").text
    assert "a ban of openai is practised until" in page
    assert "End the drill" not in page


def practised(token: str, **fields: Any) -> dict[str, Any]:
    plain = {"csrf": token, "vendor": "openai", "reason": "before it is meant"}
    return {**plain, "minutes": "2,5", "of": "apps", "share": "10", **fields}


def test_a_drill_is_started_by_who_may_ban(browser: TestClient, house: House) -> None:
    """Of a share of what apps ask, or of the gateway's own requests; by no other page than ours."""
    assert browser.get("/console/drill").headers["location"] == "/console/login"
    viewer = signed_in(browser, house, OperatorRole.VIEWER)
    assert "Practise…" not in browser.get("/console").text
    assert browser.get("/console/drill?vendor=openai").status_code == 403
    assert browser.post("/console/drill", data=practised(viewer)).status_code == 403
    browser.post("/console/logout", data={"csrf": viewer})
    token = signed_in(browser, house)
    assert 'href="/console/drill?vendor=openai"' in browser.get("/console").text
    form = browser.get("/console/drill?vendor=openai")
    assert "Practise a ban of OpenAI" in form.text
    assert browser.post("/console/drill", data=practised("")).status_code == 403
    assert house.recorded.done == []
    answer = browser.post("/console/drill", data=practised(token))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console?drill=d1")
    page = browser.get("/console?drill=d1").text
    assert "The drill of openai runs" in page
    assert "Practise…" not in page
    again = browser.post("/console/drill", data=practised(token, of="own", strict="yes"))
    assert again.status_code == 409
    assert "a drill runs already" in again.text
    house.recorded.drills_ = []
    browser.post("/console/drill", data=practised(token, of="own", strict="yes", share="x"))
    asked = [one[1] for one in house.recorded.done]
    assert [(one.minutes, one.share, one.rate, one.strict) for one in asked] == [
        (2.5, 0.1, None, False),
        (2.5, 1, 1.0, True),
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"reason": " "}, "A drill needs a reason"),
        ({"reason": "a\x1b[31m"}, "no signs of control"),
        ({"minutes": "soon"}, "Minutes: expected up to 1440"),
        ({"minutes": "nan"}, "Minutes: expected up to 1440"),
        ({"minutes": "1441"}, "Minutes: expected up to 1440"),
        ({"share": "0"}, "Share: expected up to 100 %"),
        ({"share": "inf"}, "Share: expected up to 100 %"),
    ],
)
def test_a_drill_that_cannot_be_is_shown_again(
    browser: TestClient, house: House, wrong: dict[str, str], said: str
) -> None:
    token = signed_in(browser, house)
    answer = browser.post("/console/drill", data=practised(token, strict="yes", **wrong))
    assert answer.status_code == 409
    assert said in answer.text
    assert 'name="strict" value="yes" checked' in answer.text
    assert house.recorded.done == []


def test_an_address_makes_the_page_say_nothing_that_is_not_so(
    browser: TestClient, house: House
) -> None:
    signed_in(browser, house)
    assert "OpenAI is banned: policy 04335bc62d4b" in browser.get("/console?banned=openai").text
    for query in ("banned=anthropic", "unbanned=openai", "banned=<b>x</b>"):
        assert 'class="done"' not in browser.get(f"/console?{query}").text
    assert "Anthropic is banned no more" in browser.get("/console?unbanned=anthropic").text


def test_a_signed_policy_is_not_toggled_here(browser: TestClient, house: House) -> None:
    house.recorded.policy_ = recorded.in_force(signed=True)
    signed_in(browser, house)
    text = browser.get("/console").text
    assert "gateway ban VENDOR --key FILE" in text
    assert "/console/ban" not in text
    assert "/console/unban" not in text


def test_a_form_that_is_too_large_is_refused(browser: TestClient, house: House) -> None:
    token = signed_in(browser, house)
    assert browser.post("/console/ban", data=ban(token, reason="x" * 70_000)).status_code == 413


# What goes out.

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}</textarea>"


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def _harmless(text: str) -> None:
    for tag, attributes in Tags(text).found:
        assert tag != "img"
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        if tag == "script":
            assert re.fullmatch(
                r"/console/static/console\.[0-9a-f]{16}\.js", attributes["src"] or ""
            )
    assert "7 * 7" in text
    assert "<script>" not in text


def _hostile() -> Recorded:
    h = HOSTILE
    danger = "javascript:alert(1)"
    moves = recorded.moves()
    return Recorded(
        policy_=recorded.in_force(problem=h),
        status_=recorded.status(version=h, without_credentials=[h]),
        vendors_=[
            vendor(
                "openai",
                Standing.BANNED,
                title=h,
                reason=h,
                authority=h,
                reference=danger,
                rule=h,
                source=h,
                conditional=[h],
                liftable=True,
            ),
            vendor(h, Standing.RISKY, reference=danger),
        ],
        models_=[model(h, target(h, "local", 1), target(h, "cloud", None, left_out=h, rule=h))],
        local_=[recorded.local_model(name=h, detail=h)],
        decisions_=[
            decision(
                1, id=h, model=h, key=h, team=h, app=h, failover=h, explanation=h, served_by=h
            ),
            decision(2, outcome=h, served_by=None, locality=None),
        ],
        events_=[
            {"kind": h, "at": h, "model": h, "outcome": h, "served_by": h},
            {"kind": "event", "at": None, "event": h, "subject": h, "actor": h, "reason": h},
            {"kind": "checkpoint", "at": "x", "key": h},
            {},
        ],
        preview_=moves.model_copy(update={"title": h, "denied": [h], "stranded": [h]}),
        readiness_=recorded.readiness(
            recorded.if_banned(
                h,
                9,
                unmeasured=[h],
                crowded=1,
                worst={"at": recorded.AT, "target": h, "busy": 2},
                missing=[
                    recorded.lack(why, h, app=h, model=h)
                    for why in ("capability", "context", "policy", "unconfigured")
                ],
            )
        ),
    )


def test_whatever_is_shown_is_escaped(browser: TestClient, house: House) -> None:
    house.recorded.__dict__.update(_hostile().__dict__)
    token = signed_in(browser, house)
    pages = [browser.get(path).text for path in ("/console", "/console/ban?vendor=openai")]
    pages.append(browser.get("/console/unban?vendor=openai").text)
    pages.append(browser.get("/console/unload", params={"model": HOSTILE}).text)
    fields = dict.fromkeys(("reason", "authority", "reference", "until"), HOSTILE)
    pages.append(browser.post("/console/ban", data=ban(token, **fields)).text)
    pages.append(browser.get("/console/ban", params={"vendor": HOSTILE}).text)
    for page in pages:
        _harmless(page)
        assert "javascript:" not in "".join(
            attributes.get("href") or "" for _, attributes in Tags(page).found
        )


def test_it_says_what_local_would_lack_if_a_vendor_were_banned(
    browser: TestClient, house: House
) -> None:
    """In words, by the app and the model; and of what is not known, that it is not."""
    signed_in(browser, house)
    text = browser.get("/console").text
    panel = text[text.index('id="readiness-title"') : text.index('id="decisions-title"')]
    for said in (
        "of 12,480 requests since",
        "310 of shop for gpt-4o need images",
        "96 for gpt-4o are longer than 4096 tokens",
        "12 of shop for only-cloud have no local target",
        "and 2 rows more",
        "too much at once in 41 minutes",
        "2.3 times what <code>local/smollm2</code> can do",
        "<b>95 %</b>",
        "<b>78 %</b>",
        "nothing hung on it",
        "All cloud vendors",
        "by <code>local/smollm2</code>, 120 canaries",
        "<b>94 %</b>",
        "format 5, finish 3",
        "by the gateway itself",
        "<b>&gt; 99 %</b>",
    ):
        assert said in panel, said
    row = recorded.if_banned(
        "openai", 5, capacity=None, score=None, unmeasured=["local/smollm2"], denied=True
    )
    house.recorded.readiness_ = recorded.readiness(row)
    text = browser.get("/console").text
    assert "how much <code>local/smollm2</code> can do was never measured" in text
    assert "not measured" in text
    assert "5 requests, denied already" in text
    house.recorded.readiness_ = recorded.readiness(canaries=[])
    assert "Canaries" not in browser.get("/console").text
    house.recorded.readiness_ = None
    assert "The audit log of the last day is still being read." in browser.get("/console").text


def test_a_reference_is_a_link_that_tells_nothing_of_us(browser: TestClient, house: House) -> None:
    signed_in(browser, house)
    (link,) = [
        attributes
        for tag, attributes in Tags(browser.get("/console").text).found
        if tag == "a" and (attributes.get("href") or "").startswith("http")
    ]
    assert link["href"] == "https://directives.example.org/2026/12"
    assert link["rel"] == "noopener noreferrer"


def test_every_answer_has_the_headers_that_let_it_do_little(
    browser: TestClient, house: House
) -> None:
    answers = [browser.get("/console/login"), browser.get("/console")]
    signed_in(browser, house)
    style = re.search(r'href="(/console/static/[^"]+\.css)"', browser.get("/console").text)
    assert style is not None
    answers += [browser.get(path) for path in ("/console", "/console/ban?vendor=x", style[1])]
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"] == CSP
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert [answer.headers["cache-control"] for answer in answers[:-1]] == ["no-store"] * 4


def test_static_files_are_named_by_their_content_and_kept(
    browser: TestClient, house: House
) -> None:
    signed_in(browser, house)
    found = set(re.findall(r'"(/console/static/[^"]+)"', browser.get("/console").text))
    assert {Path(address).suffix for address in found} == {".css", ".js", ".svg"}
    for address in found:
        answer = browser.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = browser.get(address, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert answer.headers["etag"].strip('"') in address
    assert browser.get("/console/static/console.css").status_code == 404
    assert browser.get("/console/static/..%2Froutes.py").status_code == 404
