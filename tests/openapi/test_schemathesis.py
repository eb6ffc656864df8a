"""A short form of ``make test-openapi``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.end_to_end.running import RunningGateway
from tests.openapi.run import run, text

pytestmark = pytest.mark.alone


@pytest.mark.timeout(300)
def test_what_is_documented_is_what_is_answered(tmp_path: Path) -> None:
    """No 5xx, no status, content type or body that the document does not have; bodies that break
    the schemas are refused, and many of those that do not are answered by the real model.
    """
    with RunningGateway(tmp_path, text(), key=None) as gateway:
        done = run(gateway, examples=5, seed=1)
        assert done.returncode == 0, done.stdout + done.stderr
        outcomes = Counter(record["outcome"] for record in gateway.records())
        assert outcomes["served"] > 100, outcomes
        assert "internal_error" not in outcomes
