"""All suites, in the order in which they run and stand on the page."""

from __future__ import annotations

from benchmarks.policy.suite import PolicySuite
from benchmarks.suite import Suite

SUITES: tuple[Suite, ...] = (PolicySuite(),)
NAMES = tuple(suite.name for suite in SUITES)
