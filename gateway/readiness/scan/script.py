"""JavaScript and TypeScript by their syntax trees, which tree-sitter makes (the extra ``scan``).

The one file that knows tree-sitter. The walk is that of ``python_code``: names, vendors, strings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import tree_sitter_javascript
import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from gateway.readiness.scan.notes import NOBODY, OURS, Notes, Place, is_ours
from gateway.readiness.scan.python_code import ADDRESSES
from gateway.readiness.scan.shell import command, is_command
from gateway.readiness.scan.source import Source
from gateway.readiness.scan.within import Within
from gateway.vendors.signals.table import Package, Sign

_TYPED = {".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx"}
_STRINGS = frozenset({"string", "template_string"})
_SILENT = frozenset({"comment", "regex", "jsx_text", "html_comment", "literal_type"})
_ENVIRONMENTS = frozenset({"process.env", "import.meta.env", "Deno.env", "Bun.env", "env"})
_EXPRESSIONS = frozenset(
    {
        "array",
        "parenthesized_expression",
        "ternary_expression",
        "as_expression",
        "binary_expression",
        "satisfies_expression",
        "jsx_expression",
    }
)


@cache
def _parser(language: str) -> Parser:
    made = {
        "javascript": tree_sitter_javascript.language,
        "typescript": tree_sitter_typescript.language_typescript,
        "tsx": tree_sitter_typescript.language_tsx,
    }
    return Parser(Language(made[language]()))


def read_script(source: Source, notes: Notes) -> None:
    """A file of JavaScript, TypeScript or their JSX forms. What cannot be parsed of it is passed
    over, and told.
    """
    ending = source.path[source.path.rfind(".") :].lower()
    text = source.text.encode("utf-8", "replace")
    root = _parser(_TYPED.get(ending, "javascript")).parse(text).root_node
    if root.has_error:
        notes.unread.append("a part of it is not valid: what stands there may be missed")
    _Script(notes, text).read(root)


@dataclass(slots=True)
class _Script:
    notes: Notes
    text: bytes
    packages: dict[str, tuple[Package, str]] = field(default_factory=dict)
    """The row of the package that a local name comes from, and its name there."""
    vendors: dict[str, Sign] = field(default_factory=dict)

    def read(self, root: Node) -> None:
        stack: list[tuple[Node, Within]] = [(root, Within())]
        while stack:
            node, within = stack.pop()
            stack.extend(reversed(list(self._visit(node, within))))

    def _visit(self, node: Node, within: Within) -> Iterator[tuple[Node, Within]]:
        kind = node.type
        if kind in _SILENT:
            return
        if kind in _STRINGS:
            self._string(node, within)
            put_in = [one for one in node.named_children if one.type == "template_substitution"]
            yield from ((one, Within(sign=within.sign)) for one in put_in)
            return
        match kind:
            case "import_statement" | "export_statement" if node.child_by_field_name("source"):
                self._import(node)
            case "expression_statement" if node.named_child(0) and _of(node).type == "string":
                return
            case "call_expression" | "new_expression":
                yield from self._call(node, within)
            case "variable_declarator" | "assignment_expression" | "public_field_definition":
                yield from self._bound(node)
            case "pair":
                yield from self._pair(node, within)
            case "jsx_attribute":
                name = self._raw(_of(node))
                if name not in ("href", "className", "title", "alt", "id", "key"):
                    yield from ((one, Within(name)) for one in node.named_children[1:])
            case "member_expression":
                self._environment(node)
                yield from ((one, Within(sign=within.sign)) for one in node.named_children)
            case "assignment_pattern" | "required_parameter":
                yield from self._default(node)
            case _:
                inner = within if kind in _EXPRESSIONS else Within(sign=within.sign)
                if kind == "object":
                    inner = Within(within.name, within.outer or within.name, within.sign)
                yield from ((one, inner) for one in node.named_children)

    def _string(self, node: Node, within: Within) -> None:
        value = self._value(node)
        at = _place(node)
        if is_command(value):
            command(value, at[0], self.notes)
        else:
            self.notes.string(value, within.called, at, within.sign)

    def _import(self, node: Node) -> None:
        source = node.child_by_field_name("source")
        if source is None:
            return
        row = self._package(self._value(source), _place(node))
        if row is None:
            return
        for clause in node.named_children:
            if clause.type == "import_clause":
                self._names(clause, row)

    def _names(self, clause: Node, row: Package) -> None:
        for one in clause.named_children:
            if one.type == "identifier":
                self.packages[self._raw(one)] = row, self._raw(one)
            elif one.type == "namespace_import":
                self.packages[self._raw(_of(one))] = row, "*"
            elif one.type == "named_imports":
                for name in one.named_children:
                    own = name.child_by_field_name("name")
                    local = name.child_by_field_name("alias") or own
                    if own is not None and local is not None:
                        self.packages[self._raw(local)] = row, self._raw(own)

    def _package(self, specifier: str, at: Place) -> Package | None:
        """Note the package of an import, and give its row."""
        if specifier.startswith((".", "/", "#", "node:")):
            return None
        name = package_of(specifier)
        self.notes.package("npm", name, at)
        return self.notes.signals.package("npm", name)

    def _call(self, node: Node, within: Within) -> Iterator[tuple[Node, Within]]:
        callee = node.child_by_field_name("function") or node.child_by_field_name("constructor")
        arguments = node.child_by_field_name("arguments")
        given = arguments.named_children if arguments is not None else []
        if callee is None:
            return
        path = self._raw(callee) if callee.type in ("identifier", "import") else ""
        first = self._value(given[0]) if given and given[0].type in _STRINGS else ""
        if path in ("require", "import") and first:
            row = self._package(first, _place(node))
            if row is not None:
                self._destructured(node, row)
            return
        sign = self._client(callee, given)
        asked = sign or self._asked(callee) or within.sign
        if sign is not None and sign is not OURS:
            self.notes.client(sign, self._raw(callee).rpartition(".")[2], _place(node))
        known = sign or (self.vendors.get(path) if path else None)
        if known is not None and first and "://" not in first:
            self.notes.model(first, _place(given[0]), known, sure=True)
            given = given[1:]
        yield callee, Within(sign=asked)
        for argument in given:
            yield argument, Within("", within.name, asked)

    def _destructured(self, node: Node, row: Package) -> None:
        """The names that ``const {A, B: C} = require(...)`` or ``await import(...)`` gives."""
        declared = node.parent
        if declared is not None and declared.type == "await_expression":
            declared = declared.parent
        if declared is None or declared.type != "variable_declarator":
            return
        target = declared.child_by_field_name("name")
        if target is None:
            return
        if target.type == "identifier":
            self.packages[self._raw(target)] = row, self._raw(target)
        for one in target.named_children if target.type == "object_pattern" else ():
            key = one.child_by_field_name("key") or one
            local = one.child_by_field_name("value") or one
            self.packages[self._raw(local)] = row, self._raw(key)

    def _client(self, callee: Node, given: list[Node]) -> Sign | None:
        """Who is asked by what is called or made; ``OURS`` for a server of one's own."""
        if callee.type == "identifier":
            found = self.packages.get(self._raw(callee))
        elif callee.type == "member_expression":
            base = callee.child_by_field_name("object")
            found = self.packages.get(self._raw(base)) if base is not None else None
            last = callee.child_by_field_name("property")
            if found is not None and last is not None:
                found = found[0], self._raw(last)
        else:
            return None
        if found is None:
            return None
        row, name = found
        sign = self.notes.signals.client(name, row)
        if sign is None and callee.type == "identifier" and name[:1].isupper():
            # A default export has the name that whoever imports it chose.
            sign = row.sign if row.makes(name.removesuffix("SDK")) else None
        return None if sign is None else self._redirected(sign, given)

    def _redirected(self, sign: Sign, given: list[Node]) -> Sign:
        for one in (pair for argument in given for pair in argument.named_children):
            if one.type != "pair":
                continue
            key, value = one.child_by_field_name("key"), one.child_by_field_name("value")
            if key is None or value is None or self._raw(key).strip("'\"") not in ADDRESSES:
                continue
            text = self._value(value) if value.type in _STRINGS else ""
            if text and is_ours(text):
                return OURS
            host = text.partition("://")[2].split("/", 1)[0].partition(":")[0]
            if host:
                return self.notes.signals.host(host) or NOBODY
        return sign

    def _asked(self, node: Node) -> Sign | None:
        """Who is asked by what stands before a call, or is assigned."""
        at: Node | None = node
        while at is not None:
            if at.type == "identifier":
                return self.vendors.get(self._raw(at))
            if at.type in ("call_expression", "new_expression"):
                callee = at.child_by_field_name("function") or at.child_by_field_name("constructor")
                arguments = at.child_by_field_name("arguments")
                given = arguments.named_children if arguments is not None else []
                sign = self._client(callee, given) if callee is not None else None
                if sign is not None:
                    return sign
                at = callee
            elif at.type in ("member_expression", "await_expression"):
                if at.type == "member_expression" and self._raw(at) in self.vendors:
                    return self.vendors[self._raw(at)]
                at = at.child_by_field_name("object") or at.named_child(0)
            else:
                return None
        return None

    def _bound(self, node: Node) -> Iterator[tuple[Node, Within]]:
        target = node.child_by_field_name("name") or node.child_by_field_name("left")
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if target is None or value is None:
            return
        name = self._raw(target)
        sign = self._asked(value)
        if sign is not None:
            self.vendors[name] = sign
        yield value, Within(name.rpartition(".")[2])

    def _default(self, node: Node) -> Iterator[tuple[Node, Within]]:
        target = node.child_by_field_name("left") or node.child_by_field_name("pattern")
        value = node.child_by_field_name("right") or node.child_by_field_name("value")
        if target is not None and value is not None:
            yield value, Within(self._raw(target))

    def _pair(self, node: Node, within: Within) -> Iterator[tuple[Node, Within]]:
        key, value = node.child_by_field_name("key"), node.child_by_field_name("value")
        if key is None or value is None:
            return
        name = self._raw(key).strip("'\"`")
        if name.isupper():
            self.notes.variable(name, _place(key))
        yield value, Within(name, within.outer or within.name, within.sign)

    def _environment(self, node: Node) -> None:
        base, last = node.child_by_field_name("object"), node.child_by_field_name("property")
        if base is not None and last is not None and self._raw(base) in _ENVIRONMENTS:
            self.notes.variable(self._raw(last), _place(node))

    def _raw(self, node: Node) -> str:
        return self.text[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def _value(self, node: Node) -> str:
        """What a string says, with a letter for what is put into a template."""
        parts = []
        for one in node.named_children:
            parts.append("x" if one.type == "template_substitution" else self._raw(one))
        return "".join(parts)


def package_of(specifier: str) -> str:
    """The package of what is imported: without the path inside it."""
    parts = specifier.split("/")
    return "/".join(parts[:2]) if specifier.startswith("@") else parts[0]


def _of(node: Node) -> Node:
    child = node.named_child(0)
    return node if child is None else child


def _place(node: Node) -> Place:
    return node.start_point[0] + 1, node.start_point[1] + 1
