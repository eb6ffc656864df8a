"""Notebooks: their code cells, by the syntax tree of Python. What they printed is not looked at."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from gateway.readiness.scan.notes import Note, Notes
from gateway.readiness.scan.python_code import read_python
from gateway.readiness.scan.shell import command
from gateway.readiness.scan.source import Source, Unreadable
from gateway.readiness.scan.tables import items, json_data, rows, table, text

_MAGIC = re.compile(r"^[ \t]*(?:[!%]+[ \t]*(?:sx |sh |pip |system )?)(.*)$")


def read_notebook(source: Source, notes: Notes) -> None:
    """Each finding has the line of the notebook's own text where its line of code stands."""
    data = table(json_data(source))
    for number, cell in enumerate(rows(data.get("cells")), 1):
        if text(cell.get("cell_type")) != "code":
            continue
        lines = cell.get("source")
        whole = lines if isinstance(lines, str) else "".join(map(text, items(lines)))
        _cell(whole, number, source, notes)


def _cell(whole: str, number: int, source: Source, notes: Notes) -> None:
    inner = Notes(notes.signals, notes.path)
    kept = []
    for at, line in enumerate(whole.splitlines(), 1):
        magic = _MAGIC.match(line)
        if magic is not None:
            said = line.strip().lstrip("!%").strip()
            command(said, at, inner)
        kept.append("" if magic is not None else line)
    try:
        read_python(Source(source.path, "\n".join(kept), b""), inner)
    except Unreadable as error:
        notes.unread.append(f"cell {number}: {error}")
    for note in inner.taken:
        seen = whole.splitlines()[note.place[0] - 1 : note.place[0]]
        notes.taken.append(_placed(note, seen[0] if seen else "", source))


def _placed(note: Note, line: str, source: Source) -> Note:
    escaped = json.dumps(line.strip(), ensure_ascii=False)[1:-1]
    return replace(note, place=source.find(escaped) if escaped else (0, 0))
