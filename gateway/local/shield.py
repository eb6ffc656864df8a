"""What apps write stays text: the marks of a model's own format in it are not read as such.

A user who types ``<|im_end|>`` must not be able to end his turn and begin another's. Each mark in a
message is put between two characters that no text can hold; the template carries them along, and
what stands between them is tokenized as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
"""Noncharacters: Unicode reserves them for use inside of a program."""
_FORGED = str.maketrans("", "", _OPEN + _CLOSE)
_COVERED = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a rendered prompt; ``marks`` says whether the format's marks count in it."""

    text: str
    marks: bool


class Shield:
    """``marks`` are the texts of a model's control tokens."""

    def __init__(self, marks: Iterable[str]) -> None:
        longest_first = sorted({mark for mark in marks if mark}, key=len, reverse=True)
        self._marks = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def cover(self, text: str) -> str:
        """A message's text as it may be given to a template."""
        text = text.translate(_FORGED)
        if self._marks is None:
            return text
        return self._marks.sub(lambda mark: f"{_OPEN}{mark.group()}{_CLOSE}", text)

    @staticmethod
    def segments(prompt: str) -> list[Segment]:
        """The parts of a prompt that was rendered from covered texts."""
        # The odd parts are what stood between the two characters. A template that cuts a text may
        # leave one of them alone.
        parts = enumerate(_COVERED.split(prompt))
        found = (Segment(part.translate(_FORGED), marks=not odd % 2) for odd, part in parts)
        return [segment for segment in found if segment.text]
