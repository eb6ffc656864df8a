"""The accounts of all keys, in one file that all serving processes have in their memory.

Theory of operation. The file is a page for itself, then one record a key, of whole words of 64
bits: whose it is, its two buckets, twelve months of use, and for each process what it holds at the
moment: requests that run, and money reserved. Nothing is ever rewritten as a whole: a word is
stored at once or not, and whoever is killed between two leaves an account that is whole.

Whoever changes a record holds the mutex of the first page, for microseconds. A process also holds
the lock of its own number for as long as it lives. Both are taken from it by the kernel, however it
dies: what a number holds that nobody has locked is given back by whoever comes upon it. Its running
requests are over, and what was reserved for them counts as spent: they were sent, and what they
cost nobody will know. The locks are those of open files (``F_OFD_SETLK``): a plain one would be
gone as soon as the process closes any file of that name, as ``mmap`` does with its own. Who joins
and finds nobody makes the mutex anew: what stands there may be of before the machine started.

Nothing waits for a disk: the pages are the kernel's to write. They outlive every process; only
where the machine itself stops are they as old as its last writing back, which is half a minute.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import msgspec

from gateway.access.account import Account, Ask, Refusal, Reserved, Rooms, Used, Why
from gateway.access.bucket import LONG_AGO, changed, filled
from gateway.access.keys import Limits
from gateway.access.layout import (
    BUCKETS,
    COUNT,
    HELD,
    MARK,
    MONTHS,
    MOST_PROCESSES,
    MUTEX,
    NUMBERS,
    PAGE,
    RECORD,
    USE,
    WORD,
    base_of,
    find,
    name_of,
)
from gateway.access.locks import Lock, Mutex
from gateway.access.months import Calendar
from gateway.errors import StateError

_CHUNK = 256
"""Records that are made room for at once."""
_LIVE = 1 << 40
"""Where the locks of the numbers are: far behind the end of the file, where locks may be too."""
_HELD_BACK = (Why.BUDGET, Why.CONCURRENT)
"""What is refused for what requests hold that run."""
_LARGEST = 1 << 62
_HIGHEST = 10**10
"""The highest rate that is counted: a higher one never comes to bear."""
_FOUR = struct.Struct("4q")
"""The two buckets of a record, or a month of it."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """What must be brought back to the ledger when a request has ended. ``place`` is where the
    record of its key begins.
    """

    place: int
    limits: Limits
    reserved: Reserved


class Ledger:
    """For one thread of a serving process. ``now`` is in microseconds of a clock that all processes
    share, and ``today`` says which month it is. Raises ``StateError`` where it cannot be kept.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], int] = lambda: time.monotonic_ns() // 1000,
        today: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._now = now
        self._calendar = Calendar(today)
        self._places: dict[str, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._head = Lock(self._file, 0, PAGE)
            with self._head:
                self._found()
                self._words = self._mapped()
                self._mutex = Mutex(self._file, MUTEX * WORD)
                self._number = self._joined()
            self._bury_former()
        except OSError as error:
            raise self._fault(error.strerror) from None

    def admit(self, key: str, limits: Limits, ask: Ask) -> tuple[Refusal | Held, Rooms]:
        """Whether a request may come in, and what there is left. Raises ``StateError`` where there
        is no room for another key.
        """
        limits = _countable(limits)
        base = self._places.get(key) or self._placed(key)
        mutex = self._mutex
        code = mutex.take()
        if code:
            mutex.mend(code)
        try:
            now = self._now()
            account = self._account(base, limits, now)
            answer = account.admit(limits, ask)
            if type(answer) is Refusal and answer.why in _HELD_BACK and self._inherit(base):
                # It was refused for what a process held that is no more.
                account = self._account(base, limits, now)
                answer = account.admit(limits, ask)
            words, bucket = self._words, base + BUCKETS
            if type(answer) is tuple:
                account, reserved = answer
            # Also of what is refused, with the clock that there is now: a bucket of a later one
            # would never be filled. A bucket is of a limit, and is left alone where there is none.
            # The instant first: who is killed between the two has lost a refill, and won nothing.
            if limits.requests_per_minute is not None:
                words[bucket + 1] = now
                words[bucket] = account.requests
            if limits.tokens_per_minute is not None:
                words[bucket + 3] = now
                words[bucket + 2] = account.tokens
            rooms = Rooms(limits, account.requests, account.tokens)
            if type(answer) is Refusal:
                return answer, rooms
            cell = base + HELD + 2 * self._number
            words[cell + 1] += reserved.cost
            words[cell] += 1
        finally:
            mutex.give()
        return Held(base, limits, reserved), rooms

    def settle(self, held: Held, used: Used) -> None:
        """A request that was admitted has ended."""
        of_tokens, reserved, base = held.limits.tokens_per_minute, held.reserved, held.place
        words, mutex = self._words, self._mutex
        bucket, cell = base + BUCKETS + 2, base + HELD + 2 * self._number
        code = mutex.take()
        if code:
            mutex.mend(code)
        try:
            if of_tokens is not None:
                # As by ``Account.settle``; the rest of it is added to where it stands.
                now = self._now()
                level = filled(words[bucket], words[bucket + 1], of_tokens, now)
                words[bucket + 1] = now
                words[bucket] = changed(level, of_tokens, reserved.tokens - used.tokens)
            # Spent before it is reserved no more: never too little, whoever dies in between.
            self._spend(base, used)
            words[cell + 1] -= reserved.cost
            words[cell] -= 1
        finally:
            mutex.give()

    def rooms(self, key: str, limits: Limits) -> Rooms:
        """What there is left for a key at this instant."""
        limits = _countable(limits)
        base = self._places.get(key) or self._placed(key)
        with self._mutex:
            return self._account(base, limits, self._now()).rooms(limits)

    def close(self) -> None:
        os.close(self._file)

    def _account(self, base: int, limits: Limits, now: int) -> Account:
        words, held = self._words, base + HELD
        month = self._calendar.month()
        cell, numbers = base + USE + 4 * (month % MONTHS), words[NUMBERS]
        if numbers > 1:
            end = held + 2 * numbers
            running, reserved = sum(words[held:end:2]), sum(words[held + 1 : end : 2])
        else:
            running, reserved = words[held], words[held + 1]
        spent = words[cell + 3] if words[cell] == month else 0
        buckets = _FOUR.unpack_from(words, (base + BUCKETS) * WORD)
        return Account.at(limits, now, buckets, running, reserved, spent)

    def _spend(self, base: int, used: Used) -> None:
        month = self._calendar.month()
        words, cell = self._words, base + USE + 4 * (month % MONTHS)
        written, requests, tokens, cost = _FOUR.unpack_from(words, cell * WORD)
        if written != month:
            requests = tokens = cost = 0
            words[cell + 1] = words[cell + 2] = words[cell + 3] = 0
            words[cell] = month
        requests, tokens, cost = requests + used.requests, tokens + used.tokens, cost + used.cost
        words[cell + 1] = requests if requests < _LARGEST else _LARGEST
        words[cell + 2] = tokens if tokens < _LARGEST else _LARGEST
        words[cell + 3] = cost if cost < _LARGEST else _LARGEST

    def _inherit(self, base: int) -> bool:
        """Give back what processes hold in a record that live no more; whether there was any."""
        words, found = self._words, False
        for number in range(words[NUMBERS]):
            cell = base + HELD + 2 * number
            if number != self._number and (words[cell] or words[cell + 1]):
                life = self._life(number)
                if life.taken():
                    self._bury(base, number)
                    life.give()
                    found = True
        return found

    def _bury(self, base: int, number: int) -> None:
        words, cell = self._words, base + HELD + 2 * number
        if words[cell] or words[cell + 1]:
            self._spend(base, Used(requests=words[cell], cost=words[cell + 1]))
            words[cell + 1] = 0
            words[cell] = 0

    def _life(self, number: int) -> Lock:
        """What a process holds as long as it lives."""
        return Lock(self._file, _LIVE + number, 1)

    def _joined(self) -> int:
        """The number of this process; for who holds the lock of the first page."""
        everybody = Lock(self._file, _LIVE, MOST_PROCESSES)
        if everybody.taken():
            self._mutex.make()
            everybody.give()
        number = next((n for n in range(MOST_PROCESSES) if self._life(n).taken()), None)
        if number is None:
            raise self._fault(f"{MOST_PROCESSES} processes use it already")
        self._words[NUMBERS] = max(self._words[NUMBERS], number + 1)
        self._words = self._grown(self._words[COUNT])
        return number

    def _bury_former(self) -> None:
        """Whoever had the number of this process before holds nothing more."""
        for place in range(self._words[COUNT]):
            with self._mutex:
                self._bury(base_of(place), self._number)

    def _placed(self, key: str) -> int:
        """Where the record of a key begins."""
        found = self._places[key] = base_of(self._place(key))
        return found

    def _place(self, key: str) -> int:
        name = name_of(key)
        with self._head:
            count = self._words[COUNT]
            self._words = self._grown(count + 1)
            place = find(self._words, name, count)
            if place is not None:
                return place
            base = base_of(count)
            words = self._words
            words[base], words[base + 1] = name
            words[base + BUCKETS + 1] = words[base + BUCKETS + 3] = LONG_AGO
            words[COUNT] = count + 1
        return count

    def _grown(self, records: int) -> memoryview:
        """The file in memory, with room for so many records. Room is made before it is used: what
        is written where the disk has none ends a process.
        """
        if base_of(records) <= len(self._words):
            return self._words
        size = os.fstat(self._file).st_size
        if base_of(records) * WORD > size:
            try:
                os.posix_fallocate(self._file, size, _CHUNK * RECORD)
            except OSError as error:
                raise self._fault(error.strerror) from None
        return self._mapped()

    def _found(self) -> None:
        """See to it that the file is one of ours."""
        mark = os.pread(self._file, WORD, 0)
        if mark in (b"", bytes(WORD)):
            os.posix_fallocate(self._file, 0, PAGE + _CHUNK * RECORD)
            os.pwrite(self._file, MARK.to_bytes(WORD, "little"), 0)
        elif mark != MARK.to_bytes(WORD, "little"):
            raise self._fault("it is no such file, or another version's")

    def _mapped(self) -> memoryview:
        return memoryview(mmap.mmap(self._file, 0)).cast("q")

    def _fault(self, why: str | None) -> StateError:
        return StateError(
            f"what keys have used cannot be kept in {self._path} ({why}): make its folder "
            "writable and make room there, or move the file away, with which the month's "
            "spending is forgotten"
        )


@lru_cache(maxsize=1024)
def _countable(limits: Limits) -> Limits:
    most = max(limits.requests_per_minute or 0, limits.tokens_per_minute or 0)
    if most <= _HIGHEST:
        return limits
    rates = (limits.requests_per_minute, limits.tokens_per_minute)
    requests, tokens = (None if rate is None else min(rate, _HIGHEST) for rate in rates)
    return Limits(requests, tokens, limits.concurrent, limits.budget)
