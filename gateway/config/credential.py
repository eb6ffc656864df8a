"""The credential of this machine: a random token in a file that only the gateway's own user can
read. Whoever reads it may do everything, as he could with the files of the state.

The main process writes another one at each start, before any serving process begins.
"""

from __future__ import annotations

import os
import pwd
import secrets
from pathlib import Path

import msgspec

from gateway.errors import StateError
from gateway.files import write_atomically

FILE = "operator.json"
ENDED = "sessions-ended"
PREFIX = "sgl"


class Credential(msgspec.Struct, frozen=True):
    """``token`` is for commands on this machine; with ``secret`` (hex) the serving processes sign
    sessions.
    """

    token: str
    secret: str


def renew(run_dir: Path) -> None:
    """A new one: whoever had the one before, has nothing. Raises StateError."""
    credential = Credential(f"{PREFIX}_{secrets.token_urlsafe(32)}", secrets.token_hex(32))
    try:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (run_dir / ENDED).unlink(missing_ok=True)
        write_atomically(run_dir / FILE, msgspec.json.encode(credential), 0o600)
    except OSError as error:
        raise StateError(
            f"{run_dir} cannot be written ({error.strerror}): make it writable or set state.dir"
        ) from error


def credential(run_dir: Path) -> Credential:
    """The one of the gateway that runs. Raises StateError where it cannot be read."""
    path = run_dir / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credential)
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise StateError(f"{path} is not what the gateway writes: {error}") from None


def owner() -> str:
    """Whose it is: the name of the user that this process runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid{os.geteuid()}"
