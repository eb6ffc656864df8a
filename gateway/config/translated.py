"""What a channel that is translated is given: its credentials by litellm's names, its addresses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.sections import ChannelSection
from gateway.config.settings import Settings
from gateway.domain.providers import PROVIDERS, Provider
from gateway.errors import StateError

_SECRETS = ("api_key", "aws_access_key_id", "aws_secret_access_key", "aws_session_token")


@dataclass(frozen=True, slots=True)
class Translation:
    """``provider`` and the names of ``parameters`` and ``credentials`` are litellm's; ``base_url``
    is where the API is, if litellm does not know it; ``addresses`` are all base URLs that may be
    dialled.
    """

    provider: str
    base_url: str | None
    addresses: tuple[str, ...]
    parameters: Mapping[str, str]
    credentials: Mapping[str, str] = field(repr=False)


def translations(settings: Settings, environ: Mapping[str, str]) -> dict[str, Translation]:
    """Those of the channels whose credentials are set. Raises StateError for a secret that cannot
    be read, or is not what it must be.
    """
    found = {}
    for name, section in settings.channels.items():
        if section.translated is not None:
            translation = _translation(section, section.translated, environ, settings.folder)
            if translation is not None:
                found[name] = translation
    return found


def _translation(
    section: ChannelSection, provider: str, environ: Mapping[str, str], folder: Path
) -> Translation | None:
    given = {
        name: value
        for name in _SECRETS
        if (secret := getattr(section, name)) is not None
        and (value := secret.resolve(environ, folder)) is not None
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
    return Translation(provider, base_url, addresses, _parameters(provider, section), given)


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
