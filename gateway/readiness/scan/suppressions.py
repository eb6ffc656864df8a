"""``gateway-scan: ignore[VENDOR] until DATE reason …``, in a line of its own or behind code.

It holds for its own line and the next. One without a date or a reason, past its date, or of a
vendor that nobody knows lifts nothing, and is a finding itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from gateway.domain.identity import UNKNOWN
from gateway.readiness.scan.finding import Confidence, Finding, Reach, Ruling, Said, Signal
from gateway.readiness.scan.identify import by_itself
from gateway.vendors.catalog import Catalog
from gateway.vendors.signals.table import Sign

_MARK = re.compile(
    r"gateway-scan:\s*ignore(?:\[(?P<vendor>[^\]\n]*)\])?"
    r"(?:\s+until\s+(?P<until>\S+))?(?:\s+reason[:\s]\s*(?P<reason>[^\n]*))?"
)


@dataclass(frozen=True, slots=True)
class Suppression:
    """What stands in a file; what is missing is empty."""

    path: str
    line: int
    vendor: str
    until: str
    reason: str

    def wrong(self, catalog: Catalog, today: date) -> str:
        """Why it does not hold, empty where it does."""
        if not self.vendor:
            return "it names no vendor"
        if catalog.canonical(self.vendor) is None and self.vendor != UNKNOWN:
            return "it names a vendor that is not in the catalog"
        if not self.reason:
            return "it gives no reason"
        try:
            until = date.fromisoformat(self.until)
        except ValueError:
            return "it has no date of its end, like until 2027-01-01"
        return "" if today < until else f"it expired on {self.until}"

    def covers(self, finding: Finding, catalog: Catalog) -> bool:
        """Whether it is about a finding: of its vendor, on its line or the next."""
        if finding.path != self.path or finding.line not in (self.line, self.line + 1):
            return False
        vendor = catalog.canonical(self.vendor)
        unknown = self.vendor == UNKNOWN and not finding.vendors
        return unknown or vendor in finding.vendors


def suppressions(path: str, text: str) -> Iterator[Suppression]:
    """All that stand in a text."""
    if "gateway-scan:" not in text:
        return
    for number, line in enumerate(text.splitlines(), 1):
        found = _MARK.search(line)
        if found is not None:
            reason = re.sub(r"\s*(?:\*/|-->|#\}|\*\))\s*$", "", found["reason"] or "").strip()
            yield Suppression(
                path, number, found["vendor"] or "", found["until"] or "", reason[:200]
            )


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that somebody answers for."""

    finding: Finding
    by: Suppression


def applied(
    found: Sequence[Finding], marks: Sequence[Suppression], catalog: Catalog, today: date
) -> tuple[list[Finding], list[Suppressed]]:
    """What remains, the marks that are wrong among it, and what is suppressed."""
    good = [mark for mark in marks if not mark.wrong(catalog, today)]
    by_path: dict[str, list[Suppression]] = {}
    for mark in good:
        by_path.setdefault(mark.path, []).append(mark)
    left: list[Finding] = []
    lifted: list[Suppressed] = []
    for finding in found:
        marks_here = by_path.get(finding.path, ())
        by = next((mark for mark in marks_here if mark.covers(finding, catalog)), None)
        if by is None:
            left.append(finding)
        else:
            lifted.append(Suppressed(finding, by))
    wrong = [(mark, mark.wrong(catalog, today)) for mark in marks]
    return left + [_itself(mark, why, catalog) for mark, why in wrong if why], lifted


def _itself(mark: Suppression, why: str, catalog: Catalog) -> Finding:
    vendor = catalog.canonical(mark.vendor) or UNKNOWN
    finding = Finding(
        path=mark.path,
        line=mark.line,
        column=1,
        signal=Signal.SUPPRESSION,
        value=f"ignore[{vendor}]",
        identity=by_itself(Sign(vendor, vendor), catalog),
        reach=Reach.DIRECT,
        confidence=Confidence.HIGH,
    )
    return replace(finding, ruling=Ruling(Said.DENY, "suppression", why))
