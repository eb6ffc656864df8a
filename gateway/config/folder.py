"""The policy folder: which of its files count, their bytes, and a cheap sign of change."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from gateway.errors import DocumentError, Problem

Signature: TypeAlias = tuple[tuple[str, int, int, int, int], ...]


def policy_paths(folder: Path) -> list[Path]:
    """Every ``*.yaml`` that is neither hidden nor an editor's temporary, sorted by name.

    Raises DocumentError where the folder is missing, has none, or has a ``*.yml``: a rule in a file
    that is silently passed over would be a ban that does not hold.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        message = f"the policy folder cannot be read: {error.strerror or error}"
        raise DocumentError([Problem(str(folder), 1, 1, message)]) from None
    visible = [name for name in names if not name.startswith((".", "#"))]
    misnamed = [name for name in visible if name.endswith(".yml")]
    if misnamed:
        message = "a policy file's name ends in .yaml: rename it, or it would not count"
        raise DocumentError([Problem(str(folder / name), 1, 1, message) for name in misnamed])
    found = [folder / name for name in visible if name.endswith(".yaml")]
    if not found:
        message = "no policy here: expected at least one *.yaml file"
        raise DocumentError([Problem(str(folder), 1, 1, message)])
    return found


def read_folder(folder: Path) -> dict[str, bytes]:
    """The bytes of every policy file by name; each is read once."""
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    for path in policy_paths(folder):
        try:
            files[path.name] = path.read_bytes()
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            problems.append(Problem(str(path), 1, 1, message))
    if problems:
        raise DocumentError(problems)
    return files


def signature(folder: Path) -> Signature | None:
    """What changes whenever a policy file is written, replaced or removed; None: no folder."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return None
    found = []
    for path in paths:
        if path.name.startswith((".", "#")) or path.suffix not in (".yaml", ".yml"):
            continue
        try:
            stat = path.stat()
        except OSError:
            found.append((path.name, 0, 0, 0, 0))
        else:
            found.append((path.name, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino))
    return tuple(found)
