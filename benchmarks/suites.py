"""All suites, in the order in which they run and stand on the page."""

from __future__ import annotations

from benchmarks.failover.suite import FailoverSuite
from benchmarks.local.suite import LocalSuite
from benchmarks.operators.suite import OperatorsSuite
from benchmarks.policy.suite import PolicySuite
from benchmarks.relay.suite import RelaySuite
from benchmarks.scale.suite import ScaleSuite
from benchmarks.streams.suite import StreamsSuite
from benchmarks.suite import Suite

SUITES: tuple[Suite, ...] = (
    RelaySuite(),
    StreamsSuite(),
    FailoverSuite(),
    PolicySuite(),
    ScaleSuite(),
    OperatorsSuite(),
    LocalSuite(),
)
