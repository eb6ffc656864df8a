"""What apps write stays text: the marks of a model's own format in it are not read as such.

A user who types ``<|im_end|>`` must not be able to end his turn and begin another's. Each mark in a
message is put between two characters that no text can hold; the template carries them along, and
what stands between them is tokenized as plain text. A third such character marks where images are,
so that no text can be taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
"""Noncharacters: Unicode reserves them for use inside of a program."""
_IMAGE = "\ufdd2"
_FORGED = str.maketrans("", "", _OPEN + _CLOSE + _IMAGE)
_PLACE = re.compile(f"{_IMAGE}([0-9]+){_IMAGE}")
_COVERED = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a rendered prompt; ``marks`` says whether the format's marks count in it."""

    text: str
    marks: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is in a rendered prompt: the one of this number among the request's."""

    number: int


def place(number: int) -> str:
    """What is put into a message's text for an image, once the text is covered."""
    return f"{_IMAGE}{number}{_IMAGE}"


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
    def segments(prompt: str) -> list[Segment | Place]:
        """The parts of a prompt that was rendered from covered texts."""
        found: list[Segment | Place] = []
        for index, part in enumerate(_PLACE.split(prompt)):
            found += [Place(int(part))] if index % 2 else _segments(part)
        return found


def _segments(text: str) -> Iterator[Segment]:
    # The odd parts are what stood between the two characters. A template that cuts a text may leave
    # one of them alone.
    for odd, part in enumerate(_COVERED.split(text)):
        if plain := part.translate(_FORGED):
            yield Segment(plain, marks=not odd % 2)
