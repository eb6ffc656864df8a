"""The app, where it serves. The main process of several serves nothing itself: it need neither hold
what serving takes nor wait for it before it starts the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from gateway.serving import ServeOptions

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def app(options: ServeOptions) -> ASGIApp:
    """What uvicorn calls in each serving process."""
    found: ASGIApp = import_module("gateway.wiring").serving_app(options)
    return found
