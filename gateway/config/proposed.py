"""The two files of an import: designations as a file that loads, and the list to look through."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time
from typing import Any

from gateway.vendors.designations import Designation
from gateway.vendors.proposals import Source
from gateway.vendors.published.rows import Listed, Malformed
from gateway.vendors.screening import Finding


def proposals_text(facts: Iterable[Designation], source: Source, file: str, rows: int) -> str:
    """YAML whose every value is JSON: whatever a list holds, it is read back as it was."""
    lines = [
        f"# Proposed from {json.dumps(file)} ({source.format}), {rows} rows, "
        f"published {source.published}.",
        f"# sha256 {source.sha256}",
        "# Not in force here. Read each against its source, set its scope to the words that your",
        "# rules use, and move it into a file of the folder above. gateway policy check loads it.",
        "version: 1",
    ]
    entries = [line for fact in facts for line in _entry(fact)]
    lines.append("designations:" if entries else "designations: []")
    return "\n".join([*lines, *entries]) + "\n"


def _entry(fact: Designation) -> Iterator[str]:
    lead = "  - "
    for key, value in _keys(fact):
        if value in (None, ""):
            continue
        yield f"{lead}{key}: {json.dumps(value, ensure_ascii=False)}"
        lead = "    "
    yield "    history:"
    for change in fact.history:
        entry = {
            "on": _moment(change.at),
            "status": str(change.status),
            "source_url": change.source_url,
        }
        if change.note:
            entry["note"] = change.note
        yield f"      - {json.dumps(entry, ensure_ascii=False)}"


def _keys(fact: Designation) -> Iterator[tuple[str, Any]]:
    yield "id", fact.id
    yield "vendor", fact.vendor
    yield "authority", fact.authority
    yield "statute", fact.statute
    yield "scope", sorted(fact.scope)
    held = [change for change in fact.history if change.at.date() <= fact.retrieved]
    yield "status", str(held[-1].status)
    yield "effective", fact.effective and fact.effective.isoformat()
    yield "source_url", fact.source_url
    yield "retrieved", fact.retrieved.isoformat()
    yield "sha256", fact.sha256
    yield "note", fact.note


def _moment(at: datetime) -> str:
    return at.date().isoformat() if at.time() == time() else at.isoformat()


def review_text(
    source: Source,
    doubts: Sequence[tuple[Listed, Finding]],
    malformed: Sequence[Malformed],
    gone: Sequence[str],
) -> str:
    """What a person has to look at; nothing of it is proposed."""
    lines = [
        f"{source.format}, published {source.published}, sha256 {source.sha256}",
        "",
        f"{len(doubts)} rows that may be about a vendor:",
    ]
    for listed, finding in doubts:
        lines.append(
            f"  line {listed.line}, {listed.id}: {listed.name!r} ({listed.kind}, "
            f"{listed.authority}): {finding.vendor}? {finding.reason}"
        )
    lines += ["", f"{len(malformed)} rows that could not be read:"]
    lines += [f"  line {row.line}: {row.reason}" for row in malformed]
    lines += ["", f"{len(gone)} designations in force that the list does not have any more:"]
    lines += [f"  {id}" for id in gone]
    return "\n".join(lines) + "\n"
