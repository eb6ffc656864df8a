"""Files that were cut, torn and mixed: whatever a reader makes of one, it raises nothing."""

from __future__ import annotations

import random

import pytest

from gateway.readiness.scan.kinds import is_log
from tests.scan.corpus import Snippet, reader, snippets

ALL = snippets()
PIECES = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "`",
    "\\",
    "\n",
    "\t",
    ":",
    "=",
    "#",
    "<!--",
    "/*",
    "*/",
    "${",
]
PIECES += [
    '"""',
    "{{",
    "$",
    "@",
    "- ",
    "\0",
    "\ud7ff",
    "\x1b[31m",
    "arn:aws:bedrock:::x/",
    "://",
    "%",
]


def mutated(text: str, draw: random.Random) -> str:
    for _ in range(draw.randint(1, 4)):
        at = draw.randint(0, len(text))
        end = min(len(text), at + draw.randint(0, 12))
        kind = draw.randint(0, 3)
        if kind == 0:
            text = text[:at] + text[end:]
        elif kind == 1:
            text = text[:at] + draw.choice(PIECES) * draw.randint(1, 3) + text[at:]
        elif kind == 2:
            text = text[:at]
        else:
            text = text[:at] + text[end:] + text[at:end]
    return text


@pytest.mark.parametrize("snippet", ALL, ids=[one.name for one in ALL])
def test_a_reader_ends_and_raises_nothing(snippet: Snippet) -> None:
    draw = random.Random(snippet.name)
    others = draw.sample(ALL, 3)
    for number in range(25):
        text = mutated(snippet.text, draw)
        # What has another kind's content is a file of its own kind all the same.
        file = snippet.file if number % 4 else draw.choice(others).file
        data = text.encode("utf-8", "surrogatepass")
        if is_log(file):
            reader().log(file, data.splitlines(keepends=True), certain=False)
        else:
            reader().text(file, data)
