"""SBOMs: CycloneDX and SPDX, both as JSON."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.source import Source
from gateway.readiness.scan.tables import items, json_data, rows, table, text
from gateway.readiness.scan.ways import ways

_PURL = re.compile(r"pkg:([a-z]+)/([^@?#]+)")
_REGISTRIES = {
    "pypi": "pypi",
    "npm": "npm",
    "golang": "go",
    "maven": "maven",
    "nuget": "nuget",
    "cargo": "crates",
    "gem": "gems",
    "composer": "composer",
    "githubactions": "actions",
}


def is_sbom(text_: str) -> bool:
    """Whether a JSON document is one, by what it must have."""
    head = text_[:20_000]
    return '"bomFormat"' in head or '"spdxVersion"' in head


def read_sbom(source: Source, notes: Notes) -> None:
    data = table(json_data(source))
    if "bomFormat" in data:
        _cyclonedx(data, source, notes)
    else:
        _spdx(data, source, notes)


def _cyclonedx(data: Mapping[str, object], source: Source, notes: Notes) -> None:
    edges = {
        text(row.get("ref")): [text(one) for one in items(row.get("dependsOn"))]
        for row in rows(data.get("dependencies"))
    }
    root = text(table(table(data.get("metadata")).get("component")).get("bom-ref"))
    direct = edges.get(root, [])
    found = ways(edges, direct)
    names: dict[str, str] = {}
    components = list(_components(data))
    for row in components:
        names[text(row.get("bom-ref"))] = text(row.get("name"))
    for row in components:
        name, ref = text(row.get("name")), text(row.get("bom-ref"))
        if text(row.get("type")) == "machine-learning-model":
            notes.model(name, source.find(f'"{name}"'), None)
        way = tuple(names.get(one, one) for one in found.get(ref, ()))
        _purl(text(row.get("purl")), way, bool(direct) and ref not in direct, source, notes)
    for row in rows(data.get("services")):
        for endpoint in items(row.get("endpoints")):
            notes.url(text(endpoint), source.find(text(endpoint)))


def _components(data: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    waiting = deque(rows(data.get("components")))
    while waiting:
        row = waiting.popleft()
        yield row
        waiting.extend(rows(row.get("components")))


def _spdx(data: Mapping[str, object], source: Source, notes: Notes) -> None:
    edges: dict[str, list[str]] = {}
    roots = [text(one) for one in items(data.get("documentDescribes"))]
    for row in rows(data.get("relationships")):
        one, other = text(row.get("spdxElementId")), text(row.get("relatedSpdxElement"))
        kind = text(row.get("relationshipType"))
        if kind == "DEPENDS_ON":
            edges.setdefault(one, []).append(other)
        elif kind in ("DEPENDENCY_OF", "RUNTIME_DEPENDENCY_OF"):
            edges.setdefault(other, []).append(one)
        elif kind == "DESCRIBES":
            roots.append(other)
    direct = [one for root in roots for one in edges.get(root, ())]
    found = ways(edges, direct)
    packages = list(rows(data.get("packages")))
    names = {text(row.get("SPDXID")): text(row.get("name")) for row in packages}
    for row in packages:
        id = text(row.get("SPDXID"))
        way = tuple(names.get(one, one) for one in found.get(id, ()))
        for reference in rows(row.get("externalRefs")):
            if text(reference.get("referenceType")) == "purl":
                locator = text(reference.get("referenceLocator"))
                _purl(locator, way, bool(direct) and id not in direct, source, notes)


def _purl(purl: str, way: tuple[str, ...], transitive: bool, source: Source, notes: Notes) -> None:
    found = _PURL.match(purl)
    registry = _REGISTRIES.get(found[1]) if found is not None else None
    if found is None or registry is None:
        return
    name = unquote(found[2])
    if registry == "maven":
        name = name.replace("/", ":", 1)
    if notes.signals.package(registry, name) is None:
        return
    via = way if len(way) > 1 else ()
    notes.package(registry, name, source.find(purl), via=via, transitive=transitive)
