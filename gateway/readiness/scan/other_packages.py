"""Manifests and lock files of Go, Maven, Gradle, Cargo, NuGet, RubyGems and Composer."""

from __future__ import annotations

import re

from gateway.readiness.scan.code import taken_apart
from gateway.readiness.scan.documents import toml_data
from gateway.readiness.scan.languages import LANGUAGES
from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.source import Source
from gateway.readiness.scan.tables import items, json_data, rows, table, text
from gateway.readiness.scan.ways import note_all, tops

_GO_LINE = re.compile(
    r"^[ \t]*(?:require[ \t]+)?([\w.~-]+\.[a-z]+/\S+)[ \t]+v\S+([ \t]*//[ \t]*indirect)?"
)
_XML_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_MAVEN = re.compile(
    r"<groupId>\s*([^<\s]+)\s*</groupId>\s*<artifactId>\s*([^<\s]+)\s*</artifactId>"
)
_ASKED = ("<dependency>", "<plugin>", "<parent>", "<extension>", "<path>")
"""Before a group and an artifact that are asked for, and not excluded or one's own."""
_GRADLE = re.compile(r"""["']([A-Za-z0-9_.-]+):([A-Za-z0-9_.-]+)(?::[^"'\n]*)?["']""")
_GRADLE_MAP = re.compile(
    r"""group\s*[:=]\s*["']([\w.-]+)["']\s*,\s*name\s*[:=]\s*["']([\w.-]+)["']"""
)
_GRADLE_LOCK = re.compile(r"^([\w.-]+):([\w.-]+):[^=\n]+=", re.MULTILINE)
_NUGET = re.compile(
    r"<(?:PackageReference|PackageVersion|package)\s+[^>]{0,400}?(?:Include|Update|id)=\"([^\"]+)\""
)
_GEM = re.compile(
    r"""^[ \t]*(?:gem|\w+\.add(?:_runtime|_development)?_dependency)[ \t(]+["']([\w-]+)["']""", re.M
)
_SPEC = re.compile(r"^    ([\w.-]+)(?: \(.*\))?!?$")
_SPEC_NEEDED = re.compile(r"^      ([\w.-]+)")
_GEM_DIRECT = re.compile(r"^  ([\w.-]+)(?: \(.*\))?!?$")


def read_go_mod(source: Source, notes: Notes) -> None:
    for number, line in source.lines():
        found = _GO_LINE.match(line)
        if found is not None:
            notes.package("go", found[1], (number, 1), transitive=found[2] is not None)


def read_go_sum(source: Source, notes: Notes) -> None:
    """Sums of all that was looked at: what is needed, and by what, ``go.mod`` says."""
    seen: set[str] = set()
    for number, line in source.lines():
        module = line.partition(" ")[0]
        if module not in seen:
            seen.add(module)
            notes.package("go", module, (number, 1), transitive=True)


def read_pom(source: Source, notes: Notes) -> None:
    text_ = _XML_COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source.text)
    for found in _MAVEN.finditer(text_):
        before = text_[max(0, found.start() - 80) : found.start()].rstrip()
        if before.endswith(_ASKED):
            notes.package("maven", f"{found[1]}:{found[2]}", source.place(found.start(1)))


def read_gradle(source: Source, notes: Notes) -> None:
    code, _ = taken_apart(LANGUAGES[".groovy"], source.text)
    for pattern in (_GRADLE, _GRADLE_MAP):
        for found in pattern.finditer(code):
            notes.package("maven", f"{found[1]}:{found[2]}", source.place(found.start(1)))


def read_gradle_lock(source: Source, notes: Notes) -> None:
    for found in _GRADLE_LOCK.finditer(source.text):
        notes.package("maven", f"{found[1]}:{found[2]}", source.place(found.start()))


def read_version_catalog(source: Source, notes: Notes) -> None:
    """``libs.versions.toml`` of Gradle."""
    for value in table(toml_data(source).get("libraries")).values():
        row = table(value)
        module = text(row.get("module")) or text(value).rpartition(":")[0]
        module = module or f"{text(row.get('group'))}:{text(row.get('name'))}"
        notes.package("maven", module, source.find(module.partition(":")[2]))


def read_cargo_toml(source: Source, notes: Notes) -> None:
    data = toml_data(source)
    workspace = table(data.get("workspace"))
    targets = [table(one) for one in table(data.get("target")).values()]
    for section in (data, workspace, *targets):
        for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
            for name, row in table(section.get(kind)).items():
                package = text(table(row).get("package")) or name
                found = re.search(rf"(?m)^[ \t]*({re.escape(name)})\b", source.text)
                place = source.place(found.start(1)) if found else (0, 0)
                notes.package("crates", package, place)


def read_cargo_lock(source: Source, notes: Notes) -> None:
    """What is of no registry is of the workspace itself: what that needs is direct."""
    edges: dict[str, list[str]] = {}
    own: list[str] = []
    for row in rows(toml_data(source).get("package")):
        name = text(row.get("name"))
        needed = [text(one).partition(" ")[0] for one in items(row.get("dependencies"))]
        edges.setdefault(name, []).extend(needed)
        if "source" not in row and needed:
            own.append(name)
    direct = [one for name in own for one in edges[name]] if own else tops(edges)
    note_all("crates", edges, direct, lambda name: source.find(f'name = "{name}"'), notes)


def read_nuget_project(source: Source, notes: Notes) -> None:
    """``*.csproj`` and its like, ``Directory.Packages.props``, ``packages.config``."""
    text_ = _XML_COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source.text)
    for found in _NUGET.finditer(text_):
        notes.package("nuget", found[1], source.place(found.start(1)))


def read_nuget_lock(source: Source, notes: Notes) -> None:
    edges: dict[str, list[str]] = {}
    direct: list[str] = []
    for framework in table(table(json_data(source)).get("dependencies")).values():
        for name, row in table(framework).items():
            edges.setdefault(name, []).extend(table(table(row).get("dependencies")))
            if text(table(row).get("type")) in ("Direct", "Project"):
                direct.append(name)
    note_all("nuget", edges, direct, lambda name: source.find(f'"{name}"'), notes)


def read_gemfile(source: Source, notes: Notes) -> None:
    code, _ = taken_apart(LANGUAGES[".rb"], source.text)
    for found in _GEM.finditer(code):
        notes.package("gems", found[1], source.place(found.start(1)))


def read_gemfile_lock(source: Source, notes: Notes) -> None:
    edges: dict[str, list[str]] = {}
    places: dict[str, tuple[int, int]] = {}
    direct: list[str] = []
    section = name = ""
    for number, line in source.lines():
        if line[:1].strip():
            section = line.strip()
        spec, needed = _SPEC.match(line), _SPEC_NEEDED.match(line)
        asked = _GEM_DIRECT.match(line) if section == "DEPENDENCIES" else None
        if asked is not None:
            direct.append(asked[1])
        elif spec is not None:
            name = spec[1]
            edges.setdefault(name, [])
            places.setdefault(name, (number, 5))
        elif needed is not None and name:
            edges[name].append(needed[1])
    note_all("gems", edges, direct or tops(edges), lambda one: places.get(one, (0, 0)), notes)


def read_composer(source: Source, notes: Notes) -> None:
    data = table(json_data(source))
    for kind in ("require", "require-dev"):
        for name in table(data.get(kind)):
            notes.package("composer", name, source.find(f'"{name}"'))


def read_composer_lock(source: Source, notes: Notes) -> None:
    data = table(json_data(source))
    edges: dict[str, list[str]] = {}
    for kind in ("packages", "packages-dev"):
        for row in rows(data.get(kind)):
            edges[text(row.get("name"))] = list(table(row.get("require")))
    note_all("composer", edges, tops(edges), lambda name: source.find(f'"name": "{name}"'), notes)
