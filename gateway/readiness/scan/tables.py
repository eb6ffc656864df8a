"""Parsed documents, whose parts may be of any type: what is not of the wanted one is empty."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from gateway.readiness.scan.source import Source, Unreadable


def json_data(source: Source) -> object:
    """A parsed JSON document. Raises ``Unreadable``."""
    try:
        return json.loads(source.text)
    except ValueError:
        raise Unreadable("it is not valid JSON") from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None


def table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def rows(value: object) -> Iterator[Mapping[str, object]]:
    yield from (one for one in items(value) if isinstance(one, dict))


def text(value: object) -> str:
    return value if isinstance(value, str) else ""
