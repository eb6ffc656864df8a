"""What a suite of benchmarks is: something that measures, and says what it found as text and plots.

``found`` is plain data, as it stands in ``results/<date>.json``: what is told of it is made from
the file alone, so that the page can be rendered anew without measuring anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.ground import Ground


@dataclass(frozen=True, slots=True)
class Goal:
    """Something that was promised. ``wanted`` and ``got`` are for people, with units; ``ratio`` is
    got over wanted, of two costs the other way round: 1 or more is met, ``None`` where there is
    none. ``met`` is ``None`` where it could not be measured. ``holds_back`` is a sentence made from
    what was measured.
    """

    what: str
    wanted: str
    got: str
    ratio: float | None
    met: bool | None
    holds_back: str = ""


class Suite(Protocol):
    """``name`` is the folder and the key in the results; ``title`` heads its part of the page."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...

    def run(self, ground: Ground) -> dict[str, Any]:
        """Measure. Whatever it started on the ground is ended after it, even where it raises."""
        ...

    def markdown(self, found: dict[str, Any]) -> str:
        """Tables with a word on each, ratios first; headings from ``###`` on."""
        ...

    def plots(self, found: dict[str, Any], folder: Path) -> list[Path]:
        """Write SVG files into the folder, by ``benchmarks.plot``; those that were written."""
        ...

    def goals(self, found: dict[str, Any]) -> Sequence[Goal]: ...
