"""The dashboard and the alert rules: they ask for what a scrape has, and Prometheus takes them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.telemetry.page import rows

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
NOT_OURS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
NOT_IN_A_SCRAPE = {"instance", "job", "role", "pid"}


def promtool(*arguments: str) -> None:
    found = shutil.which("promtool")
    if found is None:
        assert "CI" not in os.environ, "promtool is missing"
        pytest.skip("promtool is not there (Debian: apt install prometheus)")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def panels() -> Iterator[dict[str, Any]]:
    yield from (one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row")


def queries() -> list[str]:
    """Each query of the dashboard, its variables replaced as Grafana would."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    return [
        one.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$model", ".*")
        for one in asked
    ]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def known() -> dict[str, set[str]]:
    """The labels of each series that a gateway may tell, by its name."""
    found: dict[str, set[str]] = {}
    for name, labels, kind, _ in rows():
        of = set(labels)
        if kind == "histogram":
            found |= {f"{name}_sum": of, f"{name}_count": of, f"{name}_bucket": of | {"le"}}
        else:
            found[name] = of
    return found


@pytest.mark.parametrize("query", [*queries(), *(rule["expr"] for rule in rules())])
def test_every_query_asks_for_what_there_is(query: str) -> None:
    """By names and labels of the code's own."""
    names = set(re.findall(r"\b(?:gateway|process)_\w+|\bup\b", query)) - NOT_OURS
    series = known()
    assert names <= set(series)
    labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query))
    for grouped in re.findall(r"\bby \(([^)]*)\)", query):
        labels |= {word.strip() for word in grouped.split(",")}
    for name in names:
        assert labels <= series[name] | NOT_IN_A_SCRAPE, name


def test_the_dashboard_is_one_that_grafana_loads() -> None:
    """What its importer and its panels need: ids that differ, places that do not overlap, a data
    source that is chosen when it is imported.
    """
    board = json.loads(DASHBOARD.read_text())
    assert board["uid"]
    assert board["title"]
    assert board["schemaVersion"] >= 36
    assert "__inputs" not in board
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    variables = {one["name"] for one in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([*panels()])))
    assert used - {"__rate_interval", "__all"} <= variables
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels())


def test_prometheus_takes_every_query_of_the_dashboard(tmp_path: Path) -> None:
    """As rules, which are parsed in the same way."""
    file = tmp_path / "rules.yaml"
    recorded = [
        {"record": f"dashboard:query{number}", "expr": query}
        for number, query in enumerate(queries())
    ]
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    promtool("check", "rules", str(file))


def test_prometheus_takes_the_alert_rules() -> None:
    promtool("check", "rules", str(ALERTS))


def test_the_alert_rules_do_what_their_tests_say() -> None:
    promtool("test", "rules", str(ALERTS.with_name("alerts_test.yaml")))


def test_every_alert_says_what_to_look_at() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
