"""Which serving processes run on this state folder: a small file each, so that the command line
finds them without asking the network, and knows when all of them have taken a new policy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import StateError
from gateway.files import write_atomically

if TYPE_CHECKING:
    # Of which a command that must act at once has no need.
    from gateway.config.settings import Settings

RUN = "run"
"""The folder, inside that of the state, where the files of running processes are."""


class Presence(msgspec.Struct, frozen=True):
    """One serving process: apps reach it at ``url``, operators at ``admin_url``. ``revision`` is
    the policy's, ``problem`` says why the newest one on disk is not in force; ``configuration`` and
    its problem are the same of the configuration. ``version`` is the gateway's; ``background`` what
    of its work has failed of late, or of the main process's, and why.
    """

    pid: int
    url: str
    admin_url: str
    policy_dir: str
    revision: str
    configuration: str
    problem: str | None = None
    configuration_problem: str | None = None
    version: str = "an older one"
    background: Mapping[str, str] = {}


class Announcement:
    """This process's own file; replaced atomically whenever something changes."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / f"serving-{os.getpid()}.json"

    def publish(self, presence: Presence) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(self._path, msgspec.json.encode(presence))
        except OSError as error:
            raise StateError(
                f"{self._path.parent} cannot be written ({error.strerror}): "
                "make it writable or set state.dir"
            ) from error

    def withdraw(self) -> None:
        self._path.unlink(missing_ok=True)


_OWN = re.compile(r"serving-[0-9]+\.json\Z")


def running(run_dir: Path) -> list[Presence]:
    """The serving processes that are alive, by process id. Raises ``StateError`` where that is
    another user's to know.
    """
    found = []
    try:
        names = sorted(name for name in os.listdir(run_dir) if _OWN.match(name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StateError(f"{run_dir} cannot be read ({error.strerror})") from None
    for path in (run_dir / name for name in names):
        try:
            presence = msgspec.json.decode(path.read_bytes(), type=Presence)
        except (FileNotFoundError, msgspec.DecodeError):
            continue
        if _alive(presence.pid):
            found.append(presence)
    return found


def serving(settings: Settings) -> list[Presence]:
    """The serving processes of this gateway, by their own word: those with its policy folder."""
    return serving_on(run_dir(settings), settings.policy.dir)


def serving_on(run_dir: Path, policy: Path) -> list[Presence]:
    """As ``serving``, by the folders of the running processes and of the policy."""
    return [one for one in running(run_dir) if one.policy_dir == str(policy)]


def address(host: str, port: int) -> str:
    """The URL of what listens there, for who is on this machine."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_dir(settings: Settings) -> Path:
    """Where the files of running processes are."""
    return settings.state.dir / RUN


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
