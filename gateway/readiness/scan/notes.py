"""What is noted while one file is read: names that the tables of signals know, with their places.

Readers take a file apart and say what they see; who that is, is looked up here. What a value says
beyond a name that is known is not kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urlsplit

from gateway.domain.identity import SELF, UNKNOWN
from gateway.readiness.scan.finding import Confidence, Signal
from gateway.vendors.signals.table import Package, Sign, Signals, words

Place: TypeAlias = tuple[int, int]
"""Line and column, from 1."""

OURS = Sign(SELF, UNKNOWN)
NOBODY = Sign(UNKNOWN, UNKNOWN)
_LOCAL = re.compile(
    r"localhost|\[?::1\]?|0\.0\.0\.0|127\.\d+\.\d+\.\d+|10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+"
    r"|172\.(?:1[6-9]|2\d|3[01])\.\d+\.\d+|host\.docker\.internal|[\w-]+"
    r"|(?:[\w-]+\.)+(?:local|internal|lan|svc|cluster\.local)"
)
_HOST = re.compile(r"(?:[A-Za-z0-9_-]+\.)+[A-Za-z]{2,}")
_BARE = re.compile(r"((?:[A-Za-z0-9_*-]+\.)+[A-Za-z]{2,})(?::\d+)?(?:/\S*)?")
_SERVED = re.compile(r"/(?:publishers/([\w-]+)/)?models?/([\w.:@%-]+)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{2,79}")
_SETTING = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_ASSIGNED = re.compile(r"(?:--?)?([A-Za-z][A-Za-z0-9_.-]*)=(\S.*)", re.DOTALL)
_REFERRED = re.compile(
    r"(?:\$\{?|\$\(|secrets\.|vars\.|env[:.]|environ/)([A-Za-z][A-Za-z0-9_]{3,79})"
)
_PROSE = frozenset(
    {"description", "title", "summary", "comment", "comments", "help", "about", "label", "alias"}
)


@dataclass(frozen=True, slots=True)
class Note:
    """``sign`` is ``None`` for a model whose channel is still to be told by the rest of the file;
    ``named`` says that the place calls it a model; ``sure`` that something beside it tells whom it
    is asked of.
    """

    signal: Signal
    value: str
    place: Place
    sign: Sign | None
    confidence: Confidence = Confidence.HIGH
    registry: str = ""
    via: tuple[str, ...] = ()
    transitive: bool = False
    count: int = 1
    named: bool = True
    sure: bool = False


@dataclass(slots=True)
class Notes:
    """``path`` as reports show it; ``unread`` are reasons why a part of it was not understood."""

    signals: Signals
    path: str
    taken: list[Note] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def package(
        self,
        registry: str,
        name: str,
        place: Place,
        *,
        via: tuple[str, ...] = (),
        transitive: bool = False,
    ) -> None:
        """A package of a registry, as a manifest or a lock file names it."""
        row = self.signals.package(registry, name)
        if row is not None:
            self._package(row, registry, name, place, via=via, transitive=transitive)

    def module(self, language: str, path: str, place: Place) -> tuple[Package, str] | None:
        """What code imports; the row that it is known by and what follows its name."""
        found = self.signals.module(language, path)
        if found is None:
            return None
        root = re.split(r"\W", path, maxsplit=1)[0]
        if found[0].sign != NOBODY or root not in self.path.split("/"):
            # What a library imports of itself is no use of it.
            known = path.removesuffix(found[1]).rstrip("./\\:") if found[1] else path
            self._package(found[0], language, known, place)
        return found

    def _package(
        self,
        row: Package,
        registry: str,
        name: str,
        place: Place,
        *,
        via: tuple[str, ...] = (),
        transitive: bool = False,
    ) -> None:
        note = Note(
            Signal.PACKAGE,
            name,
            place,
            row.sign,
            registry=registry,
            via=via,
            transitive=transitive,
        )
        self.taken.append(note)

    def client(self, sign: Sign, name: str, place: Place, *, sure: bool = True) -> None:
        """Code that asks a vendor; not ``sure`` where its address is set elsewhere."""
        confidence = Confidence.HIGH if sure else Confidence.MEDIUM
        self.taken.append(Note(Signal.CLIENT, name, place, sign, confidence))

    def host(self, name: str, place: Place, *, web: bool = False, count: int = 1) -> Sign | None:
        sign = self.signals.host(name, web=web)
        if sign is not None:
            self.taken.append(Note(Signal.HOST, name.lower().rstrip("."), place, sign, count=count))
        return sign

    def url(self, text: str, place: Place) -> Sign | None:
        """A URL or a host with or without a port and path; who answers there, if it is known."""
        host = host_of(text)
        if host is None:
            return None
        sign = self.host(host, place)
        served = _SERVED.search(text.partition("://")[2] or text)
        if sign is not None and served:
            publisher, model = served.groups()
            name = model.partition(":generateContent")[0].partition(":streamGenerate")[0]
            self.model(f"{publisher}/{name}" if publisher else name, place, sign)
        return sign

    def variable(self, name: str, place: Place) -> Sign | None:
        """The name of a setting."""
        sign = self.signals.variable(name) if _NAME.fullmatch(name) else None
        if sign is not None:
            exact = name.isupper()
            confidence = Confidence.HIGH if exact else Confidence.MEDIUM
            self.taken.append(Note(Signal.VARIABLE, name, place, sign, confidence))
        return sign

    def image(self, reference: str, place: Place) -> None:
        sign = self.signals.image(reference.strip())
        if sign is not None:
            name = reference.strip().partition("@")[0]
            self.taken.append(Note(Signal.IMAGE, name, place, sign))

    def model(
        self, id: str, place: Place, sign: Sign | None, *, named: bool = True, sure: bool = False
    ) -> None:
        """A model's id, as far as can be told; whose it is, is settled when all was read."""
        if 1 < len(id) <= 200:
            note = Note(Signal.MODEL, id, place, sign, named=named, sure=sure)
            self.taken.append(note)

    def tool(self, sign: Sign, name: str) -> None:
        self.taken.append(Note(Signal.TOOL, name, (0, 0), sign, Confidence.MEDIUM))

    def string(self, value: str, name: str, place: Place, sign: Sign | None = None) -> None:
        """A string of code or of a configuration, bound to ``name``; ``sign`` is who is asked
        there, where that is known. A sentence for people says nothing.
        """
        value = value.strip()
        if not value or len(value) > 4096:
            return
        found = self.signals.key(value)
        if found is not None:
            self.taken.append(Note(Signal.KEY, f"{found[0]}…", place, found[1]))
            return
        called = words(name)
        if called and called[-1].lower() in _PROSE:
            return
        for referred in _REFERRED.findall(value):
            self.variable(referred, place)
        if any(map(str.isspace, value)):
            return
        assigned = _ASSIGNED.fullmatch(value)
        if assigned and "://" not in assigned[1]:
            self.variable(assigned[1], place)
            self.string(assigned[2], assigned[1], place, sign)
            return
        if _SETTING.fullmatch(value) and self.variable(value, place) is not None:
            return
        for part in re.split(r"[,;|]", value):
            self._one(part.strip("'\"()[]"), called, place, sign)

    def _one(self, value: str, called: tuple[str, ...], place: Place, sign: Sign | None) -> None:
        address = "://" in value
        if (address or "." in value) and (self.url(value, place) is not None or address):
            return
        if value and not value.startswith(("/", ".", "-", "$", "{")):
            self.model(value, place, sign, named=is_model(called), sure=sign is not None)


def is_model(called: tuple[str, ...]) -> bool:
    """Whether a name, cut into words, is one of those under which models stand."""
    if not called:
        return False
    if "MODEL" in called or "MODELS" in called:
        return True
    return called[-1] in ("DEPLOYMENT", "ENGINE", "LLM") or called[-2:] == ("DEPLOYMENT", "NAME")


def host_of(text: str) -> str | None:
    """The host of a URL, or of what stands for one without a scheme."""
    text = text.strip()
    if "://" in text:
        scheme, _, rest = text.partition("://")
        if not scheme.isalnum() and not scheme.replace("+", "").isalnum():
            return None
        host = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0].rpartition("@")[2]
        host = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return host if _HOST.fullmatch(host) else None
    bare = _BARE.fullmatch(text)
    return bare[1] if bare else None


def is_ours(text: str) -> bool:
    """Whether an address is of this machine or of a network of one's own."""
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname
    except ValueError:
        return False
    return host is not None and _LOCAL.fullmatch(host) is not None
