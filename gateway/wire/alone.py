"""Whether a body has one model, and nothing that a decoder could take for it: told by the reading
that each body goes through in any case. A long one is then not gone through a second time to put
another model in its place.
"""

from __future__ import annotations

from itertools import product
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType


class _Named(Protocol):
    model: str


_B = TypeVar("_B", bound=_Named)
_OTHERS = tuple(
    spelling
    for letters in product(*zip("model", "MODEL", strict=True))
    if (spelling := "".join(letters)) != "model"
)
"""Other spellings of the key: some decoders, Go's among them, do not look at the case."""
_others = attrgetter(*_OTHERS)
_NONE = (UNSET,) * len(_OTHERS)


class _Name(str):
    """A value of the key."""

    __slots__ = ()


class Reading(Generic[_B]):
    """Reads bodies of one type."""

    def __init__(self, kind: type[_B]) -> None:
        fields = [(name, msgspec.Raw | UnsetType, UNSET) for name in _OTHERS]
        self._kind: Any = msgspec.defstruct(
            kind.__name__, [("model", _Name), *fields], bases=(kind,), kw_only=True
        )

    def read(self, body: bytes) -> tuple[_B, bool]:
        """A body as it stands, and whether its model is alone. Raises what ``msgspec`` does, but
        with other words where the model is no text.
        """
        named = 0

        def name(_: type, value: object) -> _Name:
            nonlocal named
            named += 1
            if not isinstance(value, str):
                raise TypeError("the model is no text")
            return _Name(value)

        # The same key twice comes here twice.
        parsed = msgspec.json.decode(body, type=self._kind, dec_hook=name)
        parsed.model = str(parsed.model)
        return parsed, named == 1 and _others(parsed) == _NONE
