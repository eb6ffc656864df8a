"""Elements of an XML file, one at a time, without anything that XML can do beyond elements.

A document type declaration is refused, and with it every entity of its own: nothing is expanded and
nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from gateway.vendors.published.rows import UnreadableList, plain

MAX_DEPTH = 16
MAX_PARTS = 50_000
"""Elements within one wanted element."""
MAX_CHARACTERS = 1_000_000
"""Characters within one wanted element."""


@dataclass(slots=True)
class Element:
    """One element: its local name, the line it begins on, its own text and its children."""

    name: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def text_of(self, name: str) -> str:
        """The text of the first child of that name, on one line; empty where there is none."""
        return next((child.text for child in self.children if child.name == name), "")

    def all_of(self, group: str, name: str) -> list[Element]:
        """All children ``name`` of the children ``group``."""
        groups = (child for child in self.children if child.name == group)
        return [child for each in groups for child in each.children if child.name == name]


def elements(chunks: Iterable[bytes], *, root: str, wanted: Collection[str]) -> Iterator[Element]:
    """The ``wanted`` children of the root, each as soon as it is whole; namespaces do not matter.

    Raises UnreadableList where the file is not well-formed, is cut off, or has another root.
    """
    parser = expat.ParserCreate(namespace_separator="}")
    builder = _Builder(parser, root, wanted)
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
            yield from builder.drain()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        message = f"not well-formed XML: {expat.ErrorString(error.code)}"
        raise UnreadableList(error.lineno, message) from None
    yield from builder.drain()


class _Builder:
    def __init__(self, parser: expat.XMLParserType, root: str, wanted: Collection[str]) -> None:
        self._parser = parser
        self._root = root
        self._wanted = wanted
        self._depth = 0
        self._open: list[Element] = []
        self._parts = 0
        self._characters = 0
        self._done: list[Element] = []

    def drain(self) -> list[Element]:
        done, self._done = self._done, []
        return done

    def refuse(self, *_: object) -> None:
        raise self._wrong("a document type declaration is not allowed")

    def start(self, name: str, _: object) -> None:
        self._depth += 1
        local = name.rpartition("}")[2]
        if self._depth == 1 and local != self._root:
            hint = " (that is the advanced form: download SDN.XML)" if local == "Sanctions" else ""
            raise self._wrong(f"expected <{self._root}>, not <{local}>{hint}")
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"nested too deeply: at most {MAX_DEPTH} levels")
        if not self._open and (self._depth != 2 or local not in self._wanted):
            return
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise self._wrong(f"an entry of over {MAX_PARTS} elements")
        element = Element(local, self._parser.CurrentLineNumber)
        if self._open:
            self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _: str) -> None:
        self._depth -= 1
        if not self._open:
            return
        element = self._open.pop()
        element.text = plain(element.text)
        if not self._open:
            self._done.append(element)
            self._parts = 0
            self._characters = 0

    def characters(self, text: str) -> None:
        if not self._open:
            return
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            raise self._wrong(f"an entry of over {MAX_CHARACTERS} characters")
        self._open[-1].text += text

    def _wrong(self, message: str) -> UnreadableList:
        return UnreadableList(self._parser.CurrentLineNumber, message)
