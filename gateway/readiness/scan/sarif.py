"""A report as SARIF 2.1.0, for what shows findings beside code.

Source of the fields: the OASIS standard "Static Analysis Results Interchange Format (SARIF) Version
2.1.0".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from gateway.readiness.scan.finding import Confidence, Finding, Said, Signal
from gateway.readiness.scan.report import Report

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {
    Said.DENY: "error",
    Said.UNDETERMINED: "warning",
    Said.RISKY: "warning",
    Said.ALLOW: "note",
    None: "note",
}
_RANKS = {Confidence.HIGH: 90.0, Confidence.MEDIUM: 60.0, Confidence.LOW: 30.0}
_TOLD = {
    Signal.PACKAGE: "A package that reaches an AI vendor",
    Signal.CLIENT: "Code that asks an AI vendor",
    Signal.HOST: "A host of an AI vendor",
    Signal.VARIABLE: "The name of a setting for an AI vendor",
    Signal.KEY: "A value of the form of an AI vendor's keys",
    Signal.MODEL: "A model of an AI vendor",
    Signal.IMAGE: "A container image that reaches AI vendors",
    Signal.TOOL: "A file of a tool that asks an AI vendor",
    Signal.SUPPRESSION: "A suppression that does not hold",
}


def sarif(report: Report) -> dict[str, Any]:
    """One run. What could not be read is told as notifications of the tool."""
    rules = list(Signal)
    results = [_result(one) for one in report.findings]
    results += [_result(one) | {"baselineState": "unchanged"} for one in report.known]
    for one in report.suppressed:
        marked = {"kind": "inSource", "justification": f"until {one.by.until}: {one.by.reason}"}
        results.append(_result(one.finding) | {"suppressions": [marked]})
    driver = {
        "name": "gateway scan",
        "semanticVersion": report.version,
        "rules": [
            {"id": one.value, "shortDescription": {"text": _TOLD[one]}, "name": one.name.title()}
            for one in rules
        ],
    }
    invocation = {
        "executionSuccessful": True,
        "startTimeUtc": report.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "toolExecutionNotifications": [
            {
                "level": "note" if one.partly else "warning",
                "message": {"text": f"could not be read: {one.reason}"},
                "locations": [{"physicalLocation": {"artifactLocation": _artifact(one.path)}}],
            }
            for one in report.unread
        ],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {"catalog": report.catalog, "policy": report.revision or "none"},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(one: Finding) -> dict[str, Any]:
    said = one.ruling.said if one.ruling else None
    physical: dict[str, Any] = {"artifactLocation": _artifact(one.path)}
    if one.line:
        physical["region"] = {"startLine": one.line, "startColumn": max(1, one.column)}
    identity = one.identity
    return {
        "ruleId": one.signal.value,
        "ruleIndex": list(Signal).index(one.signal),
        "level": _LEVELS[said],
        "rank": _RANKS[one.confidence],
        "message": {"text": sentence(one)},
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {"gatewayScan/v1": one.fingerprint},
        "properties": {
            "channel": identity.channel,
            "developer": identity.developer,
            "reach": one.reach.value,
            "confidence": one.confidence.value,
            "via": list(one.via),
            "said": said.value if said else "none",
        },
    }


def sentence(one: Finding) -> str:
    """A finding in words."""
    identity = one.identity
    who = f"channel {identity.channel}, developer {identity.developer}"
    parts = [f"{one.signal} {one.value}: {who} ({one.reach}, confidence {one.confidence})"]
    if one.via:
        parts.append(f"needed by {' > '.join(one.via)}")
    if one.undetermined:
        parts.append(one.undetermined)
    if one.ruling is not None:
        by = f" by rule {one.ruling.rule}" if one.ruling.rule else ""
        why = f": {one.ruling.reason}" if one.ruling.reason != one.undetermined else ""
        parts.append(f"{one.ruling.said}{by}{why}".rstrip(": "))
    return "; ".join(parts)


def _artifact(path: str) -> Mapping[str, str]:
    pure = PurePath(path)
    if pure.is_absolute():
        return {"uri": "file://" + quote(pure.as_posix())}
    return {"uri": quote(pure.as_posix())}
