"""Where in the file of all accounts what stands, in whole words of 64 bits."""

from __future__ import annotations

import hashlib

from gateway.access.account import Used

FILE = "limits.bin"
"""The name of the file in the state's folder."""
MOST_PROCESSES = 256
"""That can serve at one time."""
MONTHS = 12
"""That are kept of a key."""

WORD = 8
PAGE = 4096
MAGIC, COUNT, NUMBERS = range(3)
"""Words of the first page: what the file is, how many records it has, how many numbers were taken.
"""
MUTEX = 64
"""The word of the first page where the mutex begins that guards all records."""
MARK = 0x0001_746D_696C_7767
"""``gwlimt`` and the version of this layout."""

BUCKETS = 2
USE = 6
HELD = USE + 4 * MONTHS
WORDS = HELD + 2 * MOST_PROCESSES
"""Where in a record what stands. Before the buckets is whose it is, in two words; of a month, which
it is, requests, tokens and cost; of a process, the requests that run and what is reserved.
"""
RECORD = WORDS * WORD


def use(words: memoryview, base: int, month: int) -> Used:
    """What a record says of a month, by its number."""
    cell = base + USE + 4 * (month % MONTHS)
    if words[cell] != month:
        return Used()
    return Used(words[cell + 1], words[cell + 2], words[cell + 3])


def base_of(place: int) -> int:
    """The first word of a record."""
    return PAGE // WORD + place * WORDS


def name_of(key: str) -> tuple[int, int]:
    """Whose a record is, in two words."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=2 * WORD).digest()
    return (
        int.from_bytes(digest[:WORD], "little", signed=True),
        int.from_bytes(digest[WORD:], "little", signed=True),
    )


def find(words: memoryview, name: tuple[int, int], count: int) -> int | None:
    """Which of ``count`` records has a name; ``None`` where none has."""
    # What is read behind the back of those that write may end before the last record.
    for place in range(min(count, (len(words) - PAGE // WORD) // WORDS)):
        base = base_of(place)
        if (words[base], words[base + 1]) == name:
            return place
    return None
