"""Chromium as the tests drive it: every request and every complaint of a page is written down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--no-first-run",
    # The tests run as root in CI, where Chromium's sandbox cannot; all pages are our own.
    "--no-sandbox",
)
WIDE = (1440, 980)
NARROW = (390, 844)
_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


def chromium(playwright: Playwright) -> Browser:
    """The system's browser: none is ever downloaded."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert path is not None, "Chromium is not there (Debian: apt install chromium)"
    return playwright.chromium.launch(executable_path=path, args=list(FLAGS))


@dataclass
class Looked:
    """A page and what it did: ``hosts`` are the origins that it asked for anything."""

    page: Page
    origin: str
    hosts: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)

    def sign_in(self, key: str) -> None:
        self.page.goto(f"{self.origin}/console")
        self.page.get_by_label("Operator key").fill(key)
        self.page.keyboard.press("Enter")
        self.page.get_by_role("heading", name="Vendors").wait_for()

    def row(self, vendor: str) -> Any:
        """The row of a vendor, by its id."""
        return self.page.locator("#vendors tr", has=self.page.get_by_text(vendor, exact=True))

    def complaints(self) -> list[str]:
        """What axe finds that is serious."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html']} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def picture(self, path: Path, height: int | None = None) -> None:
        """Of what stands in the window, or of the page down to a height."""
        self.page.evaluate("document.activeElement?.blur?.(); scrollTo(0, 0)")
        width = self.page.viewport_size["width"] if self.page.viewport_size else 0
        clip = {"x": 0, "y": 0, "width": width, "height": height} if height else None
        self.page.screenshot(
            path=path, clip=clip, full_page=height is not None, animations="disabled"
        )


@contextmanager
def looking(
    browser: Browser,
    origin: str,
    *,
    scheme: str = "light",
    size: tuple[int, int] = WIDE,
    scripts: bool = True,
) -> Iterator[Looked]:
    """A window of its own. In the end it has asked no other host, and nothing went wrong in it."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=scripts,
        locale="en-GB",
        reduced_motion="reduce",
    )
    context.add_init_script(_VIOLATIONS)
    page = context.new_page()
    looked = Looked(page, origin)

    def told(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            looked.said.append(message.text)

    page.on("request", lambda request: looked.hosts.add("/".join(request.url.split("/")[:3])))
    page.on("console", told)
    page.on("pageerror", lambda error: looked.said.append(str(error)))
    try:
        yield looked
        violations = page.evaluate("window.violations") if scripts else []
        assert violations == []
        assert looked.said == []
        assert looked.hosts == {origin}
    finally:
        context.close()
