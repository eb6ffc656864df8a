"""Manifests and lock files of Python's packages."""

from __future__ import annotations

import ast
import configparser
import re
import warnings
from collections.abc import Iterable, Iterator

from gateway.readiness.scan.documents import toml_data, yaml_leaves
from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.requirements import requirement
from gateway.readiness.scan.source import Source, Unreadable
from gateway.readiness.scan.tables import items, json_data, rows, table, text
from gateway.readiness.scan.ways import note_all, tops

_DASHES = re.compile(r"[-_.]+")


def read_pyproject(source: Source, notes: Notes) -> None:
    """Dependencies of a project by PEP 621, by groups, by Poetry, PDM and uv."""
    data = toml_data(source)
    project, tool = table(data.get("project")), table(data.get("tool"))
    wanted = [text(one) for one in items(project.get("dependencies"))]
    for group in (
        *table(project.get("optional-dependencies")).values(),
        *table(data.get("dependency-groups")).values(),
        *table(table(tool.get("pdm")).get("dev-dependencies")).values(),
        table(data.get("build-system")).get("requires"),
        table(tool.get("uv")).get("dev-dependencies"),
    ):
        wanted += [text(one) for one in items(group)]
    _note(wanted, source, notes)
    poetry = table(tool.get("poetry"))
    groups = [poetry, *map(table, table(poetry.get("group")).values())]
    for group in groups:
        for key in ("dependencies", "dev-dependencies"):
            _note(table(group.get(key)), source, notes)


def read_pipfile(source: Source, notes: Notes) -> None:
    data = toml_data(source)
    for name, section in data.items():
        if name not in ("source", "requires", "scripts", "pipenv"):
            _note(table(section), source, notes)


def read_pipfile_lock(source: Source, notes: Notes) -> None:
    data = table(json_data(source))
    for name, section in data.items():
        if name != "_meta":
            _note(table(section), source, notes)


def read_lock(source: Source, notes: Notes) -> None:
    """``poetry.lock``, ``uv.lock``, ``pdm.lock``, ``pylock.toml``."""
    data = toml_data(source)
    edges: dict[str, list[str]] = {}
    own: list[str] = []
    for row in rows(data.get("package") or data.get("packages")):
        name = _normal(text(row.get("name")))
        needed = edges.setdefault(name, [])
        needed += map(_normal, _needed(row.get("dependencies")))
        for group in (
            *table(row.get("optional-dependencies")).values(),
            *table(row.get("dev-dependencies")).values(),
        ):
            needed += map(_normal, _needed(group))
        if {"editable", "virtual"} & set(table(row.get("source"))):
            own.append(name)
    direct = [one for name in own for one in edges[name]] if own else tops(edges)
    note_all("pypi", edges, direct, lambda name: _row(source, name), notes)


def _needed(value: object) -> Iterator[str]:
    """Names of dependencies: a table by name, a list of tables or of requirements."""
    yield from table(value)
    for one in items(value):
        if isinstance(one, str):
            yield from requirement(one)
        else:
            yield text(table(one).get("name"))


def read_setup_cfg(source: Source, notes: Notes) -> None:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(source.text)
    except configparser.Error:
        raise Unreadable("it is no file of settings") from None
    wanted: list[str] = []
    if parser.has_section("options"):
        for key in ("install_requires", "setup_requires", "tests_require"):
            wanted += parser.get("options", key, fallback="").splitlines()
    if parser.has_section("options.extras_require"):
        for _, lines in parser.items("options.extras_require"):
            wanted += lines.splitlines()
    _note(wanted, source, notes)


def read_setup_py(source: Source, notes: Notes) -> None:
    """The requirements that a ``setup.py`` writes out; it is not run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source.text)
        except (SyntaxError, RecursionError, MemoryError, ValueError):
            raise Unreadable("it cannot be parsed as Python 3") from None
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        for keyword in call.keywords:
            if keyword.arg in ("install_requires", "extras_require", "setup_requires"):
                for one in ast.walk(keyword.value):
                    if isinstance(one, ast.Constant) and isinstance(one.value, str):
                        for name in requirement(one.value):
                            notes.package("pypi", name, (one.lineno, one.col_offset + 1))


def read_environment(source: Source, notes: Notes) -> None:
    """An environment of conda, with what pip adds."""
    for leaf in yaml_leaves(source):
        if "dependencies" in leaf.path and leaf.value:
            for name in requirement(leaf.value.rpartition("::")[2]):
                notes.package("pypi", name, leaf.place)


def _note(wanted: Iterable[str], source: Source, notes: Notes) -> None:
    for line in wanted:
        for name in requirement(line):
            if notes.signals.package("pypi", name) is not None:
                notes.package("pypi", name, _named(source, name))


def _named(source: Source, name: str) -> tuple[int, int]:
    """Where a requirement stands: as a word by itself, in quotes or at the beginning of a line."""
    found = re.search(rf"(?m)(?:^[ \t]*|[\"'])({re.escape(name)})(?![\w.-])", source.text)
    return source.place(found.start(1)) if found else source.find(name)


def _row(source: Source, name: str) -> tuple[int, int]:
    pattern = re.escape(name).replace(r"\-", "[-_.]")
    found = re.search(rf'(?mi)^name = "({pattern})"', source.text)
    return source.place(found.start(1)) if found else (0, 0)


def _normal(name: str) -> str:
    return _DASHES.sub("-", name).lower()
