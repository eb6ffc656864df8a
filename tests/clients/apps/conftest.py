"""The short form of these suites: of each check only the first case."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not os.environ.get("SHORT"):
        return
    first: dict[str, pytest.Item] = {}
    for item in items:
        first.setdefault(item.nodeid.partition("[")[0], item)
    left_out = [item for item in items if item not in first.values()]
    items[:] = first.values()
    config.hook.pytest_deselected(items=left_out)
