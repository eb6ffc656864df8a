"""Nodes of a Python syntax tree: their parts, names and strings, without recursion."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeVar

from gateway.readiness.scan.notes import Place

W = TypeVar("W")
_LEAVES = frozenset(
    {ast.Import, ast.ImportFrom, ast.Name, ast.Load, ast.Store, ast.Del, ast.Pass, ast.alias}
    | set(ast.operator.__subclasses__())
    | set(ast.unaryop.__subclasses__())
    | set(ast.cmpop.__subclasses__())
    | set(ast.boolop.__subclasses__())
)
"""What has nothing to say by itself."""
_TYPES = frozenset({"annotation", "returns"})
"""Where types stand, which ask nobody."""


def place(node: ast.AST) -> Place:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements, however deep, and nothing of what they consist of."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, name, None)
            if isinstance(inner, list):
                stack.extend(reversed(inner))


def children(
    node: ast.AST, within: W, skip: frozenset[type[ast.AST]] = frozenset()
) -> list[tuple[ast.AST, W]]:
    """What a node consists of, without what has nothing to say; the hottest loop of a scan."""
    found: list[tuple[ast.AST, W]] = []
    passed = _LEAVES | skip if skip else _LEAVES
    for name in node._fields:
        value = getattr(node, name, None)
        if type(value) is list:
            for child in value:
                if isinstance(child, ast.AST) and type(child) not in passed:
                    found.append((child, within))
        elif isinstance(value, ast.AST) and type(value) not in passed and name not in _TYPES:
            found.append((value, within))
    return found


def name_of(node: ast.AST) -> str:
    """The last word of what is assigned to."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            return name
        case _:
            return ""


def is_value(node: ast.AST) -> bool:
    return isinstance(node, ast.FormattedValue)


def joined(node: ast.JoinedStr) -> str:
    """An f-string with a letter for what is put in."""
    return "".join(
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "x"
        for part in node.values
    )


def text_of(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return joined(node) if isinstance(node, ast.JoinedStr) else ""


def host_in(text: str) -> str:
    return text.partition("://")[2].split("/", 1)[0].partition(":")[0] or text


def first_of(node: ast.Call) -> str:
    return text_of(node.args[0]) if node.args else ""


def keyword_of(node: ast.Call, name: str) -> str:
    return next((text_of(one.value) for one in node.keywords if one.arg == name), "")
