"""What is in force holds whether or not that can be written down for others: what could not be is
told later.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gateway.errors import StateError


class Telling:
    """``publish`` writes it down as it is now, and raises ``StateError`` where it cannot: that is
    logged once, as ``event`` of the logger ``name``, until it can again.
    """

    def __init__(self, publish: Callable[[], None], name: str, event: str) -> None:
        self._publish = publish
        self._log = structlog.get_logger(name)
        self._event = event
        self._untold = False

    def tell(self) -> None:
        before = self._untold
        try:
            self._publish()
        except StateError as error:
            self._untold = True
            if not before:
                self._log.error(self._event, problem=error.message)
        else:
            self._untold = False

    def again(self) -> None:
        """To be called every so often."""
        if self._untold:
            self.tell()
