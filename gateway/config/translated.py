"""What a channel that is translated is given: its credentials by litellm's names, its addresses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.channels import ChannelSection
from gateway.config.proxying import DIRECT
from gateway.config.settings import Settings
from gateway.domain.providers import PROVIDERS, Provider
from gateway.errors import StateError

_SECRETS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")


@dataclass(frozen=True, slots=True)
class Translation:
    """``provider`` and the names of ``parameters`` and ``credentials`` are litellm's; ``base_url``
    is where the API is, if litellm does not know it; ``addresses`` are all base URLs that may be
    dialled; ``authorities`` are PEM certificates that are trusted in place of the system's.
    """

    provider: str
    base_url: str | None
    addresses: tuple[str, ...]
    parameters: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)
    authorities: str | None = None


def translations(settings: Settings, environ: Mapping[str, str]) -> dict[str, Translation]:
    """Those of the channels whose credentials are set, and before which is no proxy: a translator
    goes through none. Raises StateError for a secret that cannot be read, or is not what it must
    be.
    """
    found = {}
    for name, section in settings.channels.items():
        direct = (section.proxy or settings.upstream.proxy or DIRECT) == DIRECT
        if section.translated is not None and direct:
            translation = _translation(section, section.translated, environ, settings.folder)
            if translation is not None:
                found[name] = translation
    return found


def _translation(
    section: ChannelSection, provider: str, environ: Mapping[str, str], folder: Path
) -> Translation | None:
    secrets = {name: getattr(section, name) for name in _SECRETS}
    secrets["api_key"] = section.api_key[0] if section.api_key else None
    given = {
        name: value
        for name, secret in secrets.items()
        if secret is not None and (value := secret.resolve(environ, folder)) is not None
    }
    account = None
    if section.service_account is not None:
        account = section.service_account.document(folder)
    known = PROVIDERS.get(provider, Provider(""))
    has = {*given, *(() if account is None else ("service_account",))}
    if not any(has.issuperset(way) for way in known.credentials):
        return None
    addresses = known.addresses(section.region) if known.api else ()
    base_url = section.base_url or (addresses[0] if known.told else None)
    if section.base_url is not None:
        addresses = (section.base_url, *known.also)
    if account is not None:
        given["vertex_credentials"] = account
        addresses += (_token_endpoint(account, section),)
    parameters = _parameters(provider, section)
    return Translation(provider, base_url, addresses, parameters, given, _authorities(section))


def _authorities(section: ChannelSection) -> str | None:
    """The file was read when the configuration was checked."""
    if section.tls is None or section.tls.ca is None:
        return None
    try:
        return section.tls.ca.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"{section.tls.ca} cannot be read: {error}") from None


def _parameters(provider: str, section: ChannelSection) -> dict[str, str]:
    """What is no secret, as litellm calls it."""
    names = {
        "bedrock": {"aws_region_name": section.region},
        "vertex_ai": {"vertex_project": section.project, "vertex_location": section.region},
        "watsonx": {"project_id": section.project},
    }
    given = names.get(provider, {}).items()
    return {name: value for name, value in given if value is not None}


def _token_endpoint(account: str, section: ChannelSection) -> str:
    """Where a service account says that its tokens are had. Raises StateError."""
    try:
        address = json.loads(account)["token_uri"]
    except (ValueError, KeyError, TypeError):
        address = None
    if not isinstance(address, str) or not address.startswith(("https://", "http://127.0.0.1:")):
        raise StateError(f"{section.service_account} is no service account with a token_uri")
    return address
