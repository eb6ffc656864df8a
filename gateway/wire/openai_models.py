"""The list of models of a server of the OpenAI dialect, as vLLM, llama-server, Ollama, LM Studio,
TGI, Ray Serve and this gateway write it. ``GET /models`` of the OpenAI API is the common part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

MOST_MODELS = 1000
MOST_NAME = 256
"""Characters. Longer names, and those that cannot be printed, are left out: people read them."""
_LATEST = ":latest"


class _Row(msgspec.Struct):
    id: str
    owned_by: Any = None
    aliases: Any = None
    status: Any = None


class _List(msgspec.Struct):
    data: list[_Row] | None
    """``null`` is what Ollama writes where it has no model."""


_lists = msgspec.json.Decoder(_List)


@dataclass(frozen=True, slots=True)
class ModelList:
    """``names`` are what may be asked for, each once, in the server's order. ``any_name`` says that
    the one model there answers to whatever name it is called by.
    """

    names: tuple[str, ...]
    any_name: bool = False

    def has(self, model: str) -> bool:
        """Whether the server has a model."""
        return self.any_name or any(same_model(name, model) for name in self.names)


def same_model(one: str, other: str) -> bool:
    """Whether two names are one model's: Ollama's tag ``:latest`` says as much as no tag."""
    return one.removesuffix(_LATEST) == other.removesuffix(_LATEST)


def read_models(body: bytes) -> ModelList:
    """Read a list. Raises ``ValueError`` where it is not the API's shape."""
    try:
        rows = _lists.decode(body).data or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ValueError("the answer is not a list of models") from None
    names = [name for row in rows for name in (row.id, *_aliases(row)) if _fit(name)]
    return ModelList(tuple(dict.fromkeys(names))[:MOST_MODELS], _any_name(rows))


def _aliases(row: _Row) -> list[str]:
    """llama-server's other names for a model."""
    aliases = row.aliases if isinstance(row.aliases, list) else []
    return [alias for alias in aliases if isinstance(alias, str)]


def _fit(name: str) -> bool:
    return 0 < len(name) <= MOST_NAME and name.isprintable()


def _any_name(rows: list[_Row]) -> bool:
    """llama-server with one model (its router tells a ``status`` of each) and TGI (which owns its
    model by the model's own name) do not look at the name that a request gives.
    """
    if len(rows) != 1:
        return False
    (row,) = rows
    return (row.owned_by == "llamacpp" and row.status is None) or row.owned_by == row.id
