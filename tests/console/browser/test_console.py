"""The console in real Chromium, in front of a running gateway with the real local model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.console.browser.house import Watched, running
from tests.console.browser.pages import NARROW, WIDE, Looked, chromium, looking
from tests.end_to_end.running import ROOT

SHORT = bool(os.environ.get("SHORT"))
IMAGES = ROOT / "docs" / "images"
LONG = pytest.mark.skipif(SHORT, reason="not in the short form")
REFRESHED = 8_000
"""Milliseconds within which a change stands on the page: it asks every two seconds."""

RECKONED = 60_000
"""As long, until readiness has been reckoned anew or the last answer of a drill is told of."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with running(tmp_path_factory.mktemp("console")) as watched:
        yield watched


@pytest.fixture(autouse=True)
def no_ban(watched: Watched) -> Iterator[None]:
    yield
    if (watched.gateway.policies / "90-toggles.yaml").exists():
        watched.gateway.run("unban", "openai")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where they go: only the whole suite renews those of the docs."""
    folder = tmp_path if SHORT else IMAGES
    folder.mkdir(exist_ok=True)
    return folder


def dialog(looked: Looked, name: str) -> None:
    expect(looked.page.get_by_role("dialog", name=name)).to_be_visible()


def test_a_ban_from_the_preview_to_the_traffic(
    browser: Browser, watched: Watched, pictures: Path
) -> None:
    """What an operator on call does: look, ban, see it move, lift the ban."""
    usual = ["gpt-4o", "gpt-4o-mini", "in-house", "mistral-large"]
    served = watched.ask(*usual * 3)
    assert served[:2] == ["openai/gpt-4o", "openai/gpt-4o-mini"]
    with looking(browser, watched.gateway.url) as looked:
        looked.sign_in(watched.keys["operator"])
        page = looked.page
        expect(looked.row("openai")).to_contain_text("Allowed")
        expect(looked.row("mistral")).to_contain_text("Risky")
        expect(looked.row("deepseek")).to_contain_text("Agency directive 4")
        looked.row("openai").get_by_role("link", name="Ban…").click()
        dialog(looked, "Ban OpenAI")
        expect(page.get_by_label("Reason")).to_be_focused()
        moves = page.locator("#moves")
        expect(moves).to_contain_text("1 model left with nothing: only-cloud")
        row = moves.get_by_role("row", name="gpt-4o-mini")
        expect(row).to_contain_text("openai/gpt-4o-mini")
        expect(row).to_contain_text("lab/qwen3-32b")
        page.get_by_label("Reason").fill("Directive 12: no prompts until the review is over")
        page.get_by_label("Authority").fill("Office of the CISO")
        page.get_by_label("Reference").fill("https://directives.example.org/12")
        page.get_by_label("Until, UTC").fill("2027-01-15T00:00")
        looked.picture(pictures / "console-ban.png")
        page.get_by_role("button", name="Ban OpenAI").click()
        dialog(looked, "Ban OpenAI")  # what is stranded has not been accepted
        page.get_by_label("Refuse requests for only-cloud").check()
        page.get_by_role("button", name="Ban OpenAI").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(looked.row("openai")).to_contain_text("Banned")
        expect(looked.row("openai")).to_contain_text("Directive 12")
        expect(page.locator("#said")).to_contain_text("OpenAI is banned")
        expect(page.locator("h1")).to_have_text("Nothing serves only-cloud")

        assert watched.ask(*usual * 3)[:2] == ["local/smollm2", "lab/qwen3-32b"]
        moved = page.locator("#decisions summary").filter(has_text="local/smollm2 failover: policy")
        expect(moved.first).to_be_visible(timeout=REFRESHED)
        moved.first.click()
        why = page.locator("#decisions details[open]")
        expect(why).to_contain_text("openai/gpt-4o is deny by rule ban-openai")
        page.wait_for_timeout(2500)
        expect(why).to_be_visible()  # it stays open while the page refreshes
        why.locator("summary").click()
        expect(page.locator("#traffic .local dd")).not_to_have_text("0")
        looked.picture(pictures / "console-light.png", height=1180)

        looked.row("openai").get_by_role("link", name="Lift ban…").click()
        dialog(looked, "Lift the ban of OpenAI")
        page.get_by_role("button", name="Lift the ban").click()
        expect(looked.row("openai")).to_contain_text("Allowed")
    assert watched.ask("gpt-4o") == ["openai/gpt-4o"]


@LONG
def test_the_same_by_keyboard_alone(browser: Browser, watched: Watched) -> None:
    with looking(browser, watched.gateway.url) as looked:
        page, keyboard = looked.page, looked.page.keyboard
        page.goto(f"{looked.origin}/console")
        keyboard.type(watched.keys["operator"])
        keyboard.press("Enter")
        page.get_by_role("heading", name="Vendors").wait_for()
        keyboard.press("Tab")
        expect(page.get_by_text("Skip to what is happening")).to_be_focused()
        keyboard.press("Enter")
        switch = page.locator("#switch-openai")
        to(looked, "switch-openai")
        keyboard.press("Enter")
        dialog(looked, "Ban OpenAI")
        keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(switch).to_be_focused()
        keyboard.press("Enter")
        dialog(looked, "Ban OpenAI")
        keyboard.type("Directive 12")
        for _ in range(40):  # the focus does not leave the dialog
            keyboard.press("Tab")
            assert page.evaluate("document.activeElement.closest('dialog, body').id") in (
                "dialog",
                "",
            )
            if page.evaluate("document.activeElement.name") == "accept":
                break
        keyboard.press("Space")
        for _ in range(3):
            keyboard.press("Tab")
            if "Ban OpenAI" in page.evaluate("document.activeElement.textContent"):
                break
        keyboard.press("Enter")
        expect(looked.row("openai")).to_contain_text("Banned")
        expect(switch).to_be_focused()
        keyboard.press("Enter")
        dialog(looked, "Lift the ban of OpenAI")
        keyboard.press("Tab")
        keyboard.press("Enter")
        expect(looked.row("openai")).to_contain_text("Allowed")


def to(looked: Looked, id: str) -> None:
    """Tab until what has that id has the focus."""
    for _ in range(60):
        looked.page.keyboard.press("Tab")
        if looked.page.evaluate("document.activeElement.id") == id:
            return
    raise AssertionError(f"Tab does not reach {id}")


@pytest.mark.parametrize(
    ("scheme", "size"),
    [
        ("light", WIDE),
        pytest.param("dark", WIDE, marks=LONG),
        pytest.param("light", NARROW, marks=LONG),
        pytest.param("dark", NARROW, marks=LONG),
    ],
)
def test_axe_finds_nothing_serious(
    browser: Browser, watched: Watched, scheme: str, size: tuple[int, int], pictures: Path
) -> None:
    """On the page, with a decision open, in each dialog, and at the door."""
    watched.gateway.run("ban", "openai", "--reason", "Directive 12")
    watched.ask("gpt-4o", "gpt-4o-mini")
    with looking(browser, watched.gateway.url, scheme=scheme, size=size) as looked:
        page = looked.page
        page.goto(f"{looked.origin}/console")
        assert looked.complaints() == []
        looked.sign_in(watched.keys["operator"])
        expect(looked.row("openai")).to_contain_text("Banned")
        if size == NARROW:
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide == NARROW[0], "it scrolls sideways"
        if (scheme, size) == ("dark", WIDE):
            looked.picture(pictures / "console-dark.png", height=1180)
        if (scheme, size) == ("light", NARROW):
            looked.picture(pictures / "console-narrow.png", height=1500)
        page.locator("#decisions summary").first.click()
        assert looked.complaints() == []
        for switch, name in (
            ("#switch-mistral", "Ban Mistral AI"),
            ("#switch-openai", "Lift the ban of OpenAI"),
            ("#unload-smollm2", "Unload smollm2"),
        ):
            page.locator(switch).click()
            dialog(looked, name)
            assert looked.complaints() == []
            page.get_by_role("link", name="Close").click()


def test_without_scripts_it_reads_signs_in_bans_and_lifts(
    browser: Browser, watched: Watched
) -> None:
    with looking(browser, watched.gateway.url, scripts=False) as looked:
        looked.sign_in(watched.keys["operator"])
        page = looked.page
        expect(page.get_by_text("Scripts are off")).to_be_visible()
        looked.row("openai").get_by_role("link", name="Ban…").click()
        expect(page.get_by_role("heading", name="Ban OpenAI")).to_be_visible()
        page.get_by_label("Reason").fill("Directive 12")
        page.get_by_label("channel").uncheck()
        page.get_by_role("button", name="Show anew what it would move").click()
        expect(page.get_by_label("channel")).not_to_be_checked()
        expect(page.get_by_label("Reason")).to_have_value("Directive 12")
        page.get_by_label("Refuse requests for only-cloud").check()
        page.get_by_role("button", name="Ban OpenAI").click()
        expect(page.get_by_text("OpenAI is banned: policy")).to_be_visible()
        looked.row("openai").get_by_role("link", name="Lift ban…").click()
        page.get_by_role("button", name="Lift the ban").click()
        expect(page.get_by_text("OpenAI is banned no more")).to_be_visible()


def test_a_drill_is_started_from_what_a_ban_would_do_and_ended(
    browser: Browser, watched: Watched
) -> None:
    assert watched.ask("gpt-4o", "only-cloud") == ["openai/gpt-4o"] * 2
    with looking(browser, watched.gateway.url) as looked:
        looked.sign_in(watched.keys["operator"])
        page = looked.page
        row = page.locator("#readiness").get_by_role("row", name="openai", exact=False).first
        expect(row).to_contain_text("for only-cloud have no local target", timeout=RECKONED)
        row.get_by_role("link", name="Practise…").click()
        dialog(looked, "Practise a ban of OpenAI")
        expect(page.get_by_label("Reason")).to_be_focused()
        assert looked.complaints() == []
        page.get_by_label("Reason").fill("before directive 12")
        page.locator("#share").fill("a tenth")
        page.get_by_role("button", name="Start the drill").click()
        expect(page.get_by_role("alert")).to_contain_text("Share: expected up to 100 %")
        looked.said.clear()  # that it was answered 409
        page.locator("#share").fill("100")
        page.get_by_role("button", name="Start the drill").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.locator("#said")).to_contain_text("The drill of openai runs")
        drill = page.get_by_role("list", name="Drill")
        expect(drill).to_contain_text("a ban of openai is practised until")
        expect(page.get_by_role("link", name="Practise…")).to_have_count(0)
        assert looked.complaints() == []
        assert watched.ask("gpt-4o", "only-cloud") == ["local/smollm2", "openai/gpt-4o"]
        drill.get_by_role("button", name="End the drill").click()
        expect(page.locator("#said")).to_contain_text("The drill of openai is over")
        expect(drill).to_have_count(0)
        expect(row.get_by_role("link", name="Practise…")).to_be_visible()
        expect(page.locator("#top")).to_contain_text("50 % served without it", timeout=RECKONED)
    assert watched.ask("gpt-4o") == ["openai/gpt-4o"]


def test_without_scripts_a_drill_is_started_and_ended(browser: Browser, watched: Watched) -> None:
    with looking(browser, watched.gateway.url, scripts=False) as looked:
        looked.sign_in(watched.keys["operator"])
        page = looked.page
        looked.page.goto(f"{looked.origin}/console/drill?vendor=openai")
        page.get_by_label("Reason").fill("before directive 12")
        page.get_by_label("requests of the gateway's own").check()
        page.get_by_role("button", name="Start the drill").click()
        expect(page.get_by_text("The drill of openai runs")).to_be_visible()
        page.get_by_role("button", name="End the drill").click()
        expect(page.get_by_text("The drill of openai is over")).to_be_visible()


@LONG
def test_a_viewer_has_no_switch(browser: Browser, watched: Watched) -> None:
    with looking(browser, watched.gateway.url) as looked:
        looked.sign_in(watched.keys["viewer"])
        expect(looked.row("openai")).to_contain_text("Allowed")
        expect(looked.page.get_by_role("link", name="Ban…")).to_have_count(0)
        expect(looked.page.get_by_role("link", name="Unload…")).to_have_count(0)
        expect(looked.page.locator("#readiness")).to_contain_text("openai", timeout=RECKONED)
        expect(looked.page.get_by_role("link", name="Practise…")).to_have_count(0)
        expect(looked.page.get_by_text("You are a viewer")).to_be_visible()


@LONG
def test_a_change_from_elsewhere_is_seen_and_the_focus_stays(
    browser: Browser, watched: Watched
) -> None:
    with looking(browser, watched.gateway.url) as looked:
        looked.sign_in(watched.keys["operator"])
        looked.page.locator("#switch-openai").focus()
        watched.gateway.run("ban", "openai", "--reason", "by the command line")
        expect(looked.row("openai")).to_contain_text("by the command line", timeout=REFRESHED)
        expect(looked.page.locator("#switch-openai")).to_be_focused()
        (watched.gateway.policies / "20-wrong.yaml").write_text(
            "version: 1\nvendors: {opanai: deny}\n"
        )
        problem = looked.page.locator("#problems")
        expect(problem).to_contain_text("unknown vendor 'opanai'", timeout=REFRESHED)
        expect(looked.page.locator("#facts")).to_contain_text("Degraded")
        (watched.gateway.policies / "20-wrong.yaml").unlink()
        expect(problem).to_have_count(0, timeout=REFRESHED)


@LONG
def test_a_local_model_is_unloaded_and_loaded(browser: Browser, watched: Watched) -> None:
    with looking(browser, watched.gateway.url) as looked:
        looked.sign_in(watched.keys["operator"])
        page = looked.page
        page.get_by_role("link", name="Unload…").click()
        dialog(looked, "Unload smollm2")
        page.get_by_role("button", name="Unload").click()
        expect(page.locator("#local")).to_contain_text("unloaded", timeout=REFRESHED)
        page.get_by_role("button", name="Load").click()
        expect(page.locator("#local")).to_contain_text("ready", timeout=60_000)


@LONG
def test_what_is_old_is_called_old(browser: Browser, watched: Watched) -> None:
    with looking(browser, watched.gateway.url) as looked:
        looked.sign_in(watched.keys["operator"])
        live = looked.page.locator("#live")
        expect(live).to_have_text("Live")
        looked.page.locator("#unload-smollm2").click()
        dialog(looked, "Unload smollm2")
        looked.page.context.set_offline(True)
        looked.page.get_by_role("button", name="Unload").click()
        expect(looked.page.get_by_role("dialog")).to_contain_text("The gateway does not answer")
        expect(live).to_contain_text("No answer for", timeout=15_000)
        expect(looked.page.locator("#said")).to_contain_text("What is shown is old")
        looked.page.context.set_offline(False)
        expect(live).to_have_text("Live", timeout=REFRESHED)
        looked.said.clear()  # that it was offline
