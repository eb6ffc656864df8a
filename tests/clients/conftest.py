"""One gateway for all clients, and the table of what was run, at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.house import running
from tests.clients.table import Row, table
from tests.end_to_end.running import RunningGateway

collect_ignore = ["apps", "node"]
"""They run in the environments of their clients."""
ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running(tmp_path_factory.mktemp("clients")) as gateway:
        yield gateway


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> list[Row]:
    """What the table will have."""
    return request.config.stash[ROWS]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows: list[Row] = config.stash[ROWS]
    if rows:
        terminalreporter.section("clients")
        terminalreporter.write(table(rows))
