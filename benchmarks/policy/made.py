"""Policies and catalogs of any size that look like real ones.

Most rules are of some team, app or kind of data, about one vendor of the shipped catalog; nothing
is about ``openai`` for whoever has no labels but a team of another name, so that a gateway can
serve under each.
"""

from __future__ import annotations

from typing import Any

import yaml

from gateway.config.shipped import load_catalog
from gateway.vendors.catalog import Catalog, Family

VENDORS = tuple(sorted(load_catalog().ids))
ABROAD = ("CN", "RU", "KP", "IR", "BY", "HK", "AE", "SG")
VERDICTS = ("deny", "risky", "allow")
SERVES = "openai"
A_FILE = 1_000
"""Rules of one file: a file has at most 1 MB."""


def policy_files(count: int, *, serves: str = "allow") -> dict[str, str]:
    """The files of a policy of ``count`` rules, by name. The first says of ``openai`` that
    verdict.
    """
    files = {}
    for number, start in enumerate(range(0, count, A_FILE)):
        rules = [rule(one) for one in range(max(start, 1), min(start + A_FILE, count))]
        document: dict[str, Any] = {"version": 1, "rules": rules}
        if number == 0:
            document |= {"default": "deny", "vendors": {SERVES: serves}}
        text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False)
        files[f"{10 + number}-rules.yaml"] = str(text)
    return files


def rule(number: int) -> dict[str, Any]:
    """The rule of that number, of all kinds in turn."""
    match, when = _kind(number, VENDORS[number * 7 % len(VENDORS)])
    made = {
        "id": f"rule-{number:05}",
        "match": match,
        "when": when,
        "verdict": VERDICTS[number % 3],
        "reason": f"directive {number} of the office for vendors",
        "authority": "office for vendors",
        "reference": f"https://example.org/directives/{number}",
    }
    if number % 4 == 0:
        made["from"] = "2026-01-15"
    if number % 8 == 0:
        made["until"] = "2031-01-15"
    return made


def _kind(number: int, vendor: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What it matches, and when."""
    kinds: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"vendor": [vendor]}, {"team": [f"team-{number}"]}),
        ({"vendor": [vendor], "locality": ["cloud"]}, {"app": [f"app-{number}"]}),
        ({"vendor": [vendor], "model": [f"*-{number}-preview"]}, {"environment": ["prod"]}),
        ({"jurisdiction": [ABROAD[number % len(ABROAD)]]}, {"data_class": [f"class-{number}"]}),
        ({"vendor": [vendor]}, {"data_class": ["cui", "secret"], "tags": [f"tag-{number % 50}"]}),
        ({"channel": [vendor]}, {"team": [f"team-{number}", f"team-{number + 1}"]}),
        ({"vendor": [vendor], "roles": ["developer", "lineage"]}, {"app": [f"app-{number % 100}"]}),
        ({"model": [f"model-{number}*"]}, {"environment": ["defense"]}),
    ]
    return kinds[number % len(kinds)]


def catalog(families: int) -> Catalog:
    """The shipped catalog's vendors, with its families or others besides: so many in all, or as
    many as it has.
    """
    shipped = load_catalog()
    data = [shipped.vendor(id) for id in shipped.ids]
    vendors = [vendor for vendor in data if vendor is not None]
    others = [
        Family((f"family{number}", str(number % 10)), vendors[number % len(vendors)].id)
        for number in range(families - len(shipped.families))
    ]
    return Catalog(shipped.version, vendors, (*shipped.families, *others))
