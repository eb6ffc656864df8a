"""JSON as strictly as it is read here: in the operator's files, and in what models write."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def read_json(text: str | bytes, *, once: bool = False) -> Any:
    """The value of a JSON text. Raises ValueError with what it is not: numbers that are none, or
    too large for one, are no JSON, and neither is what is nested too deeply to be read. With
    ``once`` no object may have a member twice.
    """
    try:
        return json.loads(
            text,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_once if once else None,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deeply") from None


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"not JSON: {word} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("not JSON that can be read: a number is too large")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("not JSON that can be read: a number is too long") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return found
