"""What a gateway asks its local models by itself, with two serving processes and the real model."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from gateway.config.presence import RUN, running
from tests.end_to_end.running import RunningGateway, configuration
from tests.end_to_end.test_canaries import canaries
from tests.end_to_end.test_metrics import scrape
from tests.waiting import until

EVERY = 2
EXTRA = f"""\
server: {{workers: 2}}
readiness: {{canary: {{every: {EVERY}, max_tokens: 64}}}}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("schedule")
    with RunningGateway(folder, configuration(extra=EXTRA)) as started:
        yield started


def rounds(gateway: RunningGateway, more: int) -> list[dict[str, Any]]:
    """The first record of each round, once there are so many more than now."""

    def firsts() -> list[dict[str, Any]]:
        return [one for one in canaries(gateway) if not one["needs"]]

    before = len(firsts())
    return until(lambda: found if len(found := firsts()) >= before + more else None, seconds=60)


def test_each_round_asks_all_that_the_model_can(gateway: RunningGateway) -> None:
    """A question, a call, and JSON by a schema: the record repeats nobody's request, and is of no
    app. The call and the JSON are what was asked for.
    """
    rounds(gateway, 3)
    records = canaries(gateway)[:6]
    assert [one["needs"] for one in records] == 2 * [(), ("tools",), ("json_schema",)]
    for one in records:
        assert (one["outcome"], one["served_by"]) == ("served", "local/smollm2")
        assert (one["repeats"], one["key"], one["differs"]) == (None, None, ())
        assert one["model"] == "local/smollm2"


def test_what_our_own_bound_cuts_off_is_not_held_against_it(gateway: RunningGateway) -> None:
    """As one that thinks before it answers may be: neither the call nor the JSON is there."""
    gateway.configured(configuration(extra=EXTRA.replace("max_tokens: 64", "max_tokens: 2")))
    rounds(gateway, 2)
    records = [one for one in canaries(gateway) if (one["completion_tokens"] or 99) <= 2]
    assert len(records) >= 3
    assert {one["differs"] for one in records} == {()}
    gateway.configured(configuration(extra=EXTRA))


def test_one_process_asks(gateway: RunningGateway) -> None:
    """Two would have rounds between each other's."""
    times = [datetime.fromisoformat(one["at"]) for one in rounds(gateway, 3)]
    between = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(between) > timedelta(seconds=EVERY) * 0.9


def test_another_takes_over_where_that_one_dies(gateway: RunningGateway) -> None:
    """Both are killed in turn, so the one that asked is among them."""
    for pid in [one.pid for one in running(gateway.folder / "state" / RUN)]:
        os.kill(pid, signal.SIGKILL)
        until(partial(_others, gateway, pid), seconds=60)
        rounds(gateway, 2)


def _others(gateway: RunningGateway, killed: int) -> bool:
    """Whether two serve again, and none is the one that was killed."""
    pids = [one.pid for one in running(gateway.folder / "state" / RUN)]
    return len(pids) == 2 and killed not in pids


def test_it_is_counted_as_our_own(gateway: RunningGateway) -> None:
    rounds(gateway, 1)
    now = until(lambda: _counted(gateway))
    assert not any(key[0] == "gateway_requests_total" for key in now)
    assert now["gateway_last_local_success_timestamp_seconds", "local/smollm2"] > 0


def _counted(gateway: RunningGateway) -> dict[tuple[str, ...], float] | None:
    now = scrape(gateway)[0]
    return now if ("gateway_canaries_total", "(own)", "served", "local/smollm2") in now else None
