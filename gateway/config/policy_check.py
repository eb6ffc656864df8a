"""What a policy file's schema cannot say: known vendors, and ids that are given once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gateway.config.documents import Document, Steps
from gateway.config.policy_schema import PolicyFile
from gateway.config.schema import Finding, nearest
from gateway.config.settings import vendor_findings
from gateway.domain.identity import SELF, UNKNOWN
from gateway.errors import Problem
from gateway.vendors.catalog import Catalog
from gateway.vendors.designations import Designation

_SPECIAL = (SELF, UNKNOWN)


def vendor_words(data: Any, catalog: Catalog) -> Iterator[Finding]:
    """Every vendor id of one file's plain data that the catalog does not know."""
    vendors = data.get("vendors") if isinstance(data, dict) else None
    for word in vendors if isinstance(vendors, dict) else ():
        for finding in vendor_findings(("vendors", word), word, catalog, also=_SPECIAL):
            yield Finding(finding.path, finding.message, finding.hint, key=True)
    for index, rule in _entries(data, "rules"):
        match = rule.get("match")
        words = match.get("vendor") if isinstance(match, dict) else None
        for number, word in enumerate(words if isinstance(words, list) else ()):
            path: Steps = ("rules", index, "match", "vendor", number)
            yield from vendor_findings(path, word, catalog, also=_SPECIAL)
    for index, waiver in _entries(data, "waivers"):
        path = ("waivers", index, "vendor")
        yield from vendor_findings(path, waiver.get("vendor"), catalog, also=_SPECIAL)


def _entries(data: Any, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    entries = data.get(key) if isinstance(data, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield index, entry


def duplicates(documents: Iterable[Document]) -> Iterator[Problem]:
    """Ids and settings that are given twice, over all files; each problem names both places."""
    seen: dict[tuple[str, str], str] = {}
    settings: dict[str, tuple[Any, str]] = {}
    for document in documents:
        yield from _disagreements(document, settings)
        for kind, word, path, key in _names(document.data):
            mark = document.mark(path, key=key)
            here = f"{document.file}:{mark.line}"
            first = seen.setdefault((kind, word), here)
            if first != here:
                message = f"{kind} {word!r} is given a second time: first at {first}"
                yield document.problem(path, message, key=key)


def _disagreements(document: Document, settings: dict[str, tuple[Any, str]]) -> Iterator[Problem]:
    data = document.data if isinstance(document.data, dict) else {}
    for key in ("mode", "default", "in_flight", "max_waiver_days"):
        if key not in data:
            continue
        here = f"{document.file}:{document.mark((key,), key=True).line}"
        value, first = settings.setdefault(key, (data[key], here))
        if value != data[key]:
            yield document.problem((key,), f"{key!r} is {value!r} at {first}: files must agree")


def _names(data: Any) -> Iterator[tuple[str, str, Steps, bool]]:
    """Kind, word, path and whether the path's key is meant."""
    if not isinstance(data, dict):
        return
    vendors = data.get("vendors")
    for word in vendors if isinstance(vendors, dict) else ():
        yield "the rule id", word, ("vendors", word), True
    for section, kind in (("rules", "the rule id"), ("waivers", "the waiver id")):
        for index, entry in _entries(data, section):
            if isinstance(entry.get("id"), str):
                yield kind, entry["id"], (section, index, "id"), False
    for index, entry in _entries(data, "tests"):
        if isinstance(entry.get("name"), str):
            yield "the test name", entry["name"], ("tests", index, "name"), False


def designations(
    files: Sequence[tuple[Document, PolicyFile]], facts: Iterable[Designation]
) -> Iterator[Problem]:
    """Ids of designations that a rule names and no file of designations has."""
    known = {fact.id for fact in facts}
    for document, file in files:
        for index, rule in enumerate(file.rules):
            match = rule.match.designation
            for number, word in enumerate((match.id if match else None) or ()):
                if word not in known:
                    path: Steps = ("rules", index, "match", "designation", "id", number)
                    message = f"there is no designation {word!r}"
                    yield document.problem(path, message, nearest(word, known))
