"""What a serving process is started with by the main one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What every serving process is started with; crosses process borders, so plain data only.

    ``overrides`` are flags by dotted path; ``text`` is the configuration that the gateway was
    started with: what it cannot change while it runs stays what this says; ``shared`` is the folder
    in which serving processes count, for a scrape of any of them. With an ``admin_port`` what is
    for operators is there, and at ``admin_url``.
    """

    config: Path
    overrides: Mapping[str, object]
    text: bytes
    url: str
    shared: Path
    admin_url: str
    admin_port: int | None = None
