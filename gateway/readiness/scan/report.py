"""All that a scan tells: findings, what was suppressed or known, what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.domain.identity import SELF, UNKNOWN
from gateway.readiness.scan.finding import SEVERITY, Finding, Reach, Said, Skipped, Unread
from gateway.readiness.scan.suppressions import Suppressed

THRESHOLDS = {
    "deny": frozenset({Said.DENY}),
    "undetermined": frozenset({Said.DENY, Said.UNDETERMINED}),
    "risky": frozenset({Said.DENY, Said.UNDETERMINED, Said.RISKY}),
}
"""What fails a scan at each ``--fail-on``: never less than the milder ones before it."""


@dataclass(frozen=True, slots=True)
class Report:
    """``revision`` is the policy's, empty without one; ``vendor`` is whom it was asked about;
    ``known`` are findings of the baseline, and ``gone`` how many of it are no more; ``size`` is in
    bytes.
    """

    at: datetime
    version: str
    catalog: str
    signals: str
    roots: tuple[str, ...]
    findings: Sequence[Finding]
    suppressed: Sequence[Suppressed] = ()
    known: Sequence[Finding] = ()
    gone: int = 0
    unread: Sequence[Unread] = ()
    skipped: Sequence[Skipped] = ()
    revision: str = ""
    vendor: str = ""
    files: int = 0
    passed: int = 0
    size: int = 0

    def failing(self, threshold: str) -> list[Finding]:
        """The findings for which a scan with ``--fail-on`` fails."""
        said = THRESHOLDS[threshold]
        return [one for one in self.findings if one.ruling is not None and one.ruling.said in said]

    def rows(self) -> list[Row]:
        """One row for each channel and developer that was found, the worst first."""
        found: dict[tuple[str, str], Row] = {}
        for one in self.findings:
            key = one.identity.channel, one.identity.developer
            found.setdefault(key, Row(*key)).add(one)
        return sorted(found.values(), key=lambda row: row.order)


@dataclass(slots=True)
class Row:
    """What was found of one pair of channel and developer; ``said`` is the worst of it."""

    channel: str
    developer: str
    findings: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.findings.append(finding)

    @property
    def said(self) -> Said | None:
        said = [one.ruling.said for one in self.findings if one.ruling is not None]
        return max(said, key=lambda one: SEVERITY[one], default=None)

    @property
    def rule(self) -> str:
        rules = {
            one.ruling.rule for one in self.findings if one.ruling and one.ruling.said is self.said
        }
        return ", ".join(sorted(filter(None, rules)))

    @property
    def files(self) -> int:
        return len({one.path for one in self.findings})

    @property
    def reach(self) -> Mapping[Reach, int]:
        return Counter(one.reach for one in self.findings)

    @property
    def title(self) -> str:
        """Who it is, in words."""
        if self.channel == UNKNOWN:
            who = "an unknown vendor" if self.developer == UNKNOWN else self.developer
            return f"{who}, by a channel that is not said" if who == self.developer else who
        if self.channel == SELF:
            return f"weights of {self.developer}, run here"
        if self.developer == self.channel:
            return self.channel
        whose = "whose models is not said" if self.developer == UNKNOWN else self.developer
        return f"{self.channel} ({whose})"

    @property
    def order(self) -> tuple[int, int, str, str]:
        said = self.said
        severity = -1 if said is None else SEVERITY[said]
        return -severity, -len(self.findings), self.channel, self.developer


def plain(report: Report) -> dict[str, Any]:
    """A report as JSON has it."""
    return {
        "version": report.version,
        "at": report.at.isoformat(timespec="seconds"),
        "catalog": report.catalog,
        "signals": report.signals,
        "policy": report.revision or None,
        "vendor": report.vendor or None,
        "scanned": {
            "paths": list(report.roots),
            "files": report.files,
            "without_mention": report.passed,
            "bytes": report.size,
        },
        "summary": [_row(row) for row in report.rows()],
        "findings": [finding(one) for one in report.findings],
        "suppressed": [
            {**finding(one.finding), "until": one.by.until, "reason": one.by.reason}
            for one in report.suppressed
        ],
        "baseline": {"known": len(report.known), "gone": report.gone},
        "unread": [
            {"path": one.path, "reason": one.reason, "partly": one.partly} for one in report.unread
        ],
        "skipped": [
            {"path": one.path, "reason": one.reason, "files": one.count} for one in report.skipped
        ],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "channel": row.channel,
        "developer": row.developer,
        "findings": len(row.findings),
        "files": row.files,
        "reach": {reach.value: count for reach, count in sorted(row.reach.items())},
        "said": row.said,
        "rule": row.rule or None,
    }


def finding(one: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    identity = one.identity
    ruling = one.ruling
    return {
        "path": one.path,
        "line": one.line,
        "column": one.column,
        "signal": one.signal.value,
        "value": one.value,
        "registry": one.registry or None,
        "channel": identity.channel,
        "developer": identity.developer,
        "model": identity.model or None,
        "lineage": list(identity.lineage),
        "locality": identity.locality.value,
        "jurisdiction": list(identity.jurisdiction),
        "reach": one.reach.value,
        "via": list(one.via),
        "confidence": one.confidence.value,
        "count": one.count,
        "undetermined": one.undetermined or None,
        "said": ruling.said.value if ruling else None,
        "rule": (ruling.rule or None) if ruling else None,
        "reason": (ruling.reason or None) if ruling else None,
        "fingerprint": one.fingerprint,
    }
