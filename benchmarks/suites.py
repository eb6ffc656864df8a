"""All suites, in the order in which they run and stand on the page."""

from __future__ import annotations

from benchmarks.failover.suite import FailoverSuite
from benchmarks.policy.suite import PolicySuite
from benchmarks.streams.suite import StreamsSuite
from benchmarks.suite import Suite

SUITES: tuple[Suite, ...] = (PolicySuite(), StreamsSuite(), FailoverSuite())
NAMES = tuple(suite.name for suite in SUITES)
