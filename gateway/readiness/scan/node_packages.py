"""Manifests and lock files of npm, Yarn and pnpm."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.source import Source, Unreadable
from gateway.readiness.scan.tables import json_data, table, text
from gateway.readiness.scan.ways import note_all, tops

_KINDS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_HEADER = re.compile(
    r'^(?P<names>(?:"[^"\n]+"|[^\s"#][^\n:,]*?)(?:, (?:"[^"\n]+"|[^\s"][^\n:,]*?))*):[ \t]*$'
)
_NEEDED = re.compile(r'^    "?(@?[^"\s@:]+)"?[: ]')
_SECTION = re.compile(r"^  (\w+):")
_PNPM_PACKAGE = re.compile(r"^  ['\"]?/?(@?[^@'\"\s(]+)[@/][^\n]*:")
_PNPM_NEEDED = re.compile(r"^      ['\"]?(@?[^'\":\s]+)['\"]?:")
_PNPM_DIRECT = re.compile(r"^ {4,6}['\"]?(@?[^'\":\s]+)['\"]?:(?: \S.*)?$")


def read_package_json(source: Source, notes: Notes) -> None:
    data = table(json_data(source))
    for kind in (*_KINDS, "resolutions", "overrides"):
        for name in table(data.get(kind)):
            if notes.signals.package("npm", name) is not None:
                notes.package("npm", name, _quoted(source, name, f'"{kind}"'))
    _scripts(table(data.get("scripts")), source, notes)


def _scripts(scripts: Mapping[str, object], source: Source, notes: Notes) -> None:
    from_registry = re.compile(r"\b(?:npx|bunx|pnpm dlx)\s+(?:-\S+\s+)*(@?[\w./-]+)")
    for line in scripts.values():
        for name in from_registry.findall(text(line)):
            notes.package("npm", name, source.find(name))


def read_package_lock(source: Source, notes: Notes) -> None:
    """``package-lock.json`` and ``npm-shrinkwrap.json``, of all versions."""
    data = table(json_data(source))
    edges: dict[str, list[str]] = {}
    direct: list[str] = []
    packages = table(data.get("packages"))
    for path, row in packages.items():
        name = path.rpartition("node_modules/")[2]
        needed = [one for kind in _KINDS for one in table(table(row).get(kind))]
        if "node_modules/" in path:
            edges.setdefault(name, []).extend(needed)
        else:
            direct += needed
    if not packages:
        direct = _older(table(data.get("dependencies")), edges)
    note_all("npm", edges, direct, lambda name: _locked(source, name), notes)


def _older(dependencies: Mapping[str, object], edges: dict[str, list[str]]) -> list[str]:
    waiting = [dependencies]
    while waiting:
        for name, row in waiting.pop().items():
            edges.setdefault(name, []).extend(table(table(row).get("requires")))
            waiting.append(table(table(row).get("dependencies")))
    return tops(edges)


def _locked(source: Source, name: str) -> tuple[int, int]:
    found = source.find(f'node_modules/{name}"')
    return found if found[0] else source.find(f'"{name}"')


def _quoted(source: Source, name: str, section: str) -> tuple[int, int]:
    start = max(source.text.find(section), 0)
    return source.find(f'"{name}"', start)


def read_yarn_lock(source: Source, notes: Notes) -> None:
    """Both forms of ``yarn.lock``; a workspace's own dependencies are direct."""
    edges: dict[str, list[str]] = {}
    places: dict[str, tuple[int, int]] = {}
    own: list[str] = []
    name, section = "", ""
    for number, line in source.lines():
        header = _HEADER.match(line)
        if header is not None:
            first = header["names"].partition(",")[0].strip().strip('"')
            name = first[: first.find("@", 1)] if "@" in first[1:] else first
            edges.setdefault(name, [])
            places.setdefault(name, (number, 1))
            if "@workspace:" in first:
                own.append(name)
            continue
        part = _SECTION.match(line)
        if part is not None:
            section = part[1]
        needed = _NEEDED.match(line)
        if needed is not None and section in ("dependencies", "optionalDependencies"):
            edges.setdefault(name, []).append(needed[1])
    direct = [one for each in own for one in edges[each]] if own else tops(edges)
    note_all("npm", edges, direct, lambda one: places.get(one, (0, 0)), notes)


def read_pnpm_lock(source: Source, notes: Notes) -> None:
    """``pnpm-lock.yaml``, line by line: what importers name is direct."""
    edges: dict[str, list[str]] = {}
    places: dict[str, tuple[int, int]] = {}
    direct: list[str] = []
    top = kind = name = ""
    for number, line in source.lines():
        if line[:1].strip():
            top = line.partition(":")[0]
        if top in ("importers", *_KINDS):
            kind, found = _imported(line, top, kind)
            direct += found
            continue
        package = _PNPM_PACKAGE.match(line) if top in ("packages", "snapshots") else None
        if package is not None:
            name = package[1]
            edges.setdefault(name, [])
            places.setdefault(name, (number, 3))
        elif re.match(r"^    \w", line):
            kind = line.strip().partition(":")[0]
        needed = _PNPM_NEEDED.match(line)
        if needed is not None and kind in ("dependencies", "optionalDependencies") and name:
            edges.setdefault(name, []).append(needed[1])
    if not edges and not direct:
        raise Unreadable("it is no lock file of pnpm")
    note_all("npm", edges, direct or tops(edges), lambda one: places.get(one, (0, 0)), notes)


def _imported(line: str, top: str, kind: str) -> tuple[str, Iterator[str]]:
    """The kind of dependencies that a line of importers is in, and the package that it names."""
    word = line.strip().strip(":")
    if top in _KINDS:
        found = re.match(r"^  ['\"]?(@?[^'\":\s]+)['\"]?:", line)
        return top, iter([found[1]] if found else [])
    if word in _KINDS:
        return word, iter(())
    found = _PNPM_DIRECT.match(line)
    if found is None or found[1] in ("specifier", "version") or kind not in _KINDS:
        return kind, iter(())
    return kind, iter([found[1]])
