"""What a process is like now, told to those who are scraped: each serving process has a file of its
own in the shared folder, and the main process one for the local models (decision 17).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from gateway.domain.target import Capability
from gateway.errors import StateError

FOLDER = "metrics"
TOLD_EVERY = 1.0
"""Seconds within which what changes in one process is known to the others."""
_MODELS = "models.msgpack"
_READINESS = "readiness.json"
_BACKGROUND = "background.msgpack"


class Reading(msgspec.Struct, frozen=True):
    """One serving process. ``local`` has the local models, ``targets`` all configured targets and
    ``servers`` our own model servers, each with whether it is ready or up (``None``: not known);
    ``lacking`` is what no local target of a configured model can do and another can. ``breakers``
    are 0 (closed), 1 (half open) or 2 (open), ``obstacles`` why a target may not be tried now, and
    ``attempts`` how many are under way on each. ``drill`` is the vendor whose ban is practised,
    empty where none is. ``degraded`` says that the newest policy on disk is
    not in force, ``outdated`` the same of the configuration, ``audit_fails`` that the audit log
    cannot be written, for which ``audit_waiting`` records wait; ``successes`` is when each local
    target answered last. Times are in seconds since the epoch.
    """

    pid: int
    ready: bool
    offline: bool
    requests: int
    local: Mapping[str, bool]
    targets: Mapping[str, bool]
    servers: Mapping[str, bool | None]
    lacking: Mapping[str, frozenset[Capability]]
    breakers: Mapping[str, int]
    obstacles: Mapping[str, str]
    attempts: Mapping[str, int]
    drill: str
    policy: str
    mode: str
    policy_since: float
    shadow_rules: int
    configuration: str
    configuration_since: float
    degraded: bool
    outdated: bool
    audit_waiting: int
    audit_fails: bool
    successes: Mapping[str, float]


class ModelReading(msgspec.Struct, frozen=True):
    """One local model, as its supervisor has it. ``prompt``, ``cached`` and ``completion`` are
    tokens, ``memory`` is in bytes and reckoned.
    """

    name: str
    state: str
    pid: int | None
    restarts: int
    slots: int
    busy: int
    waiting: int
    prompt: int
    cached: int
    completion: int
    memory: int


class Shared:
    """The folder in which the processes of one gateway tell each other what they are like."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = folder / f"serving-{os.getpid()}.msgpack"

    @classmethod
    def begin(cls, run_dir: Path) -> Shared:
        """A new one, for a gateway that starts; those of others that have ended are removed."""
        parent = run_dir / FOLDER
        try:
            parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in parent.iterdir():
                if not _alive(path.name.partition("-")[0]):
                    shutil.rmtree(path, ignore_errors=True)
            return cls(Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent)))
        except OSError as error:
            raise StateError(
                f"{parent} cannot be written ({error.strerror}): make it writable or set state.dir"
            ) from error

    @property
    def main(self) -> int:
        """The process id of the gateway's main process."""
        return int(self.folder.name.partition("-")[0])

    def end(self) -> None:
        """The gateway has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def tell(self, reading: Reading) -> None:
        """What this serving process is like. Raises ``OSError``."""
        _replace(self._own, msgspec.msgpack.encode(reading))

    def withdraw(self) -> None:
        """This serving process ends."""
        self._own.unlink(missing_ok=True)

    def tell_models(self, models: Iterable[ModelReading]) -> None:
        """Raises ``OSError``."""
        _replace(self.folder / _MODELS, msgspec.msgpack.encode(list(models)))

    def tell_readiness(self, report: bytes) -> None:
        """What is told of readiness, as JSON. Raises ``OSError``."""
        _replace(self.folder / _READINESS, report)

    def readiness(self) -> bytes | None:
        """What was told of it last; ``None`` where nothing was yet."""
        try:
            return (self.folder / _READINESS).read_bytes()
        except FileNotFoundError:
            return None

    def tell_background(self, problems: Mapping[str, str]) -> None:
        """What has failed of late in the main process, by the names of works. Raises
        ``OSError``.
        """
        _replace(self.folder / _BACKGROUND, msgspec.msgpack.encode(problems))

    def background(self) -> dict[str, str]:
        """What was told of that last."""
        try:
            raw = (self.folder / _BACKGROUND).read_bytes()
        except OSError:
            return {}
        return msgspec.msgpack.decode(raw, type=dict[str, str])

    def serving(self) -> list[Reading]:
        """The serving processes that are alive, as they said last."""
        found = []
        for path in sorted(self.folder.glob("serving-*.msgpack")):
            try:
                reading = msgspec.msgpack.decode(path.read_bytes(), type=Reading)
            except FileNotFoundError:
                continue
            if _alive(str(reading.pid)):
                found.append(reading)
        return found

    def models(self) -> list[ModelReading]:
        try:
            raw = (self.folder / _MODELS).read_bytes()
        except FileNotFoundError:
            return []
        return msgspec.msgpack.decode(raw, type=list[ModelReading])


def _replace(path: Path, content: bytes) -> None:
    """As a whole, and only for as long as the gateway runs: nothing waits for the disk."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(path)


def _alive(pid: str) -> bool:
    return pid.isdecimal() and Path("/proc", pid).exists()
