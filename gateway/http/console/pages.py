"""Pages as they go out: rendered with everything escaped, under headers that let them do little."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.http.console import words
from gateway.http.console.assets import Assets

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer a browser sends our own forms with `Origin: null`, as if from anywhere.
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
FILTERS: dict[str, Callable[..., Any]] = {
    "clock": words.clock,
    "counted": words.counted,
    "day_and_minute": words.day_and_minute,
    "file_name": lambda source: PurePath(source).name,
    "host": words.host,
    "iso": words.iso,
    "lacking": words.lacking,
    "lasted": words.lasted,
    "percent": words.percent,
    "plain_words": words.plain,
    "share": words.share,
    "size": words.size,
    "web_address": words.web_address,
}


class Pages:
    """Renders the package's templates. A name that a template lacks is an error, never empty."""

    def __init__(self, assets: Assets) -> None:
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals["asset"] = assets.address

    def page(self, name: str, status: int = 200, **shown: object) -> Response:
        """One page, rendered now."""
        text = self._templates.get_template(f"{name}.html").render(now=datetime.now(UTC), **shown)
        return HTMLResponse(text, status, HEADERS)


def elsewhere(address: str) -> Response:
    """On to another page of ours (303)."""
    return RedirectResponse(address, 303, HEADERS)
