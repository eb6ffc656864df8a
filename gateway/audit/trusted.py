"""The public keys by which checkpoints are checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.audit.checkpoint import KEYS, key_id, public_key
from gateway.audit.proofs import Keys
from gateway.errors import StateError


def trusted(log: Path, given: Sequence[Path] = ()) -> Keys:
    """Those that are ``given`` (PEM) or, where none are, those that lie beside the log: whoever
    could alter that could put another key there. Raises StateError where one is none.
    """
    folder = (log if log.is_dir() else log.parent) / KEYS
    found = {}
    for path in given or sorted(folder.glob("*.pub")):
        try:
            key = public_key(path.read_bytes())
        except OSError as error:
            raise StateError(f"{path} cannot be read: {error.strerror or error}") from None
        except ValueError:
            raise StateError(
                f"{path} is no public key of an audit log: expected the PEM of an Ed25519 key, "
                f"as the gateway writes it into the folder {KEYS} of its log"
            ) from None
        found[key_id(key)] = key
    return found
