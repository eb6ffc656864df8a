"""The files that a configuration refers to: keys, certificates, manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from pydantic import BaseModel

from gateway.config.secrets import Secret
from gateway.config.settings import Settings
from gateway.config.tls import TlsSection

_FILE = "file:"


def referred(settings: Settings) -> frozenset[Path]:
    """All of them, absolute, whether they are there or not."""
    found = {settings.folder / path for path in _paths((settings.channels, settings.upstream))}
    found |= referred_by_access(settings)
    found |= {
        settings.folder / Path(word.removeprefix(_FILE)).expanduser()
        for word in settings.policy.public_keys
        if word.startswith(_FILE)
    }
    folder = settings.local.manifests
    found |= {folder / f"{model.manifest}.yaml" for model in settings.local.models.values()}
    return frozenset(found)


def referred_by(settings: Settings, channel: str) -> frozenset[Path]:
    """Those of one channel, and of what it shares with all others."""
    values = (settings.channels[channel], settings.upstream)
    return frozenset(settings.folder / path for path in _paths(values))


def referred_by_access(settings: Settings) -> frozenset[Path]:
    """Those of the issuer of tokens, and of what it shares with the channels."""
    oidc = settings.access.oidc
    if oidc is None:
        return frozenset()
    found = {settings.folder / path for path in _paths((oidc, settings.upstream))}
    jwks = oidc.file(settings.folder)
    return frozenset(found if jwks is None else {*found, jwks})


def secrets(settings: Settings) -> frozenset[Path]:
    """Those that nobody else is to read: keys of every kind, absolute."""
    return frozenset(settings.folder / path for path in _secrets(settings))


def contents(files: Iterable[Path]) -> tuple[tuple[str, str], ...]:
    """What tells these files from what they were. Of secrets: never to be told to anybody."""
    return tuple((str(path), _digest(path)) for path in sorted(files))


def _digest(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"{error.strerror}"


def _secrets(value: object) -> Iterator[Path]:
    match value:
        case Secret(file=str(file)):
            yield Path(file).expanduser()
        case TlsSection(key=Path() as key):
            yield key.expanduser()
        case BaseModel():
            for name in type(value).model_fields:
                yield from _secrets(getattr(value, name))
        case Mapping():
            yield from _secrets(tuple(value.values()))
        case tuple() | list():
            for one in value:
                yield from _secrets(one)


def _paths(value: object) -> Iterator[Path]:
    match value:
        case Secret(file=str(file)):
            yield Path(file).expanduser()
        case Path():
            yield value.expanduser()
        case BaseModel():
            for name in type(value).model_fields:
                yield from _paths(getattr(value, name))
        case Mapping():
            yield from _paths(tuple(value.values()))
        case tuple() | list():
            for one in value:
                yield from _paths(one)
