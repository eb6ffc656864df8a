"""The lines that come, while they come, over the ends of segments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.audit.reader import LONGEST_LINE, SEGMENTS, Line, Place, Text, parsed
from gateway.errors import StateError

_BLOCK = 1 << 16


class Following:
    """Stands behind the last whole line that is there now. ``path`` is a log's folder, in which
    there may be nothing yet, or one file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        files = self._files()
        self._file = files[-1] if files else None
        self._at = 0 if self._file is None else _end_of_lines(self._file)

    def more(self) -> Iterator[Line]:
        """What has come since; for the end of a line that has none it is waited. The places of
        lines are not known. Raises StateError where a file cannot be read.
        """
        while True:
            # Looked at before the rest is read: one is begun when the one before gets no more.
            later = [file for file in self._files() if self._file is None or file > self._file]
            if self._file is not None:
                yield from self._read(self._file)
            if not later:
                return
            self._file, self._at = later[0], 0

    def _files(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(self._path.glob(SEGMENTS))
        return [self._path] if self._path.is_file() else []

    def _read(self, file: Path) -> Iterator[Line]:
        place = Place(str(file), 0)
        try:
            with file.open("rb") as stream:
                stream.seek(self._at)
                while content := stream.readline(LONGEST_LINE):
                    ended, long = content.endswith(b"\n"), len(content) == LONGEST_LINE
                    if not ended and not long:
                        return
                    self._at += len(content)
                    yield parsed(Text(0, content.removesuffix(b"\n"), ended, not ended), place)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"{file} cannot be read: {error.strerror or error}") from None


def _end_of_lines(file: Path) -> int:
    """The place behind the last line that has an end. Raises StateError."""
    try:
        with file.open("rb") as stream:
            at = stream.seek(0, os.SEEK_END)
            while size := min(_BLOCK, at):
                at = stream.seek(at - size)
                if found := stream.read(size).rfind(b"\n") + 1:
                    return at + found
            return 0
    except OSError as error:
        raise StateError(f"{file} cannot be read: {error.strerror or error}") from None
