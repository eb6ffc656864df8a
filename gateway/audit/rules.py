"""How a log is kept: what ``audit:`` of the configuration says of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Fsync(StrEnum):
    """When the disk must confirm what was written: with each checkpoint, with each batch, or when
    the operating system finds it fit. Only a power cut tells them apart.
    """

    CHECKPOINTS = "checkpoints"
    BATCHES = "batches"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Rules:
    """A checkpoint is due after so many lines or seconds; a segment ends at so many bytes or
    seconds. Segments whose last line is older than ``keep_seconds`` are deleted, and the oldest
    where all have more than ``keep_bytes``; never the one that is written to. ``copy_to`` is the
    file that every checkpoint is copied to.
    """

    checkpoint_lines: int = 1000
    checkpoint_seconds: float = 60.0
    segment_bytes: int = 64_000_000
    segment_seconds: float = 86_400.0
    keep_seconds: float | None = None
    keep_bytes: int | None = None
    fsync: Fsync = Fsync.CHECKPOINTS
    copy_to: Path | None = None
