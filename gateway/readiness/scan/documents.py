"""JSON (with comments), YAML, TOML and lists of settings as leaves with their paths and places.

A leaf's path holds its keys, and the number of an item of a list as text. Nothing is made of a
document but its leaves: no aliases are followed, no tags obeyed, no depth recursed into.
"""

from __future__ import annotations

import re
import tomllib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from gateway.readiness.scan.notes import Place
from gateway.readiness.scan.source import Source, Unreadable

MOST_LEAVES = 2_000_000
DEEPEST = 200
_JSON = re.compile(
    r"""(?P<space>[\s,:\ufeff]+)|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<open>[{\[])|(?P<close>[}\]])
      | "(?P<string>(?:[^"\\]|\\.)*)"|(?P<word>[^\s,:{}\[\]"]+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_SETTING = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][\w.-]*)[ \t]*(?:\?|:|\+)?[=:]"
    r"[ \t]*(?P<value>[^\n]*)$",
    re.MULTILINE,
)
_SECTION = re.compile(r"^[ \t]*\[([^\]\n]+)\]", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{(?:(?!\{\{|\}\}).){0,2000}\}\}", re.DOTALL)
_LINE = re.compile(r"^([ ]*)(- +)?(?:([\w./-]+|\"[^\"\n]*\") *:(?: +|$))?(.*)$")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value; ``place`` is of the value, or of its key where the value has none of its own."""

    path: tuple[str, ...]
    value: str
    place: Place

    @property
    def key(self) -> str:
        """The nearest key: of an item of a list, that of the list."""
        return next((part for part in reversed(self.path) if not part.isdigit()), "")


def json_leaves(source: Source) -> Iterator[Leaf]:
    """The strings of a JSON document, by a reader that knows comments and commas at the end."""
    path: list[str] = []
    kinds: list[str] = []
    key: str | None = None
    count = 0
    for token in _tokens(source):
        kind = token.lastgroup
        if kind == "open":
            if len(kinds) >= DEEPEST:
                raise Unreadable("it is nested too deeply")
            if kinds:
                path.append(_step(kinds, key, count))
                count += kinds[-1] == "["
            key = None
            kinds.append(token["open"])
            path.append(str(count))
            count = 0
        elif kind == "close":
            if not kinds or {"{": "}", "[": "]"}[kinds.pop()] != token["close"]:
                raise Unreadable("it is not JSON: its brackets do not match")
            count = int(path.pop())
            if kinds:
                path.pop()
            key = None
        elif kinds and kinds[-1] == "{" and kind == "string" and key is None:
            key = _plain(token["string"])
            yield Leaf((*_keys(path), key), "", source.place(token.start()))
        else:
            if kind == "string" and kinds:
                where = (*_keys(path), _step(kinds, key, count))
                yield Leaf(where, _plain(token["string"]), source.place(token.start()))
            if kinds and kinds[-1] == "[":
                count += 1
            key = None
    if kinds:
        raise Unreadable("it is not JSON: it ends too early")


def _tokens(source: Source) -> Iterator[re.Match[str]]:
    at = 0
    text = source.text
    for _ in range(MOST_LEAVES):
        if at >= len(text):
            return
        token = _JSON.match(text, at)
        if token is None:
            line = source.place(at)[0]
            raise Unreadable(f"it is not JSON: line {line}")
        at = token.end()
        if token.lastgroup not in ("space", "comment"):
            yield token
    raise Unreadable(f"it has more than {MOST_LEAVES} values")


def _step(kinds: list[str], key: str | None, count: int) -> str:
    return (key or "") if kinds[-1] == "{" else str(count)


def _keys(path: list[str]) -> tuple[str, ...]:
    """Every other part: those between are the counts of open lists."""
    return tuple(path[1::2])


def _plain(text: str) -> str:
    if "\\" not in text:
        return text
    return _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPES.get(found[2], found[2]), text
    )


def yaml_leaves(source: Source) -> Iterator[Leaf]:
    """The scalars of YAML documents; of a template, or of what is none, those of its lines."""
    text = source.text
    try:
        leaves = list(_events(text))
    except (yaml.YAMLError, ValueError):
        leaves = list(_lines(_TEMPLATE.sub(lambda one: re.sub(r"[^\n]", " ", one[0]), text)))
    yield from leaves


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come; ``key`` is the one whose value is next."""

    mapping: bool
    path: tuple[str, ...]
    count: int = 0
    key: str | None = None

    def step(self) -> tuple[str, ...]:
        """The path of what comes next, which is no key."""
        if self.mapping:
            name, self.key = self.key or "", None
        else:
            name, self.count = str(self.count), self.count + 1
        return (*self.path, name)


def _events(text: str) -> Iterator[Leaf]:
    """Leaves by the parser's events: it keeps no tree, and calls nothing for itself."""
    stack: list[_Open] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(stack) > DEEPEST:
                raise Unreadable("it is nested too deeply")
            path = stack[-1].step() if stack else ()
            stack.append(_Open(isinstance(event, yaml.MappingStartEvent), path))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            stack.pop()
        elif isinstance(event, yaml.AliasEvent) and stack:
            # What an alias stands for was seen where it is written.
            stack[-1].step()
        elif isinstance(event, yaml.ScalarEvent):
            mark = event.start_mark
            place = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
            value = str(event.value)
            top = stack[-1] if stack else None
            if top is not None and top.mapping and top.key is None:
                top.key = value
                yield Leaf((*top.path, value), "", place)
            else:
                yield Leaf(top.step() if top is not None else (), value, place)


def _lines(text: str) -> Iterator[Leaf]:
    """Lines of what looks like YAML: each key with those above it by their indentation."""
    above: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"(?:^|\s)#.*$", "", line).rstrip()
        found = _LINE.match(bare)
        if found is None or not bare.strip():
            continue
        indent = len(found[1]) + len(found[2] or "")
        while above and above[-1][0] >= indent:
            above.pop()
        path = tuple(name for _, name in above)
        place = (number, indent + 1)
        if found[3]:
            name = found[3].strip('"')
            yield Leaf((*path, name), "", place)
            path = (*path, name)
            above.append((indent, name))
        if found[4]:
            yield Leaf(path, found[4].strip().strip("'\""), place)


def toml_leaves(source: Source) -> Iterator[Leaf]:
    """The strings of a TOML document. Places are those of the first such value after the last."""
    data = toml_data(source)
    at = 0
    stack: list[tuple[object, tuple[str, ...]]] = [(data, ())]
    while stack:
        value, path = stack.pop()
        if isinstance(value, dict):
            for key, inner in reversed(list(value.items())):
                stack.append((inner, (*path, key)))
                stack.append((None, (*path, key)))
        elif isinstance(value, list):
            stack += [(one, (*path, str(i))) for i, one in reversed(list(enumerate(value)))]
        elif isinstance(value, str) or value is None:
            words = value or (path[-1] if path else "")
            found = source.text.find(words, at)
            # Where it is written otherwise, the place is that of what came before.
            at = found if value and found >= 0 else at
            yield Leaf(path, value or "", source.place(found if found >= 0 else at))


def toml_data(source: Source) -> dict[str, object]:
    """A parsed TOML document. Raises ``Unreadable``."""
    try:
        return tomllib.loads(source.text)
    except tomllib.TOMLDecodeError:
        raise Unreadable("it is not valid TOML") from None
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None


def setting_leaves(source: Source) -> Iterator[Leaf]:
    """Lines of ``KEY=value`` or ``key: value``, in sections or not."""
    sections = deque((one.start(), one[1]) for one in _SECTION.finditer(source.text))
    section = ""
    for found in _SETTING.finditer(source.text):
        while sections and sections[0][0] < found.start():
            section = sections.popleft()[1]
        path = (section, found["key"]) if section else (found["key"],)
        place = source.place(found.start("key"))
        yield Leaf(path, "", place)
        value = found["value"].strip()
        quoted = re.match(r"""(["'])(.*?)\1""", value)
        bare = quoted[2] if quoted else re.sub(r"\s[#;].*$", "", value).rstrip(" \\")
        yield Leaf(path, bare, place)
