"""All suites, in the order in which they run and stand on the page."""

from __future__ import annotations

from benchmarks.failover.suite import FailoverSuite
from benchmarks.policy.suite import PolicySuite
from benchmarks.streams.suite import StreamsSuite
from benchmarks.suite import Suite

SUITES: tuple[Suite, ...] = (PolicySuite(), StreamsSuite(), FailoverSuite())
from benchmarks.relay.suite import RelaySuite
from benchmarks.suite import Suite

SUITES: tuple[Suite, ...] = (RelaySuite(), PolicySuite())
NAMES = tuple(suite.name for suite in SUITES)
"""As they are given to ``--only``."""
