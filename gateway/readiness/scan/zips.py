"""Zips: their directories, and the packages that they are or hold by what lies in them."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile

from gateway.readiness.scan.source import Unreadable

MiB = 1 << 20
LARGEST_DIRECTORY = 16 * MiB
"""Bytes: it is read into memory whole, and takes ten times as many there."""
ENCRYPTED = 1
"""The flag of an entry."""
BROKEN_ZIP = (
    BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    zlib.error,
)
"""What is raised for zips that are none, or none that can be read."""
_ZIP = re.compile(r"\.(?:zip|jar|war|ear|whl|egg|nupkg|vsix)\Z", re.IGNORECASE)
_END = b"PK\x05\x06"
_END_SIZE = 22
_LONGEST_COMMENT = (1 << 16) - 1
_DIST = re.compile(r"([A-Za-z0-9_.]+)-[^/]+\.dist-info/METADATA\Z")
_MAVEN = re.compile(r"META-INF/maven/([^/]+)/([^/]+)/pom\.properties\Z")
_NUGET = re.compile(r"([^/]+)\.nuspec\Z")


def is_zip(name: str) -> bool:
    return _ZIP.search(name) is not None


def directory(file: BinaryIO, size: int) -> ZipFile:
    """What a zip of so many bytes holds. Raises ``Unreadable`` where its directory is too large,
    and what ``BROKEN_ZIP`` has.
    """
    file.seek(max(0, size - _END_SIZE - _LONGEST_COMMENT))
    end = file.read()
    at = end.rfind(_END)
    if at < 0 or len(end) - at < _END_SIZE:
        raise BadZipFile("it has no end")
    if int.from_bytes(end[at + 12 : at + 16], "little") > LARGEST_DIRECTORY:
        raise Unreadable("its directory is too large")
    file.seek(0, io.SEEK_SET)
    return ZipFile(file)


def packages(archive: ZipFile) -> Iterator[tuple[str, str]]:
    """The registries and names of packages that say in the archive what they are."""
    for name in archive.namelist():
        dist, maven, nuget = _DIST.match(name), _MAVEN.match(name), _NUGET.match(name)
        if dist is not None:
            yield "pypi", dist[1]
        elif maven is not None:
            yield "maven", f"{maven[1]}:{maven[2]}"
        elif nuget is not None:
            yield "nuget", nuget[1]
