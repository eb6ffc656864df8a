"""``audit:``: how the audit log is kept, and what of prompts and answers is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from gateway.config.schema import Closed, Number, Text, Whole
from gateway.config.secrets import Secret

YEARS = 100 * 365 * 86400


def _file(value: Secret) -> Secret:
    if value.file is None:
        raise PydanticCustomError("key_file", "expected file:PATH, of a PEM file")
    return value


Megabytes = Annotated[Number, Field(ge=1, le=100_000_000)]
Age = Annotated[Number, Field(ge=1, le=YEARS)]


class CheckpointsSection(Closed):
    """A signed line after ``every`` lines, and after ``seconds``; a copy of each goes to the file
    ``copy_to``, which best is on another machine.
    """

    every: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1000
    seconds: Annotated[Number, Field(gt=0, le=86400)] = 60
    copy_to: Path | None = None


class SegmentsSection(Closed):
    """The size and the age in seconds at which a file ends and the next begins."""

    max_mb: Megabytes = 64
    max_age: Age = 86400


class KeepSection(Closed):
    """Files whose last line is older than ``max_age`` seconds are deleted, and the oldest while all
    have more than ``max_mb``. ``None`` means never.
    """

    max_age: Age | None = None
    max_mb: Megabytes | None = None


class PromptHmacSection(Closed):
    """The key of the HMAC-SHA256 of each prompt."""

    key: Secret


class ContentSection(Closed):
    """The bodies of requests and answers, encrypted to ``recipient`` (``x25519:`` and base64, or
    ``file:PATH`` of such a line), go to files under ``dir``.
    """

    dir: Path
    recipient: Text


class AuditSection(Closed):
    """While the log cannot be written, ``continue`` has requests answered and ``refuse`` has them
    refused; up to ``most_waiting`` records wait in memory. ``fsync`` is when the disk must confirm
    what was written. Without a ``signing_key`` one is made beside the log.
    """

    on_failure: Literal["continue", "refuse"] = "continue"
    most_waiting: Annotated[Whole, Field(ge=1, le=10_000_000)] = 10_000
    fsync: Literal["checkpoints", "batches", "never"] = "checkpoints"
    signing_key: Annotated[Secret, AfterValidator(_file)] | None = None
    checkpoints: CheckpointsSection = Field(default_factory=CheckpointsSection)
    segments: SegmentsSection = Field(default_factory=SegmentsSection)
    keep: KeepSection = Field(default_factory=KeepSection)
    prompt_hmac: PromptHmacSection | None = None
    content: ContentSection | None = None
