"""A baseline: findings that were there before, so that only new ones count. One that a policy has
become stricter on since is new again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.errors import StartupError
from gateway.readiness.scan.finding import SEVERITY, Finding, Said, Signal

VERSION = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """By fingerprint, what was said of a finding when it was written down; ``None``: nothing."""

    known: dict[str, Said | None]

    @classmethod
    def parse(cls, text: str) -> Baseline:
        """Raises ``StartupError`` where it is no baseline."""
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                raise StartupError(f"the baseline is of version {data['version']}, not {VERSION}")
            return cls(
                {
                    str(row["fingerprint"]): Said(row["said"]) if row["said"] else None
                    for row in data["findings"]
                }
            )
        except (KeyError, TypeError, ValueError, RecursionError):
            raise StartupError(
                "the baseline cannot be read: write it anew with --write-baseline"
            ) from None

    def split(self, found: Sequence[Finding]) -> tuple[list[Finding], list[Finding], int]:
        """New findings, known ones, and how many of the baseline are gone."""
        new = [one for one in found if not self._covers(one)]
        known = [one for one in found if self._covers(one)]
        gone = len(self.known.keys() - {one.fingerprint for one in found})
        return new, known, gone

    def _covers(self, finding: Finding) -> bool:
        if finding.fingerprint not in self.known or finding.signal is Signal.SUPPRESSION:
            return False
        then = self.known[finding.fingerprint]
        now = finding.ruling.said if finding.ruling is not None else None
        if now is None or then is None:
            return now is then or now is None
        return SEVERITY[now] <= SEVERITY[then]


def written(found: Iterable[Finding], at: datetime) -> str:
    """A baseline of all findings, one each line, with what a person needs to review it."""
    rows = {}
    for one in found:
        if one.signal is not Signal.SUPPRESSION:
            rows[one.fingerprint] = {
                "fingerprint": one.fingerprint,
                "path": one.path,
                "signal": one.signal,
                "value": one.value,
                "channel": one.identity.channel,
                "developer": one.identity.developer,
                "said": one.ruling.said if one.ruling is not None else None,
            }
    lines = ",\n".join(f"    {json.dumps(row, sort_keys=True)}" for _, row in sorted(rows.items()))
    head = f'{{\n  "version": {VERSION},\n  "written": "{at.isoformat(timespec="seconds")}",\n'
    return f'{head}  "findings": [\n{lines}\n  ]\n}}\n'
