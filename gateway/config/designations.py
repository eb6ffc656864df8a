"""The designations folder → facts that rules can refer to, or every mistake in it at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Any

from gateway.config.designation_schema import DesignationFile, DesignationSection
from gateway.config.documents import Document, Steps, parse_document
from gateway.config.schema import Finding, validate
from gateway.config.settings import vendor_findings
from gateway.config.sources import read_folder
from gateway.errors import DocumentError, Problem
from gateway.vendors.catalog import Catalog
from gateway.vendors.designations import Designation, Status, StatusChange

_DATED = {"announced": "announced", "in_force": "effective"}
"""The key with the date of a status; every other status needs a history."""


def load_designations(folder: Path, catalog: Catalog) -> tuple[Designation, ...]:
    """All designations of a folder, sorted by id; none where there is no such folder.

    Raises DocumentError with every problem of every file. Sub-folders are not read: what an import
    proposes lies in one, until a person moves it up.
    """
    return load_designation_files(folder, read_folder(folder, optional=True), catalog)


def load_designation_files(
    folder: Path, files: Mapping[str, bytes], catalog: Catalog
) -> tuple[Designation, ...]:
    """The same over bytes that were read already; ``folder`` is only for the messages."""
    problems: list[Problem] = []
    documents: list[Document] = []
    found: list[Designation] = []
    for name in sorted(files):
        try:
            document = parse_document(files[name], str(folder / name))
            documents.append(document)
            written = validate(document, DesignationFile, lambda data: _vendors(data, catalog))
        except DocumentError as error:
            problems += error.problems
            continue
        for index, section in enumerate(written.designations):
            wrong = list(_contradictions(document, index, section))
            problems += wrong
            if not wrong:
                found.append(_designation(document, index, section))
    problems += _doubles(documents)
    if problems:
        raise DocumentError(problems)
    return tuple(sorted(found, key=lambda fact: fact.id))


def _vendors(data: Any, catalog: Catalog) -> Iterator[Finding]:
    """Every vendor id of one file's plain data that the catalog does not know."""
    for index, entry in _entries(data):
        path: Steps = ("designations", index, "vendor")
        yield from vendor_findings(path, entry.get("vendor"), catalog)


def _entries(data: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    entries = data.get("designations") if isinstance(data, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield index, entry


def _doubles(documents: Iterable[Document]) -> Iterator[Problem]:
    """Ids that are given twice, over all files; each problem names both places."""
    seen: dict[str, str] = {}
    for document in documents:
        for index, entry in _entries(document.data):
            word = entry.get("id")
            if not isinstance(word, str):
                continue
            path: Steps = ("designations", index, "id")
            here = f"{document.file}:{document.mark(path).line}"
            first = seen.setdefault(word, here)
            if first != here:
                message = f"the designation id {word!r} is given a second time: first at {first}"
                yield document.problem(path, message)


def _contradictions(
    document: Document, index: int, section: DesignationSection
) -> Iterator[Problem]:
    """What no single key says: a status and dates that do not go together."""
    path: Steps = ("designations", index)
    undated = [] if section.history is not None else list(_undated(document, path, section))
    if undated:
        # What follows from dates that are wrong would only repeat it.
        yield from undated
        return
    for number, (before, after) in enumerate(pairwise(section.history or ())):
        if after.on <= before.on:
            message = "expected a later date than that of the change before it"
            yield document.problem((*path, "history", number + 1, "on"), message)
            return
    history = _history(section)
    held = [change for change in history if change.at.date() <= section.retrieved]
    if section.history is not None and not held:
        message = "expected a change on or before 'retrieved': nothing later can have been read"
        yield document.problem((*path, "history", 0, "on"), message)
    elif held and held[-1].status != section.status:
        message = (
            f"expected {str(held[-1].status)!r}, "
            f"the last of its history up to {section.retrieved} ('retrieved')"
        )
        yield document.problem((*path, "status"), message)


def _undated(document: Document, path: Steps, section: DesignationSection) -> Iterator[Problem]:
    """A status without the date that it began on, where there is no history to tell it."""
    key = _DATED.get(section.status)
    if key is None:
        message = f"the status {section.status!r} needs a history"
        hint = "write history: [{on: …, status: …, source_url: …}, …] with each change"
        yield document.problem((*path, "status"), message, hint)
        return
    if getattr(section, key) is None:
        message = f"the status {section.status!r} needs the date {key!r}, or a history"
        yield document.problem((*path, "status"), message)
    announced, effective = section.announced, section.effective
    if announced is not None and effective is not None and announced > effective:
        message = "expected 'announced' on or before 'effective', or a history that says otherwise"
        yield document.problem((*path, "announced"), message)


def _history(section: DesignationSection) -> tuple[StatusChange, ...]:
    """The changes as written, else as the two dates tell them."""
    if section.history is not None:
        return tuple(
            StatusChange(change.on, Status(change.status), change.source_url, change.note)
            for change in section.history
        )
    dated = {}
    if section.announced is not None:
        dated[section.announced] = Status.ANNOUNCED
    if section.effective is not None:
        # What is announced on the day that it takes effect is in force on that day.
        dated[section.effective] = Status.IN_FORCE
    return tuple(
        StatusChange(_midnight(day), status, section.source_url)
        for day, status in sorted(dated.items())
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _designation(document: Document, index: int, section: DesignationSection) -> Designation:
    return Designation(
        id=section.id,
        vendor=section.vendor,
        authority=section.authority,
        scope=frozenset(section.scope),
        history=_history(section),
        source_url=section.source_url,
        retrieved=section.retrieved,
        statute=section.statute,
        announced=section.announced,
        effective=section.effective,
        phase_out_until=section.phase_out_until,
        sha256=section.sha256,
        note=section.note,
        source=f"{document.file}:{document.mark(('designations', index)).line}",
    )
