"""What tells a vendor in files and logs, by exact names: the tables beside this file, indexed.

Nothing here guesses: a name is looked up whole, or segment by segment where it is a path of
segments, never as a part of a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.domain.identity import SELF, UNKNOWN
from gateway.vendors.catalog import Catalog
from gateway.vendors.grammar import tokens

REGISTRIES = (
    "pypi",
    "npm",
    "go",
    "maven",
    "nuget",
    "crates",
    "gems",
    "composer",
    "actions",
    "terraform",
)
_SEPARATORS = {
    "python": ".",
    "java": ".",
    "dotnet": ".",
    "go": "/",
    "php": "\\",
    "ruby": "\0",
    "rust": "::",
}
_DASHES = re.compile(r"[-_.]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SHORT = 3
MOST_KNOWN = 1 << 15
"""Names that are remembered: those of arguments and variables come again and again."""
_SEPARATED = re.compile(r"[_.-]")
_KEY = re.compile(r"[A-Za-z0-9_-]{16,}")


@dataclass(frozen=True, slots=True)
class Sign:
    """Who is meant: ``channel`` receives prompts (``self``: weights that run here), ``developer``
    made what answers, ``unknown`` where the name does not say it.
    """

    channel: str
    developer: str


@dataclass(frozen=True, slots=True)
class Package:
    """A row of packages that mean the same; ``clients`` end with ``*`` where any ending fits."""

    sign: Sign
    clients: tuple[str, ...]

    def makes(self, name: str) -> bool:
        """Whether something of this name asks the vendor."""
        return any(
            name.startswith(one[:-1]) if one.endswith("*") else name == one for one in self.clients
        )


@lru_cache(MOST_KNOWN)
def words(name: str) -> tuple[str, ...]:
    """The words of a setting's name, in upper case: of ``openaiApiKey`` as of ``OPENAI_KEY``."""
    if not name.isupper():
        name = _CAMEL.sub("_", name.replace("OpenAI", "Openai"))
    return tuple(filter(None, re.split(r"[^A-Z0-9]+", name.upper())))


class Signals:
    """All tables, indexed once."""

    def __init__(
        self,
        packages: Mapping[str, Any],
        hosts: Mapping[str, Any],
        names: Mapping[str, Any],
        catalog: Catalog,
    ) -> None:
        """From the parsed files. Raises ``ValueError`` that names a vendor without a row."""
        self._catalog = catalog
        self.version = max(str(one["version"]) for one in (packages, hosts, names))
        self.weak = frozenset(str(word) for word in names["weak"])
        self.tools = frozenset(tuple(tokens(str(name))) for name in names["tools"])
        self._common = frozenset(str(word) for word in names["common"])
        self._told: dict[str, Sign | None] = {}
        self.routes: dict[str, str] = {k: self._vendor(v) for k, v in names["routes"].items()}
        self._index_packages(packages)
        self._index_hosts(hosts)
        self._index_names(names)

    def package(self, registry: str, name: str) -> Package | None:
        """The row of a package of a registry; Maven's as ``group:artifact``."""
        if registry == "go":
            found = self.module("go", name)
            return found[0] if found else None
        table = self._packages[registry]
        name = normal(registry, name)
        exact = table.get(name)
        if exact is not None or registry not in ("maven", "terraform"):
            return exact
        return next((row for lead, row in self._leads[registry] if name.startswith(lead)), None)

    def module(self, language: str, path: str) -> tuple[Package, str] | None:
        """The row of the longest known beginning of a path in code, and what follows it."""
        table, separator = self._modules[language], _SEPARATORS[language]
        parts = path.split(separator)
        for end in range(len(parts), 0, -1):
            row = table.get(separator.join(parts[:end]))
            if row is not None:
                return row, separator.join(parts[end:])
        return None

    def client(self, name: str, own: Package) -> Sign | None:
        """Who is asked by what ``name`` makes, where it comes from the package ``own``."""
        if own.makes(name):
            return own.sign
        sign = self._clients.get(name)
        if sign is not None:
            return sign
        return next((one for lead, one in self._client_leads if name.startswith(lead)), None)

    def host(self, name: str, *, web: bool = False) -> Sign | None:
        """Who answers at a host; ``web`` counts what people use in a browser too."""
        name = name.lower().rstrip(".")
        for table in (self._hosts, self._web) if web else (self._hosts,):
            sign = table.get(name)
            if sign is not None:
                return sign
        for pattern, sign, only_web in self._host_patterns:
            if (web or not only_web) and pattern.fullmatch(name):
                return sign
        return None

    def variable(self, name: str) -> Sign | None:
        """Who is meant by the name of a setting; the longest of the sequences in it decides. Words
        that are only told by their capitals must end with it: others are names of types.
        """
        if name not in self._told:
            if len(self._told) >= MOST_KNOWN:
                self._told.clear()
            self._told[name] = self._variable(name)
        return self._told[name]

    def _variable(self, name: str) -> Sign | None:
        found = words(name)
        glued = not name.isupper() and _SEPARATED.search(name) is None
        best: tuple[int, Sign] | None = None
        for start in range(len(found)):
            for end in range(len(found), start, -1):
                if best is not None and end - start <= best[0]:
                    break
                sign = self._variables.get(found[start:end])
                if sign is not None and not (glued and end < len(found)):
                    best = end - start, sign
                    break
        return best[1] if best else None

    def key(self, value: str) -> tuple[str, Sign] | None:
        """The beginning that a vendor's own keys have, and whose it is. What follows it is a
        secret.
        """
        for lead, sign in self._keys:
            if value.startswith(lead) and _KEY.fullmatch(value[len(lead) :]):
                return lead, sign
        return None

    def image(self, reference: str) -> Sign | None:
        """Who is meant by a container image."""
        repository = reference.partition("@")[0]
        lead, slash, last = repository.rpartition("/")
        repository = lead + slash + last.partition(":")[0]
        repository = repository.removeprefix("docker.io/")
        for name, sign in self._images:
            if name.endswith("*") and repository.startswith(name[:-1]):
                return sign
            if repository == name:
                return sign
        return None

    def file(self, path: str) -> Sign | None:
        """Who is meant by a tool's own file, told by the end of its path."""
        for name, sign in self._files:
            if path == name or path.endswith("/" + name):
                return sign
        for name, sign in self._folders:
            if path.startswith(name + "/") or f"/{name}/" in path:
                return sign
        return None

    @property
    def mentions(self) -> frozenset[str]:
        """Words in lower case of which a file has at least one if it has anything that is known
        here: for passing over the others without parsing them.
        """
        return self._mentions

    def _vendor(self, id: str) -> str:
        if id not in (SELF, UNKNOWN) and self._catalog.vendor(id) is None:
            raise ValueError(f"the signals name a vendor without a row in the catalog: {id}")
        return id

    def _sign(self, row: Mapping[str, Any]) -> Sign:
        return Sign(self._vendor(row["channel"]), self._vendor(row["developer"]))

    def _index_packages(self, data: Mapping[str, Any]) -> None:
        generic = frozenset(data["generic"])
        self._packages: dict[str, dict[str, Package]] = {name: {} for name in REGISTRIES}
        self._modules: dict[str, dict[str, Package]] = {name: {} for name in _SEPARATORS}
        self._leads: dict[str, list[tuple[str, Package]]] = {"maven": [], "terraform": []}
        self._clients: dict[str, Sign] = {}
        self._client_leads: list[tuple[str, Sign]] = []
        spoken: set[str] = set()
        for row in data["package"]:
            package = Package(self._sign(row), tuple(row.get("clients", ())))
            for registry in REGISTRIES:
                for name in row.get(registry, ()):
                    spoken.add(name)
                    if name.endswith("*"):
                        self._leads[registry].append((name[:-1], package))
                    else:
                        self._packages[registry][normal(registry, name)] = package
            self._index_modules(row, package, spoken)
            for name in set(package.clients) - generic:
                if name.endswith("*"):
                    self._client_leads.append((name[:-1], package.sign))
                else:
                    self._clients.setdefault(name, package.sign)
        # The longest beginning decides.
        for leads in self._leads.values():
            leads.sort(key=lambda one: -len(one[0]))
        self._client_leads.sort(key=lambda one: -len(one[0]))
        self._spoken = spoken

    def _index_modules(self, row: Mapping[str, Any], package: Package, spoken: set[str]) -> None:
        for language in _SEPARATORS:
            for name in row.get(language, ()):
                self._modules[language][name] = package
                spoken.add(name)
        if package.sign.channel == SELF:
            return
        for name in row.get("pypi", ()):
            self._modules["python"].setdefault(_DASHES.sub("_", name), package)
        for name in row.get("crates", ()):
            self._modules["rust"].setdefault(name.replace("-", "_"), package)
        for name in row.get("gems", ()):
            self._modules["ruby"].setdefault(name, package)

    def _index_hosts(self, data: Mapping[str, Any]) -> None:
        self._hosts: dict[str, Sign] = {}
        self._web: dict[str, Sign] = {}
        self._host_patterns: list[tuple[re.Pattern[str], Sign, bool]] = []
        self._host_words: set[str] = set()
        for row in data["host"]:
            sign = self._sign(row)
            for web in (False, True):
                for name in row.get("web" if web else "names", ()):
                    if not web:
                        self._host_words.add(name)
                    if "*" in name:
                        self._host_patterns.append((_pattern(name), sign, web))
                    else:
                        (self._web if web else self._hosts)[name] = sign

    def _index_names(self, data: Mapping[str, Any]) -> None:
        endings = [words(one) for one in data["endings"]]
        self._variables: dict[tuple[str, ...], Sign] = {}
        self._keys: list[tuple[str, Sign]] = []
        self._images: list[tuple[str, Sign]] = []
        self._files: list[tuple[str, Sign]] = []
        self._folders: list[tuple[str, Sign]] = []
        leads: set[str] = set()
        for row in data["name"]:
            sign = self._sign(row)
            for prefix in row.get("prefixes", ()):
                leads.add(prefix)
                for ending in endings:
                    self._variables[(*words(prefix), *ending)] = sign
            for name in row.get("variables", ()):
                leads.add(name)
                self._variables[words(name)] = sign
            for table, word in (
                (self._keys, "keys"),
                (self._images, "images"),
                (self._files, "files"),
                (self._folders, "folders"),
            ):
                table += [(name, sign) for name in row.get(word, ())]
        self._keys.sort(key=lambda one: -len(one[0]))
        self._mentions = frozenset(self._gathered(leads))

    def _gathered(self, leads: Iterable[str]) -> Iterator[str]:
        """One distinct word of every name that is known."""
        vendors = {word for id in self._catalog.ids for word in self._called(id)} - self._common
        for name in (*self._spoken, *self._host_words, *self.routes):
            yield from self._distinct(name, vendors)
        for lead in map(str.lower, leads):
            if any(part not in self._common and len(part) > _SHORT for part in lead.split("_")):
                yield from self._distinct(lead, vendors)
            else:
                yield from (lead + after for after in ("_", "-", "api"))
                yield from (lead, lead.replace("_", "-")) if "_" in lead else ()
        for name, _ in self._images:
            yield from self._distinct(name, vendors)
        for lead, _ in self._keys:
            yield lead.lower()
        for family in self._catalog.families:
            first, *others = family.tokens
            if len(first) > _SHORT and first not in self._common and first not in self.weak:
                yield first
            elif others:
                yield from (f"{first}-{others[0]}", f"{first}_{others[0]}")
            else:
                yield f"{first}-"

    def _distinct(self, name: str, vendors: Collection[str]) -> Iterator[str]:
        """A word of a name that is not common elsewhere, a vendor's name if there is one; where
        there is none, the name as it is imported, installed or quoted.
        """
        name = name.lower().strip("*.")
        parts: Sequence[str] = re.split(r"[^a-z0-9]+", name)
        rare = [part for part in parts if part not in self._common and len(part) > _SHORT]
        if rare:
            yield max(rare, key=lambda part: (part in vendors, len(part)))
        elif len(parts) > 1:
            yield max(name.split("*"), key=len)
        else:
            yield from (f'"{name}"', f"'{name}'", f'"{name}/', f"'{name}/")
            yield from (f"{word} {name}" for word in ("import", "from", "install", "add", "npx"))

    def _called(self, id: str) -> tuple[str, ...]:
        row = self._catalog.vendor(id)
        return (id,) if row is None else (id, *row.aliases)


def normal(registry: str, name: str) -> str:
    """A package's name as its registry compares it."""
    if registry == "pypi":
        return _DASHES.sub("-", name).lower()
    return name.lower() if registry in ("nuget", "composer", "actions") else name


def _pattern(name: str) -> re.Pattern[str]:
    if name.startswith("*."):
        return re.compile(r"(?:[a-z0-9_-]+\.)+" + _inside(name[2:]))
    return re.compile(_inside(name))


def _inside(name: str) -> str:
    return re.escape(name).replace(r"\*", "[a-z0-9_-]+")
