"""What keys have used, for whoever wants to know it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.access.account import Used
from gateway.access.layout import (
    COUNT,
    HELD,
    MAGIC,
    MARK,
    MONTHS,
    NUMBERS,
    PAGE,
    WORD,
    base_of,
    find,
    name_of,
    use,
)
from gateway.access.months import numbered, written
from gateway.errors import StateError


@dataclass(frozen=True, slots=True)
class Month:
    """What was used in one month, by name (``2026-11``)."""

    name: str
    used: Used


@dataclass(frozen=True, slots=True)
class Balance:
    """What one key has used: of up to a year, newest first; and what it uses right now."""

    months: tuple[Month, ...]
    running: int
    reserved: int


def balances(path: Path, keys: Iterable[str], today: datetime) -> dict[str, Balance]:
    """What keys have used, by the ids of their accounts (``Key.accounted``). Where nothing was ever
    used there need be no file. Raises ``StateError`` where it cannot be read.
    """
    month = numbered(today)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raw = b""
    except OSError as error:
        raise StateError(f"what keys have used cannot be read: {path}: {error.strerror}") from None
    words = memoryview(raw[: len(raw) // WORD * WORD]).cast("q")
    if len(words) < PAGE // WORD or words[MAGIC] != MARK:
        return {key: Balance((), 0, 0) for key in keys}
    return {key: _balance(words, key, month) for key in keys}


def _balance(words: memoryview, key: str, month: int) -> Balance:
    place = find(words, name_of(key), words[COUNT])
    if place is None:
        return Balance((), 0, 0)
    base = base_of(place)
    held, end = base + HELD, base + HELD + 2 * words[NUMBERS]
    months = (Month(written(m), use(words, base, m)) for m in range(month, month - MONTHS, -1))
    return Balance(
        months=tuple(each for each in months if each.used.requests),
        running=sum(words[held:end:2]),
        reserved=sum(words[held + 1 : end : 2]),
    )
