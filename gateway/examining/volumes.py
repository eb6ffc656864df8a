"""Where our folders lie, and what is left there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.config.settings import Settings
from gateway.readiness.doctor.examined import Volume


def volumes(settings: Settings) -> tuple[Volume, ...]:
    """One for each file system, by the first of our folders on it."""
    found: dict[int, Volume] = {}
    for path, use in _folders(settings):
        there = existing(path)
        device = there.stat().st_dev
        known = found.get(device)
        if known is None:
            what = os.statvfs(there)
            found[device] = Volume(
                path,
                (use,),
                what.f_bavail * what.f_frsize,
                what.f_files,
                what.f_favail,
            )
        else:
            found[device] = Volume(
                known.path, (*known.uses, use), known.free, known.inodes, known.free_inodes
            )
    return tuple(found.values())


def unusable(state: Path) -> str:
    """Why the state's folder cannot be written by this user; empty where it can."""
    there = existing(state)
    if not there.is_dir():
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return "it cannot be written" if there == state else f"{there} cannot be written"
    return ""


def existing(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())


def _folders(settings: Settings) -> Iterator[tuple[Path, str]]:
    yield settings.state.dir, "the state"
    yield settings.state.dir, "the audit log"
    if settings.audit.content is not None:
        yield settings.audit.content.dir, "prompts and answers"
    yield settings.local.manifests, "models"
