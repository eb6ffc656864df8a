"""Copies of checkpoints that were kept elsewhere, as they are compared with a log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.chain import Kind
from gateway.audit.proofs import Keys, Told, Untrue, told
from gateway.audit.reader import texts
from gateway.audit.verified import Check, Fault


class Broken(Exception):
    """A copy is none."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.found)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Copy:
    line: int
    told: Told


def copies(path: Path, keys: Keys) -> Iterator[Copy]:
    """Those of a file, one a line, in the order in which they were written. A last line without an
    end that is none is not looked at. Raises ``Broken`` where one is not what a key signed, and
    StateError where the file cannot be read.
    """
    before = 0
    for text in texts(path):
        try:
            found = told(text)
            if found.kind is not Kind.CHECKPOINT:
                raise Untrue(Check.EXTERNAL, "a checkpoint", f"a line of kind {found.kind.value}")
            found.mark(keys)
            if found.seq < before:
                raise Untrue(Check.EXTERNAL, f"seq {before} or more", f"seq {found.seq}")
        except Untrue as untrue:
            if not text.ended and untrue.check is Check.JSON:
                return
            raise Broken(untrue.at(str(path), text.line, before)) from None
        if found.seq > before:
            yield Copy(text.line, found)
        before = found.seq
