"""Python by its syntax tree: what is imported, which clients are made, what models and addresses
they are given. Nothing is imported or run.

Theory of operation. The imports are read first, wherever they stand. Then the tree is walked in the
order of the text, without recursion, carrying the name that a value is bound to and the vendor that
is asked there; a variable that a client was given to keeps its vendor for what is called on it.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.readiness.scan.notes import NOBODY, OURS, Notes, is_ours
from gateway.readiness.scan.python_tree import (
    children,
    first_of,
    host_in,
    is_value,
    joined,
    keyword_of,
    name_of,
    place,
    statements,
    text_of,
)
from gateway.readiness.scan.shell import command, is_command
from gateway.readiness.scan.source import Source, Unreadable
from gateway.readiness.scan.within import Within
from gateway.vendors.signals.table import Sign

ADDRESSES = frozenset(
    {
        "base_url",
        "api_base",
        "azure_endpoint",
        "endpoint",
        "endpoint_url",
        "openai_api_base",
        "anthropic_api_url",
        "server_url",
        "host",
        "url",
        "baseURL",
        "baseUrl",
    }
)
"""Under what names a client is told where to ask."""
_BEDROCK = Sign("amazon", "unknown")
_WEIGHTS = frozenset(
    {"from_pretrained", "snapshot_download", "SentenceTransformer", "CrossEncoder"}
)
_LOCAL_MODULES = frozenset(
    {"ollama", "vllm", "llama_cpp", "mlx_lm", "transformers", "ctransformers"}
)
_SPOKEN = frozenset(
    {
        ast.Expr,
        ast.Constant,
        ast.JoinedStr,
        ast.Call,
        ast.Assign,
        ast.AnnAssign,
        ast.NamedExpr,
        ast.withitem,
        ast.Dict,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.Lambda,
        ast.Compare,
        ast.Assert,
        ast.Raise,
        ast.List,
        ast.Tuple,
        ast.Set,
        ast.BinOp,
        ast.BoolOp,
        ast.IfExp,
    }
)
"""What says something; of all else only the parts do."""
_LOADERS = frozenset({"__import__", "importlib.import_module", "import_module"})


def read_python(source: Source, notes: Notes) -> None:
    """A file of Python 3. Raises ``Unreadable`` where it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source.text)
        except SyntaxError as error:
            raise Unreadable(f"line {error.lineno or 0} is not Python 3") from None
        except RecursionError:
            raise Unreadable("it is nested too deeply") from None
        except (MemoryError, ValueError):
            raise Unreadable("it cannot be parsed as Python 3") from None
    _Module(notes).read(tree)


@dataclass(slots=True)
class _Module:
    notes: Notes
    names: dict[str, str] = field(default_factory=dict)
    """What a local name stands for, as a path of modules."""
    vendors: dict[str, Sign] = field(default_factory=dict)
    """Who is asked by what is called on a variable."""

    def read(self, tree: ast.AST) -> None:
        for node in statements(tree):
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node)
        stack: list[tuple[ast.AST, Within]] = [(tree, Within())]
        while stack:
            node, within = stack.pop()
            if type(node) in _SPOKEN:
                found = list(self._visit(node, within))
            else:
                plain = within if within.plain else Within(sign=within.sign)
                found = children(node, plain)
            found.reverse()
            stack += found

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.notes.module("python", alias.name, place(node))
            if alias.asname:
                self.names[alias.asname] = alias.name
            else:
                root = alias.name.partition(".")[0]
                self.names[root] = root

    def _import_from(self, node: ast.ImportFrom) -> None:
        if node.level or not node.module:
            return
        for alias in node.names:
            path = f"{node.module}.{alias.name}"
            self.notes.module("python", path, place(node))
            self.names[alias.asname or alias.name] = path

    def _visit(self, node: ast.AST, within: Within) -> Iterator[tuple[ast.AST, Within]]:
        """Note what one of ``_SPOKEN`` says, and yield what is to be looked at in it."""
        match node:
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Constant(value=str() as value):
                self._string(value, node, within)
            case ast.JoinedStr():
                self._string(joined(node), node, within)
                yield from ((part, Within()) for part in node.values if is_value(part))
            case ast.Call():
                yield from self._call(node, within)
            case ast.Assign(targets=[target, *_], value=value):
                yield value, self._bound(name_of(target), value)
            case ast.AnnAssign(target=target, value=value):
                name = name_of(target)
                self.notes.variable(name, place(node))
                if value is not None:
                    yield value, self._bound(name, value)
            case ast.NamedExpr(target=target, value=value):
                yield value, self._bound(name_of(target), value)
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                yield value, self._bound(name, value)
            case ast.Dict():
                yield from self._dict(node, within)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from self._defaults(node.args)
                yield from children(node, Within(), skip=frozenset({ast.arguments}))
            case ast.Compare() | ast.Assert() | ast.Raise():
                # What is compared with is data; what is raised is said to people.
                yield from children(node, Within("message"))
            case ast.List() | ast.Tuple() | ast.Set() | ast.BinOp() | ast.BoolOp() | ast.IfExp():
                yield from children(node, within)
            case ast.Expr() | ast.withitem():
                yield from children(node, Within(sign=within.sign))

    def _string(self, value: str, node: ast.AST, within: Within) -> None:
        at = place(node)
        if is_command(value):
            command(value, at[0], self.notes)
        else:
            self.notes.string(value, within.called, at, within.sign)

    def _bound(self, name: str, value: ast.AST) -> Within:
        sign = self._asked(value)
        if sign is not None:
            self.vendors[name] = sign
        return Within(name)

    def _dict(self, node: ast.Dict, within: Within) -> Iterator[tuple[ast.AST, Within]]:
        outer = within.outer or within.name
        for key, value in zip(node.keys, node.values, strict=True):
            name = ""
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                name = key.value
                self.notes.variable(name, place(key))
            yield value, Within(name or within.name, outer, within.sign)

    def _defaults(self, arguments: ast.arguments) -> Iterator[tuple[ast.AST, Within]]:
        named = [*arguments.posonlyargs, *arguments.args]
        defaulted = named[len(named) - len(arguments.defaults) :]
        pairs = [
            *zip(defaulted, arguments.defaults, strict=True),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]
        for argument, default in pairs:
            if default is not None:
                yield default, Within(argument.arg)

    def _call(self, node: ast.Call, within: Within) -> Iterator[tuple[ast.AST, Within]]:
        path = self._path(node.func)
        first = first_of(node)
        if path in _LOADERS and first:
            self.notes.module("python", first, place(node))
            return
        sign = self._client(node, path)
        if sign is not None:
            if sign is not OURS:
                name = path.rpartition(".")[2]
                self.notes.client(sign, name, place(node), sure=_addressed(node))
            if first and not first.startswith("http"):
                self.notes.model(first, place(node.args[0]), sign)
        asked = sign or self._asked(node.func) or self._weights(node, path) or within.sign
        yield node.func, Within(sign=asked)
        flag = first if first.startswith("--") else ""
        for argument in node.args[1:] if sign is not None and first else node.args:
            yield argument, Within(self._positional(path, within), sign=asked)
        for keyword in node.keywords:
            name = keyword.arg or ""
            self.notes.variable(name, place(keyword))
            told = flag if flag and name == "default" else name
            yield keyword.value, Within(told or within.name, "", asked)

    def _positional(self, path: str, within: Within) -> str:
        """What a positional argument is bound to: what loads weights is given a model."""
        last = path.rpartition(".")[2]
        if last in _WEIGHTS:
            return "model"
        return (
            within.name if last in ("Field", "getenv", "get", "environ", "SecretStr", "str") else ""
        )

    def _client(self, node: ast.Call, path: str) -> Sign | None:
        """Who is asked by what this call makes; ``OURS`` for a server of one's own."""
        first = first_of(node) or keyword_of(node, "service_name")
        if path.rpartition(".")[2] in ("client", "resource") and first.startswith("bedrock"):
            return _BEDROCK
        found = self.notes.signals.module("python", path) if path else None
        if found is None or not found[1]:
            return None
        row, rest = found
        parts = [part for part in rest.split(".") if part[:1].isupper()] or rest.split(".")
        sign = self.notes.signals.client(parts[-1] if len(parts) == 1 else parts[0], row)
        if sign is None and len(parts) > 1:
            sign = self.notes.signals.client(parts[-1], row)
        return None if sign is None else self._redirected(node, sign)

    def _redirected(self, node: ast.Call, sign: Sign) -> Sign:
        """Whom a client asks that is told an address."""
        for keyword in node.keywords:
            if keyword.arg in ADDRESSES:
                text = text_of(keyword.value)
                if text and is_ours(text):
                    return OURS
                if "://" in text:
                    return self.notes.signals.host(host_in(text)) or NOBODY
        return sign

    def _weights(self, node: ast.Call, path: str) -> Sign | None:
        """``OURS`` where a call loads weights or asks a server on this machine."""
        last, root = path.rpartition(".")[2], path.partition(".")[0]
        if last in _WEIGHTS or root in _LOCAL_MODULES:
            return OURS
        return None

    def _asked(self, node: ast.AST) -> Sign | None:
        """Who is asked by what stands before a call, or is assigned."""
        while True:
            match node:
                case ast.Await(value=inner) | ast.Attribute(value=inner):
                    known = self.vendors.get(name_of(node))
                    if known is not None:
                        return known
                    node = inner
                case ast.Call():
                    sign = self._client(node, self._path(node.func))
                    if sign is not None:
                        return sign
                    node = node.func
                case ast.Name(id=name):
                    return self.vendors.get(name)
                case _:
                    return None

    def _path(self, node: ast.AST) -> str:
        """A callee as a path of modules, or empty where it is none."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute | ast.Call):
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            elif parts and parts[-1] in ("client", "resource"):
                node = node.func
            else:
                return ""
        if not isinstance(node, ast.Name):
            return ""
        parts.append(self.names.get(node.id, f" {node.id}"))
        return ".".join(reversed(parts))


def _addressed(node: ast.Call) -> bool:
    """Whether a call shows all that it is given of an address."""
    return all(
        one.arg is not None and (one.arg not in ADDRESSES or text_of(one.value) != "")
        for one in node.keywords
    )
