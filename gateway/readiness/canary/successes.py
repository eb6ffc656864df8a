"""When each local target answered last, whoever asked: known to all serving processes of a gateway,
and over its restarts, by a small file in the state folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog

from gateway.audit.record import Record
from gateway.domain.identity import Locality
from gateway.files import locked, write_atomically
from gateway.telemetry.tally import COUNTING

FILE = "local-success.json"
_LOCAL = Locality.LOCAL
EVERY = 5.0
"""Seconds within which the file knows it, and so do the other processes."""


def read(state: Path) -> dict[str, datetime]:
    """By the targets' ids, out of the state folder; what cannot be read is not known."""
    try:
        return msgspec.json.decode((state / FILE).read_bytes(), type=dict[str, datetime])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


class Successes:
    """For one serving process on a state folder."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._known = read(state)
        self._written = dict(self._known)
        self._stamp: tuple[int, int] | None = None
        self._fails = False
        self._log = structlog.get_logger("gateway.readiness")

    @property
    def known(self) -> Mapping[str, datetime]:
        """By the targets' ids."""
        return self._known

    def take(self, record: Record) -> None:
        """A request that is over."""
        if record.locality != _LOCAL or record.outcome != "served":
            return
        if record.served_by is None or record.api in COUNTING:
            return
        ended = record.at + timedelta(microseconds=record.duration_us)
        self._note({record.served_by: ended})

    async def run(self) -> None:
        """Keep the file and this process in step, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await asyncio.to_thread(self.exchange)

    def exchange(self) -> None:
        """Take what others have written, and write what they do not know. Blocks."""
        try:
            if self._stamp != (stamp := self._look()):
                self._note(read(self._state))
                self._written = read(self._state)
                self._stamp = stamp
            if self._written != self._known:
                with locked(self._state / f"{FILE}.lock"):
                    self._note(read(self._state))
                    known = dict(self._known)
                    write_atomically(self._state / FILE, msgspec.json.encode(known, order="sorted"))
                self._written, self._stamp = known, self._look()
        except OSError as error:
            if not self._fails:
                self._log.error("last_success_not_kept", problem=error.strerror)
            self._fails = True
            return
        self._fails = False

    def _note(self, found: Mapping[str, datetime]) -> None:
        for target, at in found.items():
            before = self._known.get(target)
            if before is None or at > before:
                # As a whole: it is written in one thread while another has more to note.
                self._known = {**self._known, target: at}

    def _look(self) -> tuple[int, int] | None:
        try:
            found = (self._state / FILE).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino
