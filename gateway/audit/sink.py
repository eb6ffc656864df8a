"""Where records go: appended as JSON lines, off the way of the request, in batches."""

from __future__ import annotations

import os
import queue
import threading
import time
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from gateway.audit.happening import Happening
from gateway.audit.record import Record
from gateway.errors import StateError

BATCH_SECONDS = 0.1
"""At most this much of the log is lost when the process is killed."""


class AuditSink(Protocol):
    """Takes what is to be written down. Must neither block nor raise."""

    def write(self, entry: Record | Happening) -> None: ...


class JsonLinesSink:
    """Appends to ``folder/audit-<pid>.jsonl`` from a thread of its own.

    A write that fails (a full disk) is logged with the count of records that are waiting, and
    tried again with the next batch: nothing is dropped while the process lives.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path = folder / f"audit-{os.getpid()}.jsonl"
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(
                f"the audit log in {folder} cannot be written ({error.strerror}): "
                "make the folder writable or set state.dir"
            ) from error
        self._queue: queue.SimpleQueue[Record | Happening | None] = queue.SimpleQueue()
        self._log = structlog.get_logger("gateway.audit")
        self._thread = threading.Thread(target=self._drain, name="audit", daemon=True)
        self._thread.start()

    def write(self, entry: Record | Happening) -> None:
        self._queue.put(entry)

    def close(self) -> None:
        """Write what waits and close the file."""
        self._queue.put(None)
        self._thread.join()
        os.close(self._file)

    def _drain(self) -> None:
        # Sets in one order, so that one record is one text.
        encoder = msgspec.json.Encoder(order="deterministic")
        waiting = bytearray()
        open_ = True
        while open_:
            taken = self._take()
            open_ = None not in taken
            for entry in taken:
                if entry is not None:
                    waiting += encoder.encode(entry) + b"\n"
            try:
                while waiting:
                    del waiting[: os.write(self._file, waiting)]
            except OSError as error:
                self._log.error("audit_write_failed", error=error.strerror, bytes=len(waiting))

    def _take(self) -> list[Record | Happening | None]:
        """Wait for a record, then for all that come within the batch's time."""
        taken = [self._queue.get()]
        if taken[-1] is not None:
            time.sleep(BATCH_SECONDS / 2)
        while not self._queue.empty():
            taken.append(self._queue.get())
        return taken
