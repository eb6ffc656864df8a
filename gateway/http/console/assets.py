"""The console's static files: each under a name that its content gives it, so that what a browser
keeps is never out of date.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

FOREVER = "public, max-age=31536000, immutable"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """``etag`` is as the header has it, with its quotes."""

    content: bytes
    media_type: str
    etag: str


class Assets:
    """All of them, in memory: there are a few tens of kilobytes."""

    def __init__(self, prefix: str) -> None:
        """``prefix`` is the path below which they are served."""
        self._prefix = prefix
        self._served: dict[str, Asset] = {}
        names: dict[str, str] = {}
        for file in sorted(files(__package__).joinpath("static").iterdir(), key=lambda f: f.name):
            stem, dot, ending = file.name.rpartition(".")
            if dot + ending not in _TYPES:
                continue
            content = file.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:16]
            names[file.name] = f"{stem}.{digest}{dot}{ending}"
            self._served[names[file.name]] = Asset(content, _TYPES[dot + ending], f'"{digest}"')
        self._names: Mapping[str, str] = names

    def address(self, name: str) -> str:
        """Where the file of that name in the package is served. Raises ``KeyError``."""
        return f"{self._prefix}/{self._names[name]}"

    def find(self, served: str) -> Asset | None:
        """What is served under a name with a digest in it."""
        return self._served.get(served)
