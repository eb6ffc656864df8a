"""Whatever is configured, asked, broken and forbidden: nobody is dialled whom policy denies."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.egress.drawn import CHANNELS, Story, stories
from tests.egress.in_process import Tale, settle
from tests.egress.watched import WatchedLoop
from tests.simulators.vendor import VendorSimulator

pytestmark = pytest.mark.alone

STORIES = int(os.environ.get("NEVER_DIALLED_STORIES", "80"))


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, VendorSimulator]]:
    with ExitStack() as stack:
        found = {name: stack.enter_context(VendorSimulator()) for name in CHANNELS}
        found["lab"].list_models("ollama", *CHANNELS["lab"][1])
        yield found


@pytest.fixture(scope="module")
def tally() -> Counter[str]:
    """What happened in all stories together."""
    return Counter()


@pytest.mark.timeout(60 + 4 * STORIES)
@settings(
    max_examples=STORIES,
    # A story that fails fails by its timing: shrinking it takes minutes and tells little.
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(story=stories)
def test_nobody_is_dialled_whom_policy_denies(
    vendors: dict[str, VendorSimulator],
    tally: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    story: Story,
) -> None:
    """Each look-up, each dial and each request is for a target and labels that the policy in force
    at that instant allows; what the vendors saw is accounted for by these; and each request ends
    in an answer or in a typed error.
    """
    monkeypatch.setenv("VENDOR_KEY", "sk-planted")
    settle(vendors)
    before = {name: (len(v.connections), len(v.requests)) for name, v in vendors.items()}
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=WatchedLoop) as runner,
    ):
        told = Tale(story, Path(folder), vendors)
        runner.run(told.run())
    denied = [act for act in told.acts if not act.allowed]
    assert not denied, denied[:3]
    improper = [reply for reply in told.replies if not reply.proper]
    assert not improper, improper[:3]
    for name, vendor in vendors.items():
        connections, requests = before[name]
        dials = [act.at for act in told.acts if (act.what, act.channel) == ("dial", name)]
        accepted = [seen.time for seen in vendor.connections[connections:]]
        for number, at in enumerate(accepted, 1):
            assert sum(dialled <= at for dialled in dials) >= number
        sent = Counter(
            act.asking.id
            for act in told.acts
            if (act.what, act.channel) == ("request", name) and act.asking is not None
        )
        seen = Counter(request.json["user"] for request in vendor.requests[requests:])
        assert seen <= sent
    tally.update(act.what for act in told.acts)
    tally.update(str(reply.status) for reply in told.replies)


def test_enough_happened_in_these_stories(tally: Counter[str]) -> None:
    """Silence would prove nothing."""
    assert min(tally[what] for what in ("look-up", "dial", "request", "200")) > STORIES
    assert min(tally[what] for what in ("451", "503")) > 0
