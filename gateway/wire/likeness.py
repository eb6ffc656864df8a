"""Events of a stream that differ in what they say alone, as most of an answer's do: read by what
they have in common with one that was read before, without parsing them.

Theory of operation. In JSON a string ends at its first quote that is not escaped, and nothing in it
means anything outside of it. So where one text was found in a payload, and another was read from
its place with all else the same, every payload of the same beginning and end with any string
between them says the same but for that text. Besides the text two things may differ, by which
vendors count their events and fill them up: whoever relays them reads them as a number at most.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from gateway.wire.relay import Chunk

MOST_UNLIKE = 4
"""Times that it is tried to learn what the events of a stream have in common."""
_PROBE = "another text than it was"
_NUMBER = re.compile(rb'"sequence_number": ?([1-9][0-9]*+)')
_PADDING = re.compile(rb'"obfuscation": ?"([^"\\]*+)"')
"""What some vendors fill their events with, so that no size gives a text away."""
_MOST_DIGITS = 15
_strings = msgspec.json.Decoder(str)

_Place: TypeAlias = tuple[int, int]
_Sound: TypeAlias = Callable[[bytes], bool]
_Thing: TypeAlias = tuple[bytes, _Sound]
"""What stands between a thing that may differ and the next toward the text, and what it must be."""
_Other: TypeAlias = tuple[re.Pattern[bytes], bytes, _Sound]


class Likeness:
    """``chunk`` is one that was read; ``payload`` and ``data`` are what stands (before, behind) all
    that may differ in its payload and in what the app gets. Of that the things ``before`` the text
    come in their order, those ``behind`` it from the last.
    """

    __slots__ = ("_before", "_behind", "_data", "_event", "_payload", "_same", "chunk")

    def __init__(
        self,
        chunk: Chunk,
        payload: tuple[bytes, bytes],
        data: tuple[bytes, bytes],
        before: list[_Thing],
        behind: list[_Thing],
    ) -> None:
        self.chunk = chunk
        self._payload = payload
        self._data = data
        name, mark, _ = data[0].partition(b"data: ")
        self._event = name + mark + payload[0], payload[1] + b"\n\n"
        self._same = self._event == data
        self._before = before
        self._behind = behind

    def read(self, payload: bytes) -> Chunk | None:
        """What a payload says; ``None`` where it is not like the other."""
        found = self._found(payload, *self._payload)
        if found is None:
            return None
        differs, said = found
        return _saying(self.chunk, b"%b%b%b" % (self._data[0], differs, self._data[1]), said)

    def whole(self, event: bytes) -> tuple[bytes, str] | None:
        """What the app gets for bytes that are one event, and what is said in it, as ``read`` of
        that event tells; ``None`` where they are no such, or not like the other.
        """
        # Nothing that may differ has a line's end in it, nor has what stands around it.
        found = self._found(event, *self._event)
        if found is None or self._same:
            return found and (event, found[1])
        return b"%b%b%b" % (self._data[0], found[0], self._data[1]), found[1]

    def _found(self, data: bytes, begin: bytes, end: bytes) -> tuple[bytes, str] | None:
        """What differs, and what is said in it, which is not empty."""
        if not data.startswith(begin) or not data.endswith(end):
            return None
        said = differs = data[len(begin) : len(data) - len(end)]
        # Where a part is found too soon, something is left that is not what it should be.
        for part, sound in self._before:
            thing, found, said = said.partition(part)
            if not found or not sound(thing):
                return None
        for part, sound in self._behind:
            said, found, thing = said.rpartition(part)
            if not found or not sound(thing):
                return None
        text = _text(said)
        return (differs, text) if text else None


def _text(written: bytes) -> str | None:
    """What stands in a string that is so written between its quotes; ``None`` for what is none, or
    spells by its number a letter in which the name of a member could be spelt.
    """
    if b"\\" not in written and b'"' not in written:
        try:
            text = written.decode()
        except UnicodeDecodeError:
            return None
        if text.isprintable():
            return text
    elif b"\\u00" in written:
        return None
    try:
        return _strings.decode(b'"%b"' % written)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_number(written: bytes) -> bool:
    return written.isdigit() and len(written) <= _MOST_DIGITS and written[0] != b"0"[0]


def _is_padding(written: bytes) -> bool:
    return written.isalnum() or _text(written) is not None


_OTHERS: tuple[_Other, ...] = (
    (_NUMBER, b"7", _is_number),
    (_PADDING, b"filled", _is_padding),
)


def learn(payload: bytes, chunk: Chunk, read: Callable[[bytes], Chunk]) -> Likeness | None:
    """What the payload that was ``read`` as ``chunk`` has in common with those that say something
    else; ``None`` where that cannot be told, or they may say more than that.
    """
    text = _place(payload, chunk.text or chunk.unspoken)
    if text is None or b"\n" in payload or b"\r" in payload:
        return None
    places: list[tuple[_Place, bytes, _Sound]] = [(text, _PROBE.encode(), _is_padding)]
    for key, probe, sound in _OTHERS:
        if (match := key.search(payload)) is not None:
            places.append((match.span(1), probe, sound))
    places.sort()
    start, end = places[0][0][0], places[-1][0][1]
    # With the signs on either side, so that it is not found as a part of something else.
    told = chunk.data.split(payload[start - 1 : end + 1])
    if len(told) != 2:
        return None
    between = [payload[before[1] : behind[0]] for (before, *_), (behind, *_) in pairwise(places)]
    probes = [probe for _, probe, _ in places]
    probe = b"".join([one for pair in zip(probes, [*between, b""], strict=True) for one in pair])
    around = payload[:start], payload[end:]
    data = told[0] + payload[start - 1 : start], payload[end : end + 1] + told[1]
    same = _saying(chunk, data[0] + probe + data[1], _PROBE)
    if read(around[0] + probe + around[1]) != same or same != _only_said(same):
        return None
    at = [place for place, *_ in places].index(text)
    sounds = [sound for *_, sound in places]
    before = list(zip(between[:at], sounds, strict=False))
    behind = list(zip(between[at:], sounds[at + 1 :], strict=True))[::-1]
    return Likeness(chunk, around, data, before, behind)


def _place(payload: bytes, text: str) -> _Place | None:
    """Where a text stands, in the one string that is it."""
    for quoted in (b'"%b"' % text.encode("utf-8", "surrogatepass"), json.dumps(text).encode()):
        if payload.count(quoted) == 1:
            start = payload.index(quoted) + 1
            return start, start + len(quoted) - 2
    return None


def _saying(chunk: Chunk, data: bytes, said: str) -> Chunk:
    if chunk.text:
        return replace(chunk, data=data, text=said)
    return replace(chunk, data=data, unspoken=said)


def _only_said(chunk: Chunk) -> Chunk:
    """A chunk that says no more than this one says."""
    return Chunk(
        chunk.data,
        chunk.text,
        chunk.unspoken,
        choices=chunk.choices,
        content=True,
        binding=chunk.binding,
        block=chunk.block,
        model=chunk.model,
        provider=chunk.provider,
        id=chunk.id,
        created=chunk.created,
    )


class LikenessReader:
    """Reads the events of a stream; to be subclassed. To ``_read`` an event that says something
    changes no more than to have read one that is like it.
    """

    terminator: bytes

    def __init__(self) -> None:
        self.likeness: Likeness | None = None
        self._tried = 0

    def read(self, payload: bytes) -> Chunk:
        likeness = self.likeness
        if likeness is not None and (like := likeness.read(payload)) is not None:
            return like
        chunk = self._read(payload)
        said = chunk.text or chunk.unspoken
        if said and not chunk.pieces and self._tried < MOST_UNLIKE:
            self._tried += 1
            self.likeness = learn(payload, chunk, self._read)
        return chunk

    def _read(self, payload: bytes) -> Chunk:
        raise NotImplementedError

    def _anew(self) -> None:
        """What comes may be of another kind, or mean something else."""
        self.likeness = None
        self._tried = 0
