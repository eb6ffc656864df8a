"""Where records go: behind the others in the log, off the way of the request, in batches."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from gateway.audit.attendance import Mark, Present, ended, enter
from gateway.audit.entries import event
from gateway.audit.happening import Happening
from gateway.audit.log import Log
from gateway.audit.record import Record
from gateway.audit.transcript import Keeps, Transcript
from gateway.background import Background
from gateway.errors import AuditUnavailable, StateError

BATCH_SECONDS = 0.1
"""At most this much of the log is lost when the process is killed."""
LOOK_EVERY = 1.0
"""Seconds: after so long without a record it is seen whether a checkpoint is due, and after so long
a write that failed is tried again."""
AT_ONCE = 500
"""Records in one write, so that what has waited for a disk does not need all its room at once."""
STUCK = 10.0
"""Seconds after which a write that does not come back counts as one that failed."""
RETRY_AFTER = 5.0
"""Seconds after which whoever was refused may ask again."""
UNFORESEEN = "what writes it has come to an unforeseen end and is begun again: see the log"
MOST_TRANSCRIPTS = 1000
"""Requests whose words wait in memory: bodies are large."""

_Item = tuple[Record | Happening, Transcript | None]


class AuditSink(Protocol):
    """Takes what is to be written down. Must neither block nor raise."""

    def begin(self) -> Transcript | None:
        """For the words of a request, where they are wanted."""
        ...

    def write(self, told: Record | Happening, transcript: Transcript | None = None) -> None: ...

    def check(self) -> None:
        """Raises ``AuditUnavailable`` where nothing may be done now that should be recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """``problem`` says why something cannot be written now; ``waiting`` records are kept in memory
    until it can be, and ``lost`` is how many were too many for that since the start. Of requests
    beside these, ``contents`` could not be kept.
    """

    problem: str | None = None
    waiting: int = 0
    lost: int = 0
    contents: int = 0


class LogSink:
    """Writes to a log from a thread of its own, for a process that is there as ``role``.

    A write that fails (a full disk) is tried again: nothing is dropped while the process lives and
    no more than ``most`` records wait; beyond that the oldest go, and how many will be told in the
    log. With ``refuse``, ``check`` says no for as long. The same holds for what nobody foresaw.
    What ``keeps`` makes of transcripts is not tried again. Raises ``StateError`` where the log
    cannot be written at the start.
    """

    def __init__(
        self,
        log: Log,
        role: str,
        background: Background,
        *,
        most: int = 10_000,
        refuse: bool = False,
        keeps: Keeps | None = None,
    ) -> None:
        self._into = log
        self._role = role
        self._most = most
        self._refuse = refuse
        self._keeps = keeps or Keeps()
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._waiting: deque[Record | Happening] = deque()
        self._words: deque[tuple[Record, Transcript]] = deque()
        self._counting = threading.Lock()
        self._untold, self._lost = Counter[str](), Counter[str]()
        self._failed: str | None = None
        self._content_failed: str | None = None
        self._writing_since: float | None = None
        self._log = structlog.get_logger("gateway.audit")
        try:
            self._present = self._enter()
        except OSError as error:
            raise StateError(
                f"the audit log in {log.folder} cannot be written ({error.strerror}): "
                "make the folder writable or set state.dir"
            ) from error
        self._going, self._ending = True, threading.Event()
        self._thread = background.thread("audit", self._drain, self._ending)
        self._thread.start()

    def begin(self) -> Transcript | None:
        """For the words of a request, where they are wanted."""
        return self._keeps.begin()

    def write(self, told: Record | Happening, transcript: Transcript | None = None) -> None:
        queued = self._queue.qsize()
        if queued >= self._most:
            self._lose("records")
        elif transcript is not None and queued >= MOST_TRANSCRIPTS:
            self._lose("contents")
            self._queue.put((told, None))
        else:
            self._queue.put((told, transcript))

    def check(self) -> None:
        """Raises ``AuditUnavailable`` where nothing may be done that is not written down."""
        if self._refuse and self._problem is not None:
            raise AuditUnavailable(
                "This gateway answers nothing that it cannot record, and its audit log cannot be "
                "written at present.",
                retry_after=RETRY_AFTER,
            )

    @property
    def standing(self) -> Standing:
        waiting = len(self._waiting) + self._queue.qsize()
        return Standing(self._problem, waiting, self._lost["records"], self._lost["contents"])

    def close(self) -> None:
        """Write what waits, and that the process ends, and sign it: the next who could may come
        long after. What cannot be written is given up: the next start will tell that this process
        did not end cleanly.
        """
        self._ending.set()
        self._queue.put(None)
        self._thread.join()
        left = len(self._waiting) + self._untold["records"]
        stopped = event("gateway.stopped", self._role, pid=os.getpid())
        if not left and self._written([stopped], sign=True):
            self._present.leave()
        else:
            self._log.error("audit.given_up", records=left, problem=self._failed)
            self._present.drop()
        self._into.close()

    @property
    def _problem(self) -> str | None:
        since = self._writing_since
        if since is not None and time.monotonic() - since > STUCK:
            return f"the disk has not answered for {time.monotonic() - since:.0f} s"
        return self._failed or self._content_failed

    def _enter(self) -> Present:
        """Tell of this process, and of those that ended without a word."""
        started = event("gateway.started", self._role, pid=os.getpid())
        mark = Mark(self._role, os.getpid(), str(msgspec.to_builtins(started.at)))
        with self._into.locked():
            gone = ended(self._into.folder)
            present = enter(self._into.folder, mark)
            try:
                self._into.put([*map(_unclean, gone.values()), started])
            except OSError:
                present.leave()
                raise
            for path in gone:
                path.unlink(missing_ok=True)
        return present

    def _drain(self) -> None:
        try:
            while self._going:
                self._write_taken(self._take())
        except BaseException:
            self._failed = UNFORESEEN
            raise

    def _write_taken(self, taken: list[_Item | None]) -> None:
        self._going = None not in taken
        for told, transcript in filter(None, taken):
            self._waiting.append(told)
            if transcript is not None and isinstance(told, Record):
                self._words.append((told, transcript))
        while self._words:
            self._keep_words(*self._words.popleft())
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self._lose("records")
        self._write_waiting()
        if self._content_failed is not None:
            self._probe()

    def _keep_words(self, told: Record, transcript: Transcript) -> None:
        try:
            self._keeps.add(told, transcript)
        except OSError as error:
            self._lose("contents")
            self._content_failed = _said(error, self._content_failed, "content")
        except BaseException:
            self._lose("contents")
            raise

    def _probe(self) -> None:
        """Whether contents can be written again: with ``refuse``, none comes to show it."""
        try:
            self._keeps.probe()
        except OSError:
            return
        self._content_failed = None

    def _lose(self, what: str) -> None:
        with self._counting:
            self._untold[what] += 1
            self._lost[what] += 1

    def _write_waiting(self) -> None:
        """All that waits or, where the disk says no, as much of it as it takes."""
        while True:
            some = [self._waiting[at] for at in range(min(AT_ONCE, len(self._waiting)))]
            with self._counting:
                untold = +self._untold
            lost = [event("audit.lost", "", **untold)] if untold else []
            if not self._written([*lost, *some]):
                return
            with self._counting:
                self._untold -= untold
            for _ in some:
                self._waiting.popleft()
            if not self._waiting:
                return

    def _written(self, entries: Sequence[Record | Happening], *, sign: bool = False) -> bool:
        self._writing_since = time.monotonic()
        try:
            self._into.append(entries, sign=sign)
        except OSError as error:
            self._failed = _said(error, self._failed, "records")
            return False
        finally:
            self._writing_since = None
        if self._failed is not None:
            self._log.warning("audit.writes_again", lost=self._lost["records"])
        self._failed = None
        return True

    def _take(self) -> list[_Item | None]:
        """Wait for a record, then for all that come within the batch's time; not for long, since
        something else may be due.
        """
        try:
            taken = [self._queue.get(timeout=LOOK_EVERY)]
        except queue.Empty:
            return []
        if taken[-1] is not None:
            time.sleep(BATCH_SECONDS / 2)
        while not self._queue.empty():
            taken.append(self._queue.get())
        return taken


def append(folder: Path, *told: Happening) -> None:
    """Write down what was done without a running gateway, to the log in a folder. The next process
    that signs vouches for it. Raises ``StateError``.
    """
    try:
        log = Log(folder, signs=False)
        try:
            log.append(told)
        finally:
            log.close()
    except OSError as error:
        raise StateError(f"the audit log in {folder} cannot be written: {error.strerror}") from None


def _said(error: OSError, before: str | None, what: str) -> str:
    """What is wrong, logged when it is another thing than ``before``."""
    problem = error.strerror or str(error)
    if problem != before:
        structlog.get_logger("gateway.audit").error("audit.write_failed", error=problem, what=what)
    return problem


def _unclean(mark: Mark) -> Happening:
    """Of a process that ended without a word."""
    seconds = f"{BATCH_SECONDS:g} s"
    return event(
        "audit.unclean_end", mark.role, pid=mark.pid, since=mark.since, may_be_missing=seconds
    )
