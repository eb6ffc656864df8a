"""A report as bills of materials: CycloneDX 1.6 with models (an ML-BOM), and SPDX 2.3.

Sources of the fields: CycloneDX's specification 1.6 (ECMA-424), SPDX's specification 2.3.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from gateway.domain.identity import SELF, UNKNOWN
from gateway.readiness.scan.finding import Finding, Signal
from gateway.readiness.scan.report import Report
from gateway.vendors.catalog import Catalog

_PURLS = {
    "pypi": "pypi",
    "python": "pypi",
    "npm": "npm",
    "go": "golang",
    "maven": "maven",
    "nuget": "nuget",
    "crates": "cargo",
    "gems": "gem",
    "composer": "composer",
    "actions": "githubactions",
}
_SCANNED = "SPDXRef-scanned"
_SERVICES = frozenset({Signal.HOST, Signal.CLIENT, Signal.VARIABLE, Signal.KEY, Signal.TOOL})


def cyclonedx(report: Report, catalog: Catalog) -> dict[str, Any]:
    """Packages and images as libraries and containers, models as machine-learning models, and each
    channel as a service, all with the places where they were found.
    """
    components: dict[str, dict[str, Any]] = {}
    services: dict[str, dict[str, Any]] = {}
    for one in report.findings:
        if one.signal in _SERVICES and one.identity.channel not in (SELF, UNKNOWN):
            _service(one, services, catalog)
        elif one.signal in (Signal.MODEL, Signal.PACKAGE, Signal.IMAGE):
            _component(one, components, catalog)
    root = {"type": "application", "name": ", ".join(report.roots), "bom-ref": "scanned"}
    refs = [*components, *services]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": report.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {
                "components": [
                    {"type": "application", "name": "gateway scan", "version": report.version}
                ]
            },
            "component": root,
        },
        "components": list(components.values()),
        "services": list(services.values()),
        "dependencies": [
            {"ref": "scanned", "dependsOn": refs},
            *({"ref": ref} for ref in refs),
        ],
    }


def _component(one: Finding, components: dict[str, dict[str, Any]], catalog: Catalog) -> None:
    identity = one.identity
    kind = {Signal.MODEL: "machine-learning-model", Signal.IMAGE: "container"}
    type_ = kind.get(one.signal, "library")
    name = one.value if one.signal is not Signal.MODEL else identity.model or one.value
    ref = f"{one.signal}:{one.registry}:{name}:{identity.channel}"
    component = components.get(ref)
    if component is None:
        component = {"type": type_, "bom-ref": ref, "name": name}
        purl = purl_of(one)
        if purl:
            component["purl"] = purl
        if one.signal is Signal.MODEL:
            # Who trained it, as far as is known; a model card of theirs was not read.
            component["modelCard"] = {"properties": _properties(one)}
            if identity.developer != UNKNOWN:
                component["supplier"] = _who(identity.developer, catalog)
        component["properties"] = _properties(one)
        component["evidence"] = {"occurrences": []}
        components[ref] = component
    component["evidence"]["occurrences"].append(_occurrence(one))


def _service(one: Finding, services: dict[str, dict[str, Any]], catalog: Catalog) -> None:
    channel = one.identity.channel
    ref = f"service:{channel}"
    service = services.get(ref)
    if service is None:
        service = {
            "bom-ref": ref,
            "name": channel,
            "provider": _who(channel, catalog),
            "x-trust-boundary": True,
            "endpoints": [],
            "properties": [],
        }
        services[ref] = service
    if one.signal is Signal.HOST:
        endpoint = f"https://{one.value}"
        if endpoint not in service["endpoints"]:
            service["endpoints"].append(endpoint)
    place = f"{one.signal} {one.value} in {one.path}:{one.line}"
    service["properties"].append({"name": "gateway:scan:place", "value": place})


def _who(vendor: str, catalog: Catalog) -> Mapping[str, Any]:
    row = catalog.vendor(vendor)
    return {"name": vendor if row is None else row.name}


def _properties(one: Finding) -> list[dict[str, str]]:
    identity = one.identity
    told = {
        "channel": identity.channel,
        "developer": identity.developer,
        "lineage": " ".join(identity.lineage),
        "reach": one.reach.value,
        "via": " > ".join(one.via),
        "undetermined": one.undetermined,
        "said": one.ruling.said.value if one.ruling else "",
        "rule": one.ruling.rule if one.ruling else "",
    }
    return [
        {"name": f"gateway:scan:{name}", "value": value} for name, value in told.items() if value
    ]


def _occurrence(one: Finding) -> dict[str, Any]:
    return {"location": one.path} | ({"line": one.line} if one.line else {})


def purl_of(one: Finding) -> str:
    """The package URL of a package, empty where its registry has none."""
    kind = _PURLS.get(one.registry)
    if one.signal is not Signal.PACKAGE or kind is None:
        return ""
    name = one.value
    if one.registry == "python":
        name = name.partition(".")[0].replace("_", "-")
    if kind == "maven":
        name = name.replace(":", "/", 1)
    return f"pkg:{kind}/" + "/".join(quote(part, safe="") for part in name.split("/"))


def spdx(report: Report) -> dict[str, Any]:
    """What was scanned as a package that depends on packages, models and images: a document must
    describe something, though nothing was found.
    """
    packages: dict[str, dict[str, Any]] = {}
    for one in report.findings:
        if one.signal in (Signal.MODEL, Signal.PACKAGE, Signal.IMAGE):
            _spdx_package(one, packages)
    ids = list(packages)
    scanned = ", ".join(report.roots)
    digest = hashlib.sha256("\0".join([*report.roots, *ids, str(report.at)]).encode()).hexdigest()
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"AI vendors of {scanned}",
        "documentNamespace": f"urn:gateway-scan:{digest}",
        "creationInfo": {
            "created": report.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: gateway-scan-{report.version}"],
        },
        "packages": [
            {
                "SPDXID": _SCANNED,
                "name": scanned,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
            },
            *packages.values(),
        ],
        "relationships": [
            _related("SPDXRef-DOCUMENT", "DESCRIBES", _SCANNED),
            *(_related(_SCANNED, "DEPENDS_ON", id) for id in ids),
        ],
    }


def _related(one: str, how: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other}


def _spdx_package(one: Finding, packages: dict[str, dict[str, Any]]) -> None:
    identity = one.identity
    words = (one.signal, one.registry, one.value, identity.channel)
    id = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(filter(None, words)))
    package = packages.get(id)
    if package is None:
        package = {
            "SPDXID": id,
            "name": one.value,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "comment": _comment([one]),
        }
        purl = purl_of(one)
        if purl:
            package["externalRefs"] = [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": purl,
                }
            ]
        packages[id] = package
    package["sourceInfo"] = _places(package.get("sourceInfo"), one)


def _comment(found: Iterable[Finding]) -> str:
    return "; ".join(
        f"channel {one.identity.channel}, developer {one.identity.developer}, {one.reach}"
        for one in found
    )


def _places(before: str | None, one: Finding) -> str:
    place = f"{one.path}:{one.line}"
    return f"{before}, {place}" if before else f"found in {place}"
