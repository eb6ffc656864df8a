"""Bring a model's file to where it is to be: from a local path, or from a mirror of one's own.

It is written beside its place, checked, and then named: nobody ever sees half a file, and nothing
is left of one that failed.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from gateway.errors import ModelFileError
from gateway.local.gguf import GgufHeader, read_header

PIECE = 1 << 20
PATIENCE = 60.0
"""Seconds for a mirror to connect, and for each next piece."""

Progress = Callable[[int, int], None]
"""Told the bytes that are there, and all of them."""


def fetch(
    source: str, destination: Path, sha256: str | None, most: int, progress: Progress
) -> tuple[str, GgufHeader]:
    """Copy ``source`` (a path, or an http(s) URL) to ``destination``, which must not exist yet; its
    sha256, which must be the given one where one is given, and its header. ``most`` is in bytes.

    Raises ModelFileError where the source cannot be read, is larger, differs or is no model.
    """
    if destination.exists():
        raise ModelFileError(
            f"{destination} is there already: remove it first, or choose another id"
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}-")
    partial = Path(beside)
    try:
        with os.fdopen(handle, "wb") as target, _opened(source, most) as (file, size):
            found = _copy(file, target, size, progress)
        if sha256 is not None and found != sha256:
            raise ModelFileError(
                f"{source} is not the file that is wanted: expected sha256 {sha256}, got {found}"
            )
        header = read_header(partial)
        partial.chmod(0o644)
        # Not a rename: that would replace what somebody else has put there meanwhile.
        os.link(partial, destination)
    except FileExistsError as error:
        raise ModelFileError(f"{destination} has come into being meanwhile") from error
    except OSError as error:
        raise ModelFileError(f"{source} cannot be copied: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return found, header


def is_remote(source: str) -> bool:
    """Whether a source is a URL, and not a path."""
    return source.startswith(("http://", "https://"))


def _copy(file: BinaryIO, target: BinaryIO, size: int, progress: Progress) -> str:
    digest = hashlib.sha256()
    done = 0
    while block := file.read(min(PIECE, size - done)):
        digest.update(block)
        target.write(block)
        done += len(block)
        progress(done, size)
    if done != size:
        raise ModelFileError(f"the source ended after {done} of {size} bytes")
    target.flush()
    os.fsync(target.fileno())
    return digest.hexdigest()


@contextmanager
def _opened(source: str, most: int) -> Iterator[tuple[BinaryIO, int]]:
    """The source as a file, and its size in bytes."""
    if is_remote(source):
        with _mirror(source) as answer:
            yield answer, _allowed(source, _length(source, answer), most)
        return
    path = Path(source).expanduser()
    with path.open("rb") as file:
        yield file, _allowed(source, os.fstat(file.fileno()).st_size, most)


def _allowed(source: str, size: int, most: int) -> int:
    if size > most:
        raise ModelFileError(
            f"{source} has {size} bytes, more than the {most} that are allowed: raise --max-gb"
        )
    return size


@contextmanager
def _mirror(url: str) -> Iterator[BinaryIO]:
    """The body of an answer. No redirect is followed and no proxy asked: what is to be reached is
    written out.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    if not parts.hostname or parts.username is not None:
        raise ModelFileError("the URL must name a host, and hold no user or password")
    connection = kind(parts.hostname, parts.port, timeout=PATIENCE)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        with connection.getresponse() as answer:
            if answer.status != http.client.OK:
                raise ModelFileError(f"{parts.hostname} answered {answer.status}, not 200")
            yield answer
    except http.client.HTTPException as error:
        raise ModelFileError(f"{parts.hostname} does not speak HTTP: {error!r}") from error
    finally:
        connection.close()


def _length(url: str, answer: BinaryIO) -> int:
    if not isinstance(answer, http.client.HTTPResponse) or answer.length is None:
        raise ModelFileError(f"{urlsplit(url).hostname} does not say how large the file is")
    return answer.length
