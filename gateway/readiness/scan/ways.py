"""By which way a lock file comes to a package: from what is asked for to what only others need."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.readiness.scan.notes import Notes, Place


def ways(edges: Mapping[str, Sequence[str]], roots: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The shortest way to each package, itself included, that begins with one of ``roots``."""
    found: dict[str, tuple[str, ...]] = {}
    waiting: deque[tuple[str, tuple[str, ...]]] = deque((root, ()) for root in roots)
    while waiting:
        name, before = waiting.popleft()
        if name in found:
            continue
        found[name] = (*before, name)
        waiting.extend((needed, found[name]) for needed in edges.get(name, ()))
    return found


def tops(edges: Mapping[str, Sequence[str]]) -> list[str]:
    """What no other package needs: what was asked for, where a lock file does not say it."""
    needed = {one for name, others in edges.items() for one in others if one != name}
    return [name for name in edges if name not in needed] or list(edges)


def note_all(
    registry: str,
    edges: Mapping[str, Sequence[str]],
    direct: Iterable[str],
    place: Callable[[str], Place],
    notes: Notes,
) -> None:
    """Note every package of a lock file that is known, with its way."""
    direct = list(direct)
    found = ways(edges, direct)
    asked = set(direct)
    for name in edges:
        if notes.signals.package(registry, name) is None:
            continue
        way = found.get(name, (name,))
        transitive = name not in asked
        notes.package(
            registry, name, place(name), via=way if len(way) > 1 else (), transitive=transitive
        )
