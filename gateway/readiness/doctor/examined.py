"""What is looked at: read once, before anything is judged, and plain data since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from gateway.access.keys import Key
from gateway.audit.verified import Fault
from gateway.config.channels import ChannelSection
from gateway.config.presence import Presence
from gateway.config.settings import Settings
from gateway.domain.local_model import LocalModel
from gateway.domain.target import Target
from gateway.engine.routes import Routes
from gateway.local.files import ModelFiles
from gateway.policy.compile import Policy
from gateway.processes.interpreter import Build

GB = 1 << 30
SOON = timedelta(days=14)
"""What begins, ends or expires within that time is told of."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """The policy as its files have it. ``unread`` says why it does not load, ``unsigned`` what is
    wrong with the signature that it must have; ``unasked`` that there is one, and nobody asks for
    it. ``writable`` says whether ``gateway ban`` could write into the folder.
    """

    policy: Policy | None = None
    unread: str = ""
    unsigned: str = ""
    unasked: bool = False
    writable: bool = True


@dataclass(frozen=True, slots=True)
class Admitted:
    """The keys of apps and operators, or why they cannot be read."""

    keys: tuple[Key, ...] = ()
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the audit log, its size in bytes, and when it was last written to."""

    path: Path
    size: int
    written: datetime


@dataclass(frozen=True, slots=True)
class Logged:
    """The audit log. ``began`` and ``ended`` are the times of its first and last line; ``fault`` is
    the first of its last ``walked`` lines that is not as it was written. ``signed_by`` is the key
    of the last checkpoint, ``signer`` that of the next one, both by their ids, where there is one;
    ``unusable`` says why a key that the log needs is none, ``unwritable`` which files cannot be
    written.
    """

    segments: tuple[Segment, ...] = ()
    began: datetime | None = None
    ended: datetime | None = None
    walked: int = 0
    fault: Fault | None = None
    signed_by: str = ""
    signer: str = ""
    unusable: str = ""
    unwritable: tuple[Path, ...] = ()

    @property
    def size(self) -> int:
        return sum(one.size for one in self.segments)


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is of this machine or container. Memory is in bytes: ``memory`` what this process
    may have at most, ``free`` what new ones can have now (``None`` where models are loaded
    already), ``swap`` what is swapped out. ``cores`` may be less than one core by a quota;
    ``descriptors`` is how many files a process may have open. ``synchronised`` is what the kernel
    says of its clock, ``None`` where it says nothing; ``python`` how the interpreter was built.
    """

    memory: int
    free: int | None
    swap: int
    cores: float
    descriptors: int
    synchronised: bool | None
    python: Build


@dataclass(frozen=True, slots=True)
class Volume:
    """Where one of our folders lies. ``uses`` names what is kept there; bytes and inodes, of which
    some file systems count none (0).
    """

    path: Path
    uses: tuple[str, ...]
    free: int
    inodes: int
    free_inodes: int


@dataclass(frozen=True, slots=True)
class Guarded:
    """A file or folder of the gateway's: who may do what. ``what`` is what it is for people;
    ``secret`` says that nobody else is to read it. ``owner`` is a user's id, ``alone`` that its
    group has nobody else in it.
    """

    path: Path
    what: str
    secret: bool
    mode: int
    owner: int
    alone: bool


@dataclass(frozen=True, slots=True)
class Stamped:
    """Something that was there at a time, by the clock that this machine had then."""

    what: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Dialled:
    """A host that would be dialled, and what for (``subject``); ``failure`` is why it was not
    reached, ``None`` where nobody tried, empty where it was.
    """

    subject: str
    host: str
    port: int
    literal: bool = False
    proxy: str = ""
    failure: str | None = None

    @property
    def authority(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Running:
    """The gateway that runs on this state's folder: its processes, none where it does not run.
    ``revision`` is that of the configuration on disk; ``taken`` are addresses to listen on that
    cannot be had, and why.
    """

    processes: tuple[Presence, ...] = ()
    revision: str = ""
    taken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found at ``now``. ``successes`` is when each local target answered last, by its id;
    ``keyless`` are the channels that need a key and have none;
    ``files`` the headers of each local model's files, or why it may not be served; ``hashed`` when
    each file's hash was last computed; ``refused`` what a chat template does not take, and why;
    ``missing`` the packages of the local engine that are not installed; ``translator`` says that
    litellm is. ``user`` is who looks, by
    the id; ``state`` why the state's folder cannot be written, empty where it can.
    """

    settings: Settings
    now: datetime
    user: int
    routes: Routes
    local: Mapping[str, LocalModel]
    machine: Machine
    files: Mapping[str, ModelFiles | str]
    hashed: Mapping[Path, datetime]
    refused: Mapping[str, Mapping[str, str]]
    missing: tuple[str, ...]
    translator: bool
    budget: int | None
    ruled: Ruled
    admitted: Admitted
    logged: Logged
    state: str
    volumes: tuple[Volume, ...]
    guarded: tuple[Guarded, ...]
    stamps: tuple[Stamped, ...]
    dialled: tuple[Dialled, ...]
    ignored: tuple[str, ...]
    running: Running
    successes: Mapping[str, datetime]

    @property
    def channels(self) -> Mapping[str, ChannelSection]:
        return self.settings.channels

    @property
    def keyless(self) -> frozenset[str]:
        return self.routes.without_credentials

    @property
    def targets(self) -> tuple[Target, ...]:
        """All that are configured, each once."""
        found = {target.id: target for route in self.routes.all() for target in route.targets}
        return tuple(found.values())

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes that each local model is reckoned to need, all of it in main memory."""
        return {
            name: found.needs(self.local[name]).total
            for name, found in self.files.items()
            if not isinstance(found, str)
        }
