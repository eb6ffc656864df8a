"""Archives: images as ``docker save`` and OCI write them, their layers, other tar files, and zips.

Theory of operation. A tar is read as a stream, from its first byte to its last; a layer inside it
is a stream within that stream. A zip is read by its directory at the end, so one that is inside an
archive is held in memory, and may not be large. Nothing is written to disk and no name of a member
is opened, so links, devices and paths that lead elsewhere are only names. What may be unpacked is
bounded in bytes, in members, in depth and in proportion to what was read; where a bound is met the
rest is not read, and that is told.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol
from zipfile import ZipFile

from gateway.readiness.scan.finding import Unread
from gateway.readiness.scan.kinds import is_lock, is_log, reader_of
from gateway.readiness.scan.reading import FileReader, Read
from gateway.readiness.scan.source import Unreadable
from gateway.readiness.scan.zips import BROKEN_ZIP, ENCRYPTED, directory, is_zip, packages

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MiB = 1 << 20
LARGEST_FILE = 4 * MiB
LARGEST_LOCK = 64 * MiB
LARGEST_ZIP = 64 * MiB
"""Of one within an archive."""
MOST_UNPACKED = 16 << 30
FREE = 256 * MiB
"""What is unpacked before it is asked how much was read for it."""
MOST_RATIO = 200
MOST_MEMBERS = 2_000_000
DEEPEST = 3
_LONGEST_HEADER = MiB
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_DIST = re.compile(r"(?:\A|/)(?:site|dist)-packages/([A-Za-z0-9_.]+)-[^/]+\.dist-info/METADATA\Z")
_NODE = re.compile(r"(?:\A|/)node_modules/((?:@[^/]+/)?[^/@]+)/package\.json\Z")
_VENDORED = re.compile(
    r"(?:\A|/)(?:site-packages|dist-packages|node_modules|usr/(?:share|include|lib|lib64|src)|"
    r"usr/local/(?:lib|include|share)|var/lib/(?:dpkg|apt))/|\A(?:\./)?(?:lib|lib64|proc|sys)/"
)
_BLOB = re.compile(r"(?:\A|/)blobs/\w+/[0-9a-f]{12,}\Z")


class _Bytes(Protocol):
    """What bytes can be read from, at once or by lines."""

    def read(self, size: int = -1, /) -> bytes: ...

    def readline(self, size: int = -1, /) -> bytes: ...


class _Member(tarfile.TarInfo):
    """Refuses headers that would be read into memory whole and are larger than any real one."""

    def _proc_member(self, tarfile_: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _LONGEST_HEADER:
            raise tarfile.ReadError("a header is too large")
        return super()._proc_member(tarfile_)  # type: ignore[misc,no-any-return]

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise tarfile.ReadError("it has a sparse file")


class _Counted(io.RawIOBase):
    """Counts what is read from a stream, and stops it where it is out of all proportion."""

    def __init__(
        self, inner: _Bytes, packed: Callable[[], int], most: int, before: int = 0
    ) -> None:
        super().__init__()
        self._inner = inner
        self._packed = packed
        self._most = most
        self.count = before

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        if self.count > self._most:
            raise Unreadable(f"it unpacks to more than {self._most >> 20} MiB")
        if self.count > FREE and self.count > MOST_RATIO * max(1, self._packed()):
            raise Unreadable(f"it unpacks to more than {MOST_RATIO} times what was read")
        return len(data)


class ArchiveReader:
    """Reads one archive after the other. ``most`` is in bytes, unpacked."""

    def __init__(self, reader: FileReader, most: int = MOST_UNPACKED) -> None:
        self._reader = reader
        self._most = most

    def read(self, path: Path, shown: str, more: Callable[[int], None]) -> Read:
        """An archive on disk; ``more`` is told how many bytes of it were read."""
        found = Read(files=1)
        with path.open("rb") as file:
            if is_zip(path.name):
                self._zip(file, path.stat().st_size, shown, 0, found)
                more(path.stat().st_size)
            else:
                self._stream(_Telling(file, more), shown, 0, found)
        return found

    def _stream(self, stream: _Bytes, shown: str, depth: int, found: Read) -> None:
        """A stream of tar, compressed or not. What ends it early is told."""
        whole = _Counted(stream, lambda: sys.maxsize, sys.maxsize)
        try:
            packed = io.BufferedReader(whole, 1 << 16)
            plain = _Counted(_unpacked(packed), lambda: whole.count, self._most)
            unpacked = io.BufferedReader(plain, 1 << 16)
            with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Member) as tar:
                self._members(tar, shown, depth, found)
        except Unreadable as error:
            found.unread.append(Unread(shown, f"{error}: the rest was not read", partly=True))
        except RecursionError:
            found.unread.append(Unread(shown, "it is nested too deeply", partly=True))
        except _BROKEN:
            found.unread.append(Unread(shown, "it is no whole tar archive", partly=depth > 0))

    def _members(self, tar: tarfile.TarFile, shown: str, depth: int, found: Read) -> None:
        for _ in range(MOST_MEMBERS):
            member = tar.next()
            if member is None:
                return
            # A stream does not go back: what it has passed need not be kept.
            tar.members = []  # type: ignore[attr-defined]
            if member.isreg() and member.size:
                content = tar.extractfile(member)
                if content is not None:
                    inside = f"{shown}!{member.name[:300]}"
                    self._member(member.name, member.size, content, inside, depth, found)
        raise Unreadable(f"it has more than {MOST_MEMBERS} members")

    def _zip(self, file: BinaryIO, size: int, shown: str, depth: int, found: Read) -> None:
        """A zip of so many bytes, by its directory."""
        try:
            archive = directory(file, size)
            wheel = shown.endswith(".whl")
            for registry, name in packages(archive):
                known = self._reader.installed(shown, registry, name)
                found.add(known)
                if wheel and known.findings:
                    # Other people's code, as it would be where it is installed.
                    found.passed += len(archive.filelist)
                    return
            self._entries(archive, size, shown, depth, found)
        except Unreadable as error:
            found.unread.append(Unread(shown, f"{error}: the rest was not read", partly=True))
        except RecursionError:
            found.unread.append(Unread(shown, "it is nested too deeply", partly=True))
        except BROKEN_ZIP:
            found.unread.append(Unread(shown, "it is no whole zip archive", partly=depth > 0))

    def _entries(self, archive: ZipFile, size: int, shown: str, depth: int, found: Read) -> None:
        count = 0
        for entry in archive.infolist():
            inside = f"{shown}!{entry.filename[:300]}"
            if entry.is_dir() or not entry.file_size:
                continue
            if entry.flag_bits & ENCRYPTED:
                found.unread.append(Unread(inside, "it is encrypted"))
                continue
            try:
                with archive.open(entry) as opened:
                    content = _Counted(opened, lambda: size, self._most, count)
                    unpacked = io.BufferedReader(content, 1 << 16)
                    self._member(entry.filename, entry.file_size, unpacked, inside, depth, found)
                    count = content.count
            except BROKEN_ZIP:
                found.unread.append(Unread(inside, "it cannot be unpacked"))

    def _member(
        self, name: str, size: int, content: _Bytes, shown: str, depth: int, found: Read
    ) -> None:
        dist, node = _DIST.search(name), _NODE.search(name)
        if dist is not None:
            found.add(self._reader.installed(shown, "pypi", dist[1]))
        elif node is not None:
            found.add(self._reader.installed(shown, "npm", node[1]))
        elif _VENDORED.search(name):
            found.passed += 1
        elif depth < DEEPEST and (name.endswith((".tar", ".tar.gz", ".tgz")) or _BLOB.search(name)):
            self._inner(size, content, shown, depth, found)
        elif depth < DEEPEST and is_zip(name):
            self._inner_zip(size, content, shown, depth, found)
        elif is_log(name) and not name.endswith((".gz", ".zst")):
            found.add(self._reader.log(shown, iter(content.readline, b""), certain=False))
        elif reader_of(name) is not None:
            self._text(name, size, content, shown, found)
        else:
            found.passed += 1

    def _text(self, name: str, size: int, content: _Bytes, shown: str, found: Read) -> None:
        most = LARGEST_LOCK if is_lock(name) else LARGEST_FILE
        if size > most:
            found.unread.append(Unread(shown, f"it is larger than {most >> 20} MiB"))
        else:
            found.add(self._reader.text(shown, content.read(most)))

    def _inner_zip(self, size: int, content: _Bytes, shown: str, depth: int, found: Read) -> None:
        if size > LARGEST_ZIP:
            why = f"it is a zip within an archive, and larger than {LARGEST_ZIP >> 20} MiB"
            found.unread.append(Unread(shown, why))
            return
        data = content.read(size)
        self._zip(io.BytesIO(data), len(data), shown, depth + 1, found)

    def _inner(self, size: int, content: _Bytes, shown: str, depth: int, found: Read) -> None:
        """A layer, or the description of an image, which has no name that says so."""
        if size <= LARGEST_FILE:
            data = content.read(LARGEST_FILE)
            if data.lstrip()[:1] == b"{":
                found.add(self._reader.text(f"{shown}.json", data))
                return
            content = io.BytesIO(data)
        self._stream(content, shown, depth + 1, found)


class _Telling(io.RawIOBase):
    """Tells how much of a file was read."""

    def __init__(self, inner: BinaryIO, more: Callable[[int], None]) -> None:
        super().__init__()
        self._inner = inner
        self._more = more

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        self._more(len(data))
        return len(data)


_BROKEN = (
    tarfile.TarError,
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    zstd.ZstdError,
    ValueError,
)


def unpacked(path: Path, file: BinaryIO) -> _Bytes:
    """The lines of a log that may be compressed, by the ending of its name."""
    if path.name.endswith(".gz"):
        return gzip.GzipFile(fileobj=file)
    return zstd.ZstdFile(file) if path.name.endswith(".zst") else file


def _unpacked(packed: io.BufferedReader[_Counted]) -> _Bytes:
    """By the first bytes, not by a name."""
    head = packed.peek(6)[:6]
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=packed)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return zstd.ZstdFile(packed)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(packed)
    if head.startswith(b"\xfd7zXZ"):
        return lzma.LZMAFile(packed)
    return packed
