"""The audit log as the configuration says that it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.audit.content import Contents, recipient
from gateway.audit.log import Log
from gateway.audit.prompts import SHORTEST
from gateway.audit.rules import Fsync, Rules
from gateway.audit.sink import LogSink
from gateway.audit.transcript import Keeps
from gateway.background import Background
from gateway.config.settings import Settings
from gateway.errors import StateError

FOLDER = "audit"
"""The name of the log's folder in that of the state."""


def audit_folder(settings: Settings) -> Path:
    return settings.state.dir / FOLDER


def audit_sink(
    settings: Settings, role: str, environ: Mapping[str, str], background: Background
) -> LogSink:
    """For a process that is there as ``role`` (``main``, ``serving``). Raises ``StateError`` where
    the log cannot be written, or a key is none.
    """
    section = settings.audit
    kept = keeps(settings, environ)
    key = section.signing_key
    folder = audit_folder(settings)
    try:
        log = Log(
            folder,
            rules(settings),
            signing_key=None if key is None else settings.folder / Path(str(key.file)).expanduser(),
        )
    except OSError as error:
        raise StateError(
            f"the audit log in {folder} cannot be written ({error.strerror}): "
            "make the folder writable or set state.dir"
        ) from None
    return LogSink(
        log,
        role,
        background,
        most=section.most_waiting,
        refuse=section.on_failure == "refuse",
        keeps=kept,
    )


def keeps(settings: Settings, environ: Mapping[str, str]) -> Keeps:
    """What is made of prompts and answers. Raises ``StateError`` where a key for it is none."""
    return Keeps(_prompt_key(settings, environ), _contents(settings))


def rules(settings: Settings) -> Rules:
    section = settings.audit
    keep = section.keep
    return Rules(
        checkpoint_lines=section.checkpoints.every,
        checkpoint_seconds=float(section.checkpoints.seconds),
        segment_bytes=int(section.segments.max_mb * 1_000_000),
        segment_seconds=float(section.segments.max_age),
        keep_seconds=None if keep.max_age is None else float(keep.max_age),
        keep_bytes=None if keep.max_mb is None else int(keep.max_mb * 1_000_000),
        fsync=Fsync(section.fsync),
        copy_to=section.checkpoints.copy_to,
    )


def _prompt_key(settings: Settings, environ: Mapping[str, str]) -> bytes | None:
    section = settings.audit.prompt_hmac
    if section is None:
        return None
    key = section.key.resolve(environ, settings.folder)
    if key is None or len(key) < SHORTEST:
        raise StateError(
            f"the key of audit.prompt_hmac at {section.key} is missing or too short: "
            f"expected at least {SHORTEST} characters, as `openssl rand -hex 32` makes them"
        )
    return key.encode()


def _contents(settings: Settings) -> Contents | None:
    section = settings.audit.content
    if section is None:
        return None
    return Contents(section.dir, recipient(section.recipient, settings.folder))
