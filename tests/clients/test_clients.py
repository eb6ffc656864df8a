"""Real clients in front of a running gateway, the real model and simulated vendors."""

from __future__ import annotations

import pytest

from tests.clients.suites import SUITES, Suite, run
from tests.clients.table import Row
from tests.end_to_end.running import RunningGateway

pytestmark = pytest.mark.timeout(330)


@pytest.mark.parametrize("suite", SUITES, ids=[suite.client for suite in SUITES])
def test_a_client(suite: Suite, gateway: RunningGateway, rows: list[Row]) -> None:
    """Each case of its app passes, and the app knows no more than a base URL and a key."""
    if missing := suite.missing():
        rows.append(Row(suite.client, "", missing, "left out"))
        pytest.skip(missing)
    ran = run(suite, gateway.url)
    result = f"{ran.passed} passed" + (f", {ran.failed} FAILED" if ran.failed else "")
    rows.append(
        Row(
            suite.client, suite.versions(), "; ".join(ran.checks), f"{result} ({ran.seconds:.0f} s)"
        )
    )
    assert not ran.failed, ran.output
    assert ran.passed
