"""The sha256 of a model file against its manifest, before the file is first used.

Hashing a large file takes seconds to minutes, so a match is remembered in the state folder for as
long as path, size, modification time and inode stay what they were.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.errors import ModelFileError, StateError
from gateway.local.gguf import GgufHeader, read_header

CHUNK = 1 << 20
CACHE = "verified-models.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """One file whose hash was computed, and when. ``mtime_ns`` is in nanoseconds, ``size`` in
    bytes.
    """

    path: str
    size: int
    mtime_ns: int
    inode: int
    sha256: str
    at: datetime


def remembered(state_dir: Path) -> tuple[Seen, ...]:
    """The files whose hashes are known, as they were then."""
    return tuple(_load(state_dir / CACHE))


def verify(
    path: Path, sha256: str, state_dir: Path, *, anew: bool = False
) -> tuple[GgufHeader, bool]:
    """Check the file's hash, then its header; the header, and whether the hash was remembered.

    Raises what ``verify_file`` and ``read_header`` raise.
    """
    known = verify_file(path, sha256, state_dir, anew=anew)
    return read_header(path), known


def verify_file(path: Path, sha256: str, state_dir: Path, *, anew: bool = False) -> bool:
    """Check that the file at ``path`` has the lower-case hex ``sha256``; blocks while it hashes.

    Returns whether the answer came from the cache in ``state_dir``, which is not asked where it is
    to be computed ``anew``. Raises ModelFileError where the file is missing or differs, StateError
    where the cache cannot be written.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise ModelFileError(
            f"the model file {path} is missing ({error.strerror}): run `make setup`, or set "
            "`path` in the model's manifest to where the file is"
        ) from error
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    known = _load(state_dir / CACHE)
    same = (s for s in known if not anew and (s.path, s.size, s.mtime_ns, s.inode) == key)
    found = next(same, None)
    actual = found.sha256 if found else _hash(path)
    if actual != sha256:
        raise ModelFileError(
            f"{path.name} is not the file that its manifest names: expected sha256 {sha256}, "
            f"got {actual}. Get the right file, or pin the new hash if you trust this one"
        )
    if found is None:
        others = [s for s in known if s.path != key[0]]
        _save(state_dir / CACHE, [*others, Seen(*key, sha256=actual, at=datetime.now(UTC))])
    return found is not None


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(CHUNK):
                digest.update(block)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _load(cache: Path) -> list[Seen]:
    # A cache that is gone or broken costs one hashing, and is written anew.
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(cache.read_bytes(), type=list[Seen])
    return []


def _save(cache: Path, seen: list[Seen]) -> None:
    """Written beside and renamed, so that no reader ever sees half a file."""
    text = json.dumps([msgspec.to_builtins(s) for s in seen], indent=1)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=cache.parent, prefix=".verified-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            Path(beside).replace(cache)
        except OSError:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StateError(f"{cache} cannot be written: {error.strerror}") from error
