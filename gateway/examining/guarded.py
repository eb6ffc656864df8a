"""Who may do what with the files that the gateway goes by."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.access.layout import FILE as LIMITS
from gateway.access.repository import FILE as KEYS
from gateway.audit.checkpoint import KEYS as CHECKPOINTS
from gateway.audit.checkpoint import PRIVATE
from gateway.auditing import audit_folder
from gateway.config.credential import FILE as CREDENTIAL
from gateway.config.presence import run_dir
from gateway.config.references import referred, secrets
from gateway.config.settings import Settings
from gateway.config.signing import SIGNATURE
from gateway.inventory import Inventory
from gateway.readiness.doctor.examined import Guarded

POLICY_KEY = "GATEWAY_POLICY_KEY"


def guarded(
    settings: Settings, inventory: Inventory, environ: Mapping[str, str]
) -> Iterator[Guarded]:
    """Those that are there, each once."""
    seen: set[Path] = set()
    for path, what, secret in _all(settings, inventory, environ):
        if path in seen or not path.exists():
            continue
        seen.add(path)
        stat = path.stat()
        alone = _alone(stat.st_uid, stat.st_gid)
        yield Guarded(path, what, secret, stat.st_mode, stat.st_uid, alone)


def _alone(user: int, group: int) -> bool:
    """Whether a group has nobody in it but that user: one of the user's own, as most systems make
    it, has the user's name.
    """
    try:
        name, found = pwd.getpwuid(user).pw_name, grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == name and set(found.gr_mem) <= {name}


def _all(
    settings: Settings, inventory: Inventory, environ: Mapping[str, str]
) -> Iterator[tuple[Path, str, bool]]:
    """Each with what it is, and whether it is a secret."""
    yield settings.folder, "the configuration's folder", False
    yield settings.file, "the configuration", False
    for folder, what in (
        (settings.policy.dir, "the policy"),
        (settings.policy.designations, "the designations"),
    ):
        yield folder, what, False
        yield from ((path, what, False) for path in sorted(folder.glob("*.yaml")))
        yield folder / SIGNATURE, what, False
    for path in sorted(secrets(settings)):
        yield path, "a secret", True
    if POLICY_KEY in environ:
        yield Path(environ[POLICY_KEY]), "the key that signs the policy", True
    yield from ((path, "what the configuration refers to", False) for path in referred(settings))
    yield settings.local.manifests, "the models' folder", False
    for model in inventory.local.values():
        yield model.manifest.path, "a model", False
    yield from _state(settings)


def _state(settings: Settings) -> Iterator[tuple[Path, str, bool]]:
    folder, log = settings.state.dir, audit_folder(settings)
    yield folder, "the state's folder", False
    yield folder / KEYS, "the keys", True
    yield folder / LIMITS, "what keys have used", False
    yield run_dir(settings) / CREDENTIAL, "this machine's credential", True
    for path in sorted(folder.glob("responses-*.sqlite3")):
        yield path, "answers that are kept", True
    yield log, "the audit log's folder", False
    yield from ((path, "the audit log", True) for path in sorted(log.glob("audit-*.jsonl")))
    yield log / CHECKPOINTS / PRIVATE, "the audit log's key", True
    if settings.audit.content is not None:
        yield settings.audit.content.dir, "prompts and answers", False
