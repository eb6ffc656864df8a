"""Logs, as they come out of a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

CANARY = "sk-canary-0123456789"

_BEGIN = """
import asyncio, logging, sys, warnings
import structlog
from gateway.processes.logs import Format, Level, Logs, configure_logs
configure_logs(Logs(Format(sys.argv[1]), Level(sys.argv[2])))
log = structlog.get_logger("x")
"""


def run(program: str, format: str = "json", level: str = "info") -> str:
    """What a program writes to standard error; nothing may be on standard output."""
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + program, format, level],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


def lines(program: str, **how: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(program, **how).splitlines()]


def test_a_line_of_json_begins_with_when_and_what() -> None:
    (line,) = run("log.warning('it_happened', model='m', number=3, path=[1])").splitlines()
    found = json.loads(line)
    assert list(found) == ["timestamp", "level", "event", "model", "number", "path"]
    assert (found["level"], found["event"], found["number"]) == ("warning", "it_happened", 3)


def test_what_others_log_and_warn_of_goes_the_same_way() -> None:
    """From the level of warnings on; Python's own loggers, and its warnings."""
    program = """
logging.getLogger("uvicorn.error").info("unheard")
logging.getLogger("uvicorn.error").warning("%s requests", 3)
warnings.warn("old", FutureWarning)
"""
    first, second = lines(program)
    assert (first["logger"], first["event"], first["level"]) == (
        "uvicorn.error",
        "3 requests",
        "warning",
    )
    assert second["logger"] == "py.warnings"
    assert "FutureWarning: old" in second["event"]


@pytest.mark.parametrize(
    ("level", "heard"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_less_than_the_level_is_not_written(level: str, heard: int) -> None:
    program = "for name in ('debug', 'info', 'warning', 'error'): getattr(log, name)('said')"
    assert len(lines(program, level=level)) == heard


def test_the_id_of_a_request_is_on_all_of_its_lines() -> None:
    program = """
from gateway.audit.journal import Journal
from gateway.audit.record import Record
from datetime import datetime, UTC
class Nowhere:
    def begin(self): pass
    def write(self, record, transcript): pass
with Journal(Nowhere()).request(Record(id="r-1", at=datetime.now(UTC), api="a")):
    log.info("ours")
    logging.getLogger("theirs").error("theirs")
log.info("nobodys")
"""
    assert [line.get("request_id") for line in lines(program)] == ["r-1", "r-1", None]


RAISING = f"""
def deep(text): raise ValueError(f"cannot read {{text}}")
def fails():
    try: deep({CANARY!r})
    except ValueError as error: raise KeyError({CANARY!r}) from error
"""


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize(
    "how",
    [
        "try: fails()\nexcept KeyError: log.exception('it_failed')",
        "try: fails()\nexcept KeyError as error: log.error('it_failed', exc_info=error)",
        "try: fails()\nexcept KeyError: logging.getLogger('x').exception('it_failed')",
        # A task whose exception nobody takes: asyncio writes out the task, exception and all.
        "async def work(): fails()\n"
        "async def main(): task = asyncio.create_task(work()); await asyncio.sleep(0); del task\n"
        "asyncio.run(main())",
    ],
)
def test_an_exception_is_told_by_its_kind_and_place_and_not_by_what_it_says(
    format: str, how: str
) -> None:
    """It may hold a prompt or a key: whoever raised it did not think of logs."""
    text = run(RAISING + how, format=format)
    assert CANARY not in text
    assert "builtins.KeyError" in text
    assert "builtins.ValueError" in text
    assert "deep" in text


def test_people_get_lines_for_people_and_no_colours_in_a_file() -> None:
    text = run("log.info('it_happened', model='m')", format="console")
    assert "it_happened" in text
    assert "model=m" in text
    assert "\x1b" not in text


def test_a_line_that_cannot_be_written_ends_nothing() -> None:
    """Standard error is on a disk that is full."""
    program = "log.error('a'); logging.getLogger('b').error('b'); print('it goes on')"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", _BEGIN + program, "json", "info"],
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.stdout == "it goes on\n"
