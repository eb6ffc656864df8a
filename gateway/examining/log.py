"""The audit log: its files, its keys, and the lines at its end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gateway.audit.chain import NOTHING, Kind, digest, link
from gateway.audit.checkpoint import KEYS, PRIVATE, Signer
from gateway.audit.proofs import Keys, Told, Untrue, told
from gateway.audit.reader import Text, last_texts
from gateway.audit.segments import first_line, numbers, segment
from gateway.audit.trusted import trusted
from gateway.audit.verified import Check, Fault
from gateway.auditing import audit_folder, keeps
from gateway.config.settings import Settings
from gateway.errors import StateError
from gateway.examining.volumes import existing
from gateway.readiness.doctor.examined import Logged, Segment

WALKED = 5000
"""Lines at the end that are looked at: a second's worth."""


def logged(settings: Settings, environ: Mapping[str, str]) -> Logged:
    """What there is of it; nothing where no gateway wrote yet. Raises StateError where a file of it
    cannot be read.
    """
    folder = audit_folder(settings)
    unwritable = tuple(path for path in _written(settings, folder) if not _may_write(path))
    signer, unusable = _signer(settings, folder, environ)
    segments = tuple(_segments(folder)) if folder.is_dir() else ()
    if not segments:
        return Logged(signer=signer, unusable=unusable, unwritable=unwritable)
    lines, fault = walked(folder, last_texts(folder, WALKED), trusted(folder))
    marks = [line.fields.get("key") for line in lines if line.kind is Kind.CHECKPOINT]
    return Logged(
        segments=segments,
        began=_began(segments),
        ended=datetime.fromisoformat(lines[-1].at) if lines else None,
        walked=len(lines),
        fault=fault,
        signed_by=str(marks[-1]) if marks else "",
        signer=signer,
        unusable=unusable,
        unwritable=unwritable,
    )


def walked(folder: Path, texts: Sequence[Text], keys: Keys) -> tuple[list[Told], Fault | None]:
    """The lines up to the first that is not as it was written, and what is wrong with that. The
    last one may be without its end: it is just being written.
    """
    found: list[Told] = []
    hash = ""
    for text in texts[:-1] if texts and not texts[-1].ended else texts:
        due = found[-1].seq + 1 if found else 0
        try:
            line = told(text)
            if not found:
                due, hash = line.seq, NOTHING if line.seq == 1 else line.prev
            if line.seq != due:
                raise Untrue(Check.SEQ, f"seq {due}", f"seq {line.seq}")
            if line.prev != hash:
                raise Untrue(Check.PREV, f"prev {hash}, the hash of the line before", line.prev)
            if line.kind is Kind.CHECKPOINT:
                line.mark(keys)
        except Untrue as untrue:
            return found, untrue.at(str(folder), 0, due)
        found.append(line)
        hash = digest(text.content)
    return found, None


def _segments(folder: Path) -> Iterator[Segment]:
    for number in numbers(folder):
        path = segment(folder, number)
        # One that is too old may be deleted meanwhile.
        with suppress(FileNotFoundError):
            stat = path.stat()
            yield Segment(path, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))


def _began(segments: Sequence[Segment]) -> datetime | None:
    with suppress(OSError, ValueError):
        return datetime.fromisoformat(link(first_line(segments[0].path)).at)
    return None


def _signer(settings: Settings, folder: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    """The id of the key that would sign the next checkpoint, empty where there is none yet; and why
    a key that the log needs is none.
    """
    named = settings.audit.signing_key
    path = folder / KEYS / PRIVATE
    if named is not None:
        path = settings.folder / Path(str(named.file)).expanduser()
    try:
        keeps(settings, environ)
        return Signer(path).id if named is not None or path.exists() else "", ""
    except StateError as error:
        return "", error.message


def _written(settings: Settings, folder: Path) -> Iterator[Path]:
    yield folder
    known = numbers(folder) if folder.is_dir() else []
    if known:
        yield segment(folder, known[-1])
    copy = settings.audit.checkpoints.copy_to
    if copy is not None:
        yield copy
    if settings.audit.content is not None:
        yield settings.audit.content.dir


def _may_write(path: Path) -> bool:
    """Whether it can be written or, where it is not there, made."""
    there = existing(path)
    if there == path:
        return os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
