"""The folders that one policy is made of: which of their files count, their bytes, and a cheap sign
of change.

A file is named by its folder and itself, ``policies/10-vendors.yaml``: so are the bytes that are
loaded, kept as the last known good, and found again after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.config.signing import SIGNATURE
from gateway.config.watching import Stamp, stamp
from gateway.errors import DocumentError, Problem, StateError

Files: TypeAlias = Mapping[str, bytes]
"""The bytes of files by name."""

POLICIES = "policies"
DESIGNATIONS = "designations"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Sources:
    """The folder of the policy's own files, and that of the designations they may refer to."""

    policies: Path
    designations: Path

    @classmethod
    def under(cls, root: Path) -> Sources:
        """Both folders as they lie in a copy."""
        return cls(root / POLICIES, root / DESIGNATIONS)

    @property
    def folders(self) -> dict[str, Path]:
        return {POLICIES: self.policies, DESIGNATIONS: self.designations}

    def path(self, name: str) -> Path:
        """Where the file of that name stands."""
        folder, _, file = name.partition("/")
        return self.folders[folder] / file

    def read(self) -> dict[str, bytes]:
        """The bytes of every file that counts, as they are at one instant: read until two readings
        are the same. Raises DocumentError where a folder or file cannot be read, StateError where
        they change all the time.
        """
        files = self._once()
        for _ in range(_ATTEMPTS):
            again = self._once()
            if again == files:
                return files
            files = again
        raise StateError(f"{self.policies} changes faster than it can be read")

    def stamp(self) -> Stamp:
        """What changes whenever a file that counts is written, replaced or removed."""
        rows: Stamp = ()
        for name, folder in self.folders.items():
            rows += stamp((f"{name}/{path.name}", path) for path in _entries(folder))
            if not folder.is_dir():
                rows += ((name, 0, 0, 0, 0),)
        return rows

    def _once(self) -> dict[str, bytes]:
        files = {f"{POLICIES}/{name}": raw for name, raw in read_folder(self.policies).items()}
        if not any(name.endswith(".yaml") for name in files):
            message = "no policy here: expected at least one *.yaml file"
            raise DocumentError([Problem(str(self.policies), 1, 1, message)])
        facts = read_folder(self.designations, optional=True)
        return files | {f"{DESIGNATIONS}/{name}": raw for name, raw in facts.items()}


def of_folder(files: Files, folder: str) -> dict[str, bytes]:
    """The files of one folder, by their own names."""
    lead = f"{folder}/"
    return {name.removeprefix(lead): raw for name, raw in files.items() if name.startswith(lead)}


def read_folder(folder: Path, *, optional: bool = False) -> dict[str, bytes]:
    """The bytes of every ``*.yaml`` that is neither hidden nor an editor's temporary, and of the
    signature, by name. An ``optional`` folder may be missing. Sub-folders are not read.

    Raises DocumentError where the folder or a file cannot be read, and where there is a ``*.yml``:
    a rule or a fact in a file that is silently passed over would be a ban that does not hold.
    """
    if optional and not folder.exists():
        return {}
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    try:
        paths = [path for path in sorted(folder.iterdir()) if _counts(path)]
    except OSError as error:
        message = f"the folder cannot be read: {error.strerror or error}"
        raise DocumentError([Problem(str(folder), 1, 1, message)]) from None
    for path in paths:
        if path.suffix == ".yml":
            message = "the name of a file here ends in .yaml: rename it, or it would not count"
            problems.append(Problem(str(path), 1, 1, message))
            continue
        try:
            files[path.name] = path.read_bytes()
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            problems.append(Problem(str(path), 1, 1, message))
    if problems:
        raise DocumentError(problems)
    return files


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from (path for path in sorted(folder.iterdir()) if _counts(path))
    except OSError:
        return


def _counts(path: Path) -> bool:
    if path.name == SIGNATURE:
        return True
    return not path.name.startswith((".", "#")) and path.suffix in (".yaml", ".yml")
