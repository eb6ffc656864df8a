"""Where the configuration says that things are: its paths, and the two folders by which a running
gateway is found. Whoever must act at once reads no more of it than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gateway.config.documents import parse_leniently, read_bytes
from gateway.config.origins import environment_layer, flag_layer, merge

PATHS: tuple[tuple[str, str], ...] = (
    ("local", "manifests"),
    ("translate", "python"),
    ("state", "dir"),
    ("policy", "dir"),
    ("policy", "designations"),
)
INNER_PATHS: tuple[tuple[str, str, str], ...] = (
    ("audit", "checkpoints", "copy_to"),
    ("audit", "content", "dir"),
)


class Folders(NamedTuple):
    """Absolute."""

    state: Path
    policy: Path


def folders(file: Path, overrides: Mapping[str, object], environ: Mapping[str, str]) -> Folders:
    """Where state and policy are, whatever else is wrong with the configuration. Raises
    DocumentError where nothing of it can be read.
    """
    file = file.absolute()
    document, _ = parse_leniently(read_bytes(file), str(file))
    base: dict[str, Any] = document.data if isinstance(document.data, dict) else {}
    variables = environment_layer(environ, base).values
    usual = defaults(file.parent)
    merged = merge(usual, base, variables, flag_layer(overrides, PATHS).values)
    make_absolute(merged, file.parent)

    def folder(section: str) -> Path:
        found = mapping(merged, section).get("dir")
        return found if isinstance(found, Path) else Path(usual[section]["dir"])

    return Folders(folder("state"), folder("policy"))


def defaults(folder: Path) -> dict[str, Any]:
    """Paths that have no other default, by section, for a configuration in that folder."""
    return {
        "local": {"manifests": (folder / "../models").resolve()},
        # Not resolved to its end: an interpreter is of a virtual environment by where it is called.
        "translate": {"python": (folder / "../.venv-translate").resolve() / "bin/python"},
        "state": {"dir": (folder / "../var").resolve()},
        "policy": {"dir": folder / "policies", "designations": folder / "designations"},
    }


def make_absolute(values: dict[str, Any], folder: Path) -> None:
    """Paths as they are written, from that folder on; ``values`` is changed."""
    for section, key in PATHS:
        inner = values.get(section)
        if isinstance(inner, dict) and isinstance(inner.get(key), str):
            inner[key] = folder / Path(inner[key]).expanduser()

    for outer, section, key in INNER_PATHS:
        inner = mapping(mapping(values, outer), section)
        if isinstance(inner, dict) and isinstance(inner.get(key), str):
            inner[key] = folder / Path(inner[key]).expanduser()

    for channel, word in _tls_sections(values):
        files = channel.get(word)
        for key in ("ca", "certificate", "key"):
            if isinstance(files, dict) and isinstance(files.get(key), str):
                files[key] = folder / Path(files[key]).expanduser()


def _tls_sections(values: Mapping[str, Any]) -> Iterable[tuple[Mapping[str, Any], str]]:
    """Each mapping that may name files of TLS, with the key that it does so by."""
    for channel in mapping(values, "channels").values():
        if isinstance(channel, dict):
            yield from ((channel, "tls"), (channel, "proxy_tls"))
    yield mapping(values, "upstream"), "proxy_tls"
    oidc = mapping(mapping(values, "access"), "oidc")
    yield from ((oidc, "tls"), (oidc, "proxy_tls"))


def mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What is there by that key, empty where that is no mapping."""
    inner = data.get(key)
    return inner if isinstance(inner, dict) else {}
