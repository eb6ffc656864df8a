"""Memory that is kept is not asked of the kernel again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_ROUNDS = 100
_PROMPTS = """
import resource, sys
from gateway.processes.memory import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
def copies():
    return [bytearray(300_000) for _ in range(4)]
copies()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    copies()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="mallopt is the GNU C library's"
)


def _faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _PROMPTS, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_copies_of_prompts_come_to_lie_where_others_lay() -> None:
    # Four copies have some 290 pages: what is given back is asked for again each time.
    assert _faults("kept") < 10 * _ROUNDS < _faults("as it comes")
