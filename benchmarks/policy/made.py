"""Policies of any size that look like real ones: most rules are of some team, app or kind of data,
about one vendor of the shipped catalog.

None of them denies ``openai`` to whoever has no labels but a team of another name, so that a
gateway can serve under each.
"""

from __future__ import annotations

from typing import Any

import yaml

from gateway.config.shipped import load_catalog

VENDORS = tuple(sorted(load_catalog().ids))
ABROAD = ("CN", "RU", "KP", "IR", "BY", "HK", "AE", "SG")
VERDICTS = ("deny", "risky", "allow")
SERVES = "openai"


def policy(count: int) -> dict[str, Any]:
    """A document of ``count`` rules, the first of which allows ``openai``."""
    others = (rule(number) for number in range(1, count))
    return {
        "version": 1,
        "default": "deny",
        "vendors": {SERVES: "allow"},
        "rules": list(others),
    }


def policy_text(count: int) -> str:
    return str(yaml.dump(policy(count), Dumper=yaml.CSafeDumper, sort_keys=False))


def rule(number: int) -> dict[str, Any]:
    """The rule of that number, of all kinds in turn."""
    vendor = VENDORS[number * 7 % len(VENDORS)]
    verdict = VERDICTS[number % 3]
    matches, when = _kinds(number, vendor)
    made = {
        "id": f"rule-{number:05}",
        "match": matches,
        "when": when,
        "verdict": verdict,
        "reason": f"directive {number} of the office for vendors",
        "authority": "office for vendors",
        "reference": f"https://example.org/directives/{number}",
    }
    if number % 4 == 0:
        made["from"] = "2026-01-15"
    if number % 8 == 0:
        made["until"] = "2031-01-15"
    return made


def _kinds(number: int, vendor: str) -> tuple[dict[str, Any], dict[str, Any]]:
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
