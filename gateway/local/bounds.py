"""The bounds of numbers in a schema, so that llguidance keeps them.

It lets through ``7`` for ``exclusiveMinimum: 7`` with ``maximum: 7.5``, ``-0`` for
``exclusiveMaximum: 0``, and decimals so long that whoever reads them as doubles has the very bound.
Bounds of more than 15 digits it reads up to one double too far. So each bound becomes an inclusive
one of no more digits, which lies within: what is lost is what differs from it in the 15th digit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any, TypeGuard

_DIGITS = 15
_WHOLE = 2**53 - 1
"""Whole numbers up to here are doubles, and so are those next to them."""
_FURTHEST = 2.0**63 - 1024
"""The last double with which llguidance counts; what lies further it takes for something else."""
_FINEST = -22
"""The last power of ten by which a double is read without a second rounding."""
_VALUES = frozenset(("const", "default", "enum", "examples"))
_NAMED = frozenset(("$defs", "definitions", "dependentSchemas", "patternProperties", "properties"))
"""Keywords with schemas by names that are the app's, and no keywords."""
_ENOUGH = Context(prec=40)


class TooFar(Exception):
    """A bound beyond which nothing can be written."""


def bounded(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same schema with inclusive bounds only, wherever it has any. Raises TooFar."""
    found = {key: _within(key, value) for key, value in schema.items()}
    _bound(found, "minimum", "exclusiveMinimum", up=True)
    _bound(found, "maximum", "exclusiveMaximum", up=False)
    return found


def _within(key: str, value: Any) -> Any:
    if key in _VALUES:
        return value
    if key in _NAMED and isinstance(value, dict):
        return {name: _any(inner) for name, inner in value.items()}
    return _any(value)


def _any(value: Any) -> Any:
    if isinstance(value, dict):
        return bounded(value)
    return [_any(item) for item in value] if isinstance(value, list) else value


def _bound(schema: dict[str, Any], inclusive: str, exclusive: str, *, up: bool) -> None:
    """Draft 4 has a flag for ``exclusive``. What is no finite number stays: it is refused later."""
    given, strict = schema.get(inclusive), schema.get(exclusive)
    found = []
    if _finite(strict):
        del schema[exclusive]
        found.append(inside(strict, excluded=True, up=up))
    elif isinstance(strict, bool) and _finite(given):
        del schema[exclusive]
    if _finite(given):
        found.append(inside(given, excluded=strict is True, up=up))
    if found:
        schema[inclusive] = max(found) if up else min(found)


def _finite(value: Any) -> TypeGuard[float]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (isinstance(value, int) or math.isfinite(value))


def inside(bound: float, *, excluded: bool, up: bool) -> float:
    """The bound itself, or the next number behind it, upwards or not, that is read for what it
    is.
    """
    exact = Decimal(bound) if isinstance(bound, int) else Decimal(repr(bound))
    if abs(exact) > _WHOLE:
        return _huge(exact, excluded=excluded, up=up)
    step = Decimal(1).scaleb(min(max(exact.adjusted() - _DIGITS + 1, _FINEST), 0))
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    found = exact.quantize(step, rounding=rounding, context=_ENOUGH)
    if excluded and found == exact:
        found += step if up else -step
    return int(found) if found == found.to_integral_value() else float(found)


def _huge(exact: Decimal, *, excluded: bool, up: bool) -> int:
    """A double that is within, and so are its shortest digits, by which llguidance writes it."""
    found = max(min(float(exact), _FURTHEST), -_FURTHEST)
    while not (
        _is_within(Decimal(found), exact, excluded=excluded, up=up)
        and _is_within(Decimal(repr(found)), exact, excluded=excluded, up=up)
    ):
        found = math.nextafter(found, math.inf if up else -math.inf)
        if abs(found) > _FURTHEST:
            message = f"the schema asks for a number beyond {exact:.6g}, which no grammar holds to"
            raise TooFar(message)
    return int(found)


def _is_within(value: Decimal, bound: Decimal, *, excluded: bool, up: bool) -> bool:
    if value == bound:
        return not excluded
    return value > bound if up else value < bound
