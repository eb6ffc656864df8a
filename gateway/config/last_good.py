"""The last known good policy on disk, so that it outlives a restart.

``<state>/last-good/<digest>/`` holds the files, by the folders that they come from, and
``<state>/last-good/current`` the digest: a crash at any moment leaves the pointer at a folder that
is complete, and the digest proves it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import StateError
from gateway.files import locked, sync_folder, write_atomically

_FOLDER = "last-good"
_POINTER = "current"


def digest(files: Mapping[str, bytes]) -> str:
    """A name for exactly these files."""
    total = hashlib.sha256()
    for name in sorted(files):
        content = hashlib.sha256(files[name]).hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()


def keep(state_dir: Path, files: Mapping[str, bytes]) -> None:
    """Make these files the last known good ones; raises StateError where they cannot be written."""
    root = state_dir / _FOLDER
    name = digest(files)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".lock"):
            if _read(root / name, name) is None:
                _write(root, name, files)
            write_atomically(root / _POINTER, name.encode())
            _prune(root, name)
    except OSError as error:
        reason = error.strerror or error
        raise StateError(f"the last good policy cannot be kept in {root}: {reason}") from None


def find(state_dir: Path) -> tuple[Path, dict[str, bytes]] | None:
    """Where the last known good policy's files are kept, and the files, if there is one and it is
    whole.
    """
    root = state_dir / _FOLDER
    try:
        name = (root / _POINTER).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    if len(name) != 64 or not all(character in "0123456789abcdef" for character in name):
        return None
    files = _read(root / name, name)
    return None if files is None else (root / name, files)


def _write(root: Path, name: str, files: Mapping[str, bytes]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        for file, content in files.items():
            path = temporary / file
            path.parent.mkdir(exist_ok=True)
            with path.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        for folder in (*{(temporary / file).parent for file in files}, temporary):
            sync_folder(folder)
        shutil.rmtree(root / name, ignore_errors=True)
        temporary.rename(root / name)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(root)


def _read(folder: Path, name: str) -> dict[str, bytes] | None:
    """The files of one folder, if they are what its name says."""
    try:
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
    except OSError:
        return None
    return files if digest(files) == name else None


def _prune(root: Path, name: str) -> None:
    for entry in root.iterdir():
        if entry.is_dir() and entry.name != name:
            shutil.rmtree(entry, ignore_errors=True)
