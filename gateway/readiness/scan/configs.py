"""Configurations of any kind: what their keys, values, commands and images say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.readiness.scan.documents import (
    Leaf,
    json_leaves,
    setting_leaves,
    toml_leaves,
    yaml_leaves,
)
from gateway.readiness.scan.notes import OURS, Notes
from gateway.readiness.scan.shell import command
from gateway.readiness.scan.source import Source
from gateway.vendors.signals.table import Sign

_COMMANDS = frozenset(
    {"run", "script", "before_script", "after_script", "command", "entrypoint", "cmd", "args"}
)
_PROVIDERS = frozenset({"provider", "llm_provider", "model_provider", "vendor", "type", "kind"})
_ADDRESSES = frozenset({"base_url", "baseurl", "api_base", "apibase", "endpoint", "url", "host"})


def read_json(source: Source, notes: Notes) -> None:
    read_leaves(list(json_leaves(source)), notes)


def read_yaml(source: Source, notes: Notes) -> None:
    read_leaves(list(yaml_leaves(source)), notes)


def read_toml(source: Source, notes: Notes) -> None:
    read_leaves(list(toml_leaves(source)), notes)


def read_settings(source: Source, notes: Notes) -> None:
    read_leaves(list(setting_leaves(source)), notes)


def read_leaves(leaves: Sequence[Leaf], notes: Notes) -> None:
    """Leaves of one document, in its order."""
    asked = _asked(leaves, notes)
    arguments: dict[tuple[str, ...], list[Leaf]] = {}
    for leaf in leaves:
        if not leaf.value:
            _key(leaf, notes)
            continue
        key = leaf.key.lower()
        if key in _COMMANDS:
            arguments.setdefault(_list(leaf), []).append(leaf)
        elif key == "image":
            notes.image(leaf.value, leaf.place)
        elif key == "uses":
            notes.package("actions", leaf.value.partition("@")[0], leaf.place)
        elif "\n" in leaf.value.strip():
            _block(leaf, notes)
        else:
            notes.string(leaf.value, leaf.key, leaf.place, _nearest(leaf.path, asked))
    for found in arguments.values():
        _command(found, notes)


def _key(leaf: Leaf, notes: Notes) -> None:
    if leaf.path:
        notes.variable(leaf.path[-1], leaf.place)


def _list(leaf: Leaf) -> tuple[str, ...]:
    """A list that is one command as a whole has one path for all its items."""
    if leaf.path[-1].isdigit() and leaf.key.lower() in ("command", "args", "entrypoint", "cmd"):
        return leaf.path[:-1]
    return leaf.path


def _command(found: Sequence[Leaf], notes: Notes) -> None:
    first = found[0]
    if len(found) == 1:
        multiline = "\n" in first.value.strip()
        command(first.value, first.place[0] + multiline, notes)
        return
    words = " ".join(f"'{leaf.value}'" if " " in leaf.value else leaf.value for leaf in found)
    command(words, first.place[0], notes)


def _block(leaf: Leaf, notes: Notes) -> None:
    """A text of several lines: it may be a file of settings that is kept in another."""
    for one in setting_leaves(Source(notes.path, leaf.value, b"")):
        line, column = one.place
        at = (leaf.place[0] + line, column)
        if one.value:
            notes.string(one.value, one.key, at)
        else:
            notes.variable(one.key, at)


def _asked(leaves: Iterable[Leaf], notes: Notes) -> Mapping[tuple[str, ...], Sign]:
    """Who is asked in a mapping that names a provider or an address, by the mapping's path."""
    found: dict[tuple[str, ...], Sign] = {}
    for leaf in leaves:
        if not leaf.value or not leaf.path:
            continue
        key, holder = leaf.path[-1].lower(), leaf.path[:-1]
        if key in _PROVIDERS:
            channel = notes.signals.routes.get(leaf.value.lower())
            if channel is not None:
                found[holder] = OURS if channel == "self" else Sign(channel, "unknown")
        elif key in _ADDRESSES and holder not in found:
            host = leaf.value.partition("://")[2].split("/", 1)[0].partition(":")[0]
            sign = notes.signals.host(host) if host else None
            if sign is not None:
                found[holder] = sign
    return found


def _nearest(path: tuple[str, ...], asked: Mapping[tuple[str, ...], Sign]) -> Sign | None:
    return asked.get(path[:-1]) if path else None
