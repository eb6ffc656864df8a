"""A gateway of two serving processes that a module of tests shares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.running import RunningGateway, configuration

EXTRA = "admin: {hosts: [gateway.example]}"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("admin")
    text = configuration(extra=EXTRA)
    with RunningGateway(folder, text, flags=("--workers", "2")) as running:
        yield running
