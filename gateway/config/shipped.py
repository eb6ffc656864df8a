"""Reads the data about vendors that ships with the package."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

from gateway.errors import StateError
from gateway.vendors.catalog import Catalog
from gateway.vendors.identity_table import IdentityTable
from gateway.vendors.routers import Router, routers


def load_catalog() -> Catalog:
    """The catalog of ``gateway/vendors/catalog.toml``."""
    return Catalog.from_mapping(_read("catalog.toml"))


def load_identities(catalog: Catalog) -> IdentityTable:
    """The table of ``gateway/vendors/identities.toml``."""
    return IdentityTable.from_mapping(_read("identities.toml"), catalog)


def load_routers(catalog: Catalog) -> dict[str, Router]:
    """The routers of ``gateway/vendors/routers.toml``, by vendor id."""
    return routers(_read("routers.toml"), catalog)


def _read(name: str) -> dict[str, Any]:
    try:
        text = resources.files("gateway.vendors").joinpath(name).read_text("utf-8")
        return tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StateError(f"{name} cannot be read; reinstall the package: {error}") from None
