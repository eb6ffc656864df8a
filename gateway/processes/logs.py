"""Logs of every process of ours: one line an event, on standard error, JSON or for people. Never a
key, prompt or answer. A line that cannot be written (a full disk, a reader that is gone) is lost,
and nothing else: no work and no request fails for it.

An exception is told by its type and the places that it came through. Its message is left out: that
of one that nobody foresaw may hold anything that the process had in its hands.
"""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from enum import StrEnum

import msgspec
import structlog
from structlog.typing import EventDict, Processor

_FIRST_LINE_ONLY = ("asyncio",)
"""Loggers that write out objects behind their message's first line, with what those hold."""


class Format(StrEnum):
    AUTO = "auto"
    """For people on a terminal, else JSON."""
    JSON = "json"
    CONSOLE = "console"


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """As the ``logging`` module counts."""
        return int(getattr(logging, self.upper()))


class Logs(msgspec.Struct, frozen=True):
    """How a process logs."""

    format: Format = Format.AUTO
    level: Level = Level.INFO


def configure_logs(logs: Logs) -> None:
    """Set up logging for this process; to standard error, so that output stays clean. What others
    write by the ``logging`` module (uvicorn, asyncio) and warnings go the same way.
    """
    structlog.configure(
        processors=_processors(logs.format),
        wrapper_class=structlog.make_filtering_bound_logger(logs.level.number),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    root.addHandler(_Others())
    root.setLevel(max(logs.level.number, logging.WARNING))
    logging.captureWarnings(True)


class _Lines:
    """A logger that structlog gives each line when it is made."""

    def msg(self, line: str) -> None:
        write(f"{line}\n")

    debug = info = warning = error = critical = msg


def write(lines: str) -> None:
    """Whole lines, as they are, for who has made them."""
    with suppress(OSError, ValueError):
        sys.stderr.write(lines)
        sys.stderr.flush()


def rendered(level: str, event: EventDict) -> str:
    """A line as a logger would write it now, for who writes many at once."""
    for processor in structlog.get_config()["processors"]:
        event = processor(None, level, event)
    return str(event)


def are_json() -> bool:
    """Whether lines are JSON now, or for people."""
    last = structlog.get_config()["processors"][-1]
    return isinstance(last, structlog.processors.JSONRenderer)


def _processors(format: Format) -> list[Processor]:
    console = format is Format.CONSOLE or (format is Format.AUTO and sys.stderr.isatty())
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_messages,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if console
        else structlog.processors.JSONRenderer(serializer=_json),
    ]


def _json(event: EventDict, **_: object) -> str:
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return msgspec.json.encode({**first, **event}, enc_hook=str).decode()


def _without_messages(_: object, __: str, event: EventDict) -> EventDict:
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    elif isinstance(found, BaseException):
        found = (type(found), found, found.__traceback__)
    if isinstance(found, tuple) and found[1] is not None:
        event["exception"] = "\n".join(_told(found[1]))
    return event


def _told(error: BaseException) -> list[str]:
    """Innermost cause first, as Python tells them."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    kind = type(error)
    return [
        *(_told(before) if before is not None else ()),
        f"{kind.__module__}.{kind.__qualname__}",
        *(
            f"  {frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
            for frame, line in traceback.walk_tb(error.__traceback__)
        ),
    ]


class _Others(logging.Handler):
    """What others log, as an event of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.name in _FIRST_LINE_ONLY:
            text = text.partition("\n")[0]
        event: EventDict = {"event": text, "logger": record.name}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        write(rendered(record.levelname.lower(), event) + "\n")
