"""What the main process has accepted, for its serving processes: a file, replaced as a whole.

So all of them have the same version, one that is started later too, whatever stands in
``gateway.yaml`` by then. It holds references to secrets and never a secret.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.errors import StateError
from gateway.files import write_atomically

FILE = "configuration.json"


class Socket(msgspec.Struct, frozen=True):
    """Where a local model's worker is reached. ``at_once`` says that one which was reached
    elsewhere before is not to be asked any more, though this one may not be ready yet.
    """

    path: str
    on_demand: bool
    at_once: bool = False


class Publication(msgspec.Struct, frozen=True):
    """A ``version`` is a number that grows; ``text`` is what stood in the file, ``problem`` says
    why something newer does not count; ``control`` is the socket on which the main process takes
    commands for the local models.
    """

    version: int
    text: bytes
    sockets: dict[str, Socket]
    problem: str | None = None
    control: str = ""


def publish(run_dir: Path, publication: Publication) -> None:
    """Raises StateError where it cannot be written."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(run_dir / FILE, msgspec.json.encode(publication))
    except OSError as error:
        raise StateError(
            f"{run_dir} cannot be written ({error.strerror}): make it writable or set state.dir"
        ) from error


def decode(raw: bytes) -> Publication:
    """Raises StateError for what is none."""
    try:
        return msgspec.json.decode(raw, type=Publication)
    except msgspec.DecodeError as error:
        raise StateError(f"{FILE} is not what the main process writes: {error}") from None


def published(run_dir: Path) -> Publication:
    """The newest one. Raises StateError where there is none."""
    path = run_dir / FILE
    try:
        return decode(path.read_bytes())
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}") from None
