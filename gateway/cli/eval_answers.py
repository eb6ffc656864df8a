"""The answers of an evaluation, for whoever wants to read them: one file a target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from gateway.errors import StateError
from gateway.files import write_atomically
from gateway.readiness.evaluation.results import Result


def write_answers(folder: Path, targets: Iterable[str], results: Sequence[Result]) -> None:
    """``<target>.jsonl`` for each that was asked, in the order of the prompts; for our own eyes
    only. Raises StateError.
    """
    for target in targets:
        of = [result for result in results if result.target == target]
        if not of:
            continue
        of.sort(key=lambda result: (result.repetition, result.case.line))
        path = folder / f"{quote(target, safe='@:+')}.jsonl"
        lines = b"".join(msgspec.json.encode(_line(result)) + b"\n" for result in of)
        try:
            write_atomically(path, lines)
        except OSError as error:
            raise StateError(f"{path} cannot be written: {error.strerror}") from error


def _line(result: Result) -> dict[str, object]:
    heard = result.asked.heard
    return {
        "id": result.case.id,
        "repetition": result.repetition,
        "outcome": result.outcome,
        "error": result.asked.error,
        "message": heard.failure,
        "checks": result.checks,
        "text": heard.text,
        "thoughts": heard.thoughts,
        "calls": heard.calls,
        "finish_reason": heard.reason,
        "first_token_seconds": heard.first,
        "seconds": heard.seconds,
        "usage": heard.usage,
        "cost": result.asked.cost,
    }
