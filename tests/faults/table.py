"""All scenarios, in the order of the specification's table of failures."""

from __future__ import annotations

from tests.faults.refusals import ANSWERS, LEFT, STATUSES
from tests.faults.reports import REPORTS
from tests.faults.row import Mode, Row
from tests.faults.transit import BODIES, CONNECTIONS, STALLS

TABLE: tuple[Row, ...] = (
    *CONNECTIONS,
    *STALLS,
    *BODIES,
    *STATUSES,
    *ANSWERS,
    *LEFT,
    *REPORTS,
)
SCENARIOS: tuple[tuple[Row, Mode], ...] = tuple(
    (row, mode) for row in TABLE for mode in Mode if row.steps(mode)
)
