"""From the text that a model writes to what an app is told: content, thinking, calls of functions.

A reader takes text in pieces of any size and says what it is as soon as that is certain. What may
be the beginning of a mark is held back until it is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.local.formats import HERMES, Arguments, Thinking, ToolFormat

_NAME = re.compile(r"[A-Za-z0-9_.\-]*")


class PieceKind(StrEnum):
    CONTENT = "content"
    REASONING = "reasoning"
    CALL = "call"
    """The name of the next function that is called."""
    ARGUMENTS = "arguments"
    """The next part of the JSON text of the last call's arguments."""


@dataclass(frozen=True, slots=True)
class Piece:
    kind: PieceKind
    text: str


class Reader(Protocol):
    def feed(self, text: str) -> list[Piece]:
        """What is certain by now."""
        ...

    def finish(self) -> list[Piece]:
        """What was held back, at the end."""
        ...


class PlainReader:
    """For answers that are nothing but content."""

    def feed(self, text: str) -> list[Piece]:
        return [Piece(PieceKind.CONTENT, text)] if text else []

    def finish(self) -> list[Piece]:
        return []


class _At(StrEnum):
    """Where in an answer a reader is."""

    START = "start"
    THINKING = "thinking"
    CONTENT = "content"
    NAME = "name"
    ARGUMENTS = "arguments"
    AFTER_CALL = "after_call"


class MarkedReader:
    """For formats that mark what is not content. ``format`` of ``None`` looks for no calls;
    ``opened`` says that the prompt has opened the thinking already.
    """

    def __init__(
        self, format: ToolFormat | None, thinking: Thinking | None, *, opened: bool = False
    ) -> None:
        self._calls = format is not None
        self._format = format or HERMES
        self._thinking = thinking
        self._at = _At.THINKING if opened else _At.START
        self._held = ""
        self._out: list[Piece] = []
        self._blank = True
        self._arguments = _ArgumentScan(Arguments.JSON)

    def feed(self, text: str) -> list[Piece]:
        self._held += text
        while self._step():
            pass
        out, self._out = self._out, []
        return out

    def finish(self) -> list[Piece]:
        if self._at is _At.THINKING:
            self._say(PieceKind.REASONING, self._held)
        elif self._at in (_At.START, _At.CONTENT):
            self._say(PieceKind.CONTENT, self._held)
        self._held = ""
        out, self._out = self._out, []
        return out

    def _step(self) -> bool:
        """Go on by one mark; whether more may be known already."""
        match self._at:
            case _At.START:
                return self._start()
            case _At.THINKING:
                return self._think()
            case _At.CONTENT:
                return self._content()
            case _At.NAME:
                return self._name()
            case _At.ARGUMENTS:
                return self._argue()
            case _At.AFTER_CALL:
                return self._after()

    def _start(self) -> bool:
        text = self._held.lstrip()
        mark = self._thinking.open if self._thinking is not None else ""
        if mark and text.startswith(mark):
            self._held = text[len(mark) :]
            self._at = _At.THINKING
            return True
        if mark and mark.startswith(text):
            return False
        self._at = _At.CONTENT
        return True

    def _think(self) -> bool:
        close = self._thinking.close if self._thinking is not None else ""
        found = self._held.find(close)
        if found < 0:
            self._show(PieceKind.REASONING, close)
            return False
        self._say(PieceKind.REASONING, self._held[:found].rstrip())
        self._held = self._held[found + len(close) :]
        self._at, self._blank = _At.CONTENT, True
        return True

    def _content(self) -> bool:
        format = self._format
        start = format.start
        if not self._calls or (not format.anywhere and not self._blank):
            self._say(PieceKind.CONTENT, self._held)
            self._held = ""
            return False
        found = self._held.find(start)
        if found >= 0 and (format.anywhere or not self._held[:found].strip()):
            self._say(PieceKind.CONTENT, self._held[:found].rstrip())
            self._held = self._held[found + len(start) :]
            self._at = _At.NAME
            return True
        self._show(PieceKind.CONTENT, start)
        return False

    def _name(self) -> bool:
        named = _NAME.match(self._held)
        end = named.end() if named is not None else 0
        middle = self._format.middle
        if not self._held.startswith(middle, end):
            # Nothing but the rest of the format may come here; a broken call ends with the answer.
            return False
        self._say(PieceKind.CALL, self._held[:end])
        self._held = self._held[end + len(middle) :]
        self._at = _At.ARGUMENTS
        self._arguments = _ArgumentScan(self._format.arguments)
        return True

    def _argue(self) -> bool:
        said, used = self._arguments.feed(self._held)
        if said:
            self._out.append(Piece(PieceKind.ARGUMENTS, said))
        self._held = self._held[used:]
        if self._arguments.ended:
            self._at = _At.AFTER_CALL
            return True
        return False

    def _after(self) -> bool:
        """Behind a call: another one, or the end of them all."""
        another = self._format.end + self._format.between + self._format.begin
        last = self._format.end + self._format.close
        if self._held.startswith(another):
            self._held = self._held[len(another) :]
            self._at = _At.NAME
            return True
        if another.startswith(self._held) or len(self._held) < len(last):
            return False
        # What follows the last call is no content but blanks, and nothing is lost if it is.
        self._held = self._held.removeprefix(last).lstrip()
        self._at, self._blank = _At.CONTENT, False
        return bool(self._held)

    def _show(self, kind: PieceKind, mark: str) -> None:
        """Say all but what may be the beginning of ``mark``, and the blanks before it: they belong
        to nobody.
        """
        certain = self._held[: len(self._held) - _held_back(self._held, mark)].rstrip()
        self._held = self._held[len(certain) :]
        self._say(kind, certain)

    def _say(self, kind: PieceKind, text: str) -> None:
        if self._blank:
            # Blanks before content or thinking are not shown where marks were cut off before them.
            text = text.lstrip() if self._thinking or self._calls else text
        if text:
            self._blank = kind is PieceKind.REASONING and not text.strip()
            self._out.append(Piece(kind, text))


class _ArgumentScan:
    """Finds the end of a call's arguments, and turns ``name=value`` into JSON on the way."""

    def __init__(self, written: Arguments) -> None:
        self._keywords = written is Arguments.KEYWORDS
        self._depth = 0
        self._text = False
        self._escaped = False
        self._begun = False
        self._key = ""
        self._in_key = self._keywords
        self.ended = False

    def feed(self, text: str) -> tuple[str, int]:
        """The JSON text that was read, and how many characters of ``text`` it took."""
        out: list[str] = []
        if self._keywords and text and not self._begun:
            self._begun = True
            out.append("{")
        for at, character in enumerate(text):
            if self._keywords and not self._text and self._depth == 0:
                if character == ")":
                    self.ended = True
                    return "".join([*out, "}"]), at
                if self._in_key:
                    out.append(self._part_of_key(character))
                    continue
                self._in_key = character == ","
            out.append(character)
            self._look(character)
            if not self._keywords and self._begun and self._depth == 0 and not self._text:
                self.ended = True
                return "".join(out), at + 1
        return "".join(out), len(text)

    def _part_of_key(self, character: str) -> str:
        if character != "=":
            if not character.isspace():
                self._key += character
            return ""
        key, self._key, self._in_key = self._key, "", False
        return f'"{key}": '

    def _look(self, character: str) -> None:
        if self._text:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == '"':
                self._text = False
        elif character == '"':
            self._text = True
        elif character in "{[":
            self._depth += 1
            self._begun = True
        elif character in "}]":
            self._depth -= 1


class HarmonyReader:
    """For gpt-oss: ``<|channel|>NAME to=RECIPIENT … <|message|>TEXT<|end|>``, again and again. The
    ``analysis`` channel is thinking, a recipient ``functions.X`` is a call, the rest is content.
    ``begun`` says that the prompt stands within content already.
    """

    CHANNEL, MESSAGE = "<|channel|>", "<|message|>"
    ENDS = ("<|end|>", "<|call|>", "<|return|>", "<|start|>")
    _RECIPIENT = re.compile(r"to=functions\.([A-Za-z0-9_.\-]+)")

    def __init__(self, *, begun: bool = False) -> None:
        self._held = ""
        self._kind = PieceKind.CONTENT if begun else None

    def feed(self, text: str) -> list[Piece]:
        self._held += text
        out: list[Piece] = []
        while self._step(out):
            pass
        return out

    def finish(self) -> list[Piece]:
        text, self._held = self._held, ""
        return [Piece(self._kind, text)] if self._kind is not None and text else []

    def _step(self, out: list[Piece]) -> bool:
        if self._kind is None:
            head, mark, rest = self._held.partition(self.MESSAGE)
            if not mark:
                return False
            called = self._RECIPIENT.search(head)
            if called is not None:
                self._kind = PieceKind.ARGUMENTS
                out.append(Piece(PieceKind.CALL, called.group(1)))
            else:
                thinks = "analysis" in head
                self._kind = PieceKind.REASONING if thinks else PieceKind.CONTENT
            self._held = rest
            return True
        found = [(at, mark) for mark in self.ENDS if (at := self._held.find(mark)) >= 0]
        if found:
            at, mark = min(found)
            if at:
                out.append(Piece(self._kind, self._held[:at]))
            self._held = self._held[at + len(mark) :]
            self._kind = None
            return True
        keep = max(_held_back(self._held, mark) for mark in self.ENDS)
        if len(self._held) > keep:
            out.append(Piece(self._kind, self._held[: len(self._held) - keep]))
            self._held = self._held[len(self._held) - keep :]
        return False


def _held_back(text: str, mark: str) -> int:
    """How many of the last characters may be the beginning of ``mark``."""
    for length in range(min(len(text), len(mark) - 1), 0, -1):
        if mark.startswith(text[-length:]):
            return length
    return 0
