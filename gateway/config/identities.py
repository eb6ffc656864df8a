"""Reads the identity table that ships with the package."""

from __future__ import annotations

import tomllib
from importlib import resources

from gateway.errors import StateError
from gateway.vendors.catalog import Catalog
from gateway.vendors.identity_table import IdentityTable


def load_identities(catalog: Catalog) -> IdentityTable:
    """The table of ``gateway/vendors/identities.toml``."""
    try:
        text = resources.files("gateway.vendors").joinpath("identities.toml").read_text("utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StateError(
            f"the identity table cannot be read; reinstall the package: {error}"
        ) from None
    return IdentityTable.from_mapping(data, catalog)
