"""How what is exported goes out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

Post: TypeAlias = Callable[[str, str, bytes, float], Awaitable[int]]
"""A path, a media type, a body and seconds to the status of the answer. Raises ``OSError``."""
