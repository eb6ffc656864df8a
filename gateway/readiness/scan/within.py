"""Where a value stands in code, whatever the language."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.readiness.scan.notes import is_model
from gateway.vendors.signals.table import Sign, words


@dataclass(slots=True)
class Within:
    """Where a node stands: the nearest names that it is bound to, and who is asked there."""

    name: str = ""
    outer: str = ""
    sign: Sign | None = None

    @property
    def plain(self) -> bool:
        return not self.name and not self.outer

    @property
    def called(self) -> str:
        """The name that says that a model stands here, if any does."""
        return self.name if is_model(words(self.name)) or not self.outer else self.outer
