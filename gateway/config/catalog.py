"""Reads the vendor catalog that ships with the package."""

from __future__ import annotations

import tomllib
from importlib import resources

from gateway.errors import StateError
from gateway.vendors.catalog import Catalog


def load_catalog() -> Catalog:
    """The catalog of ``gateway/vendors/catalog.toml``."""
    try:
        text = resources.files("gateway.vendors").joinpath("catalog.toml").read_text("utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StateError(
            f"the vendor catalog cannot be read; reinstall the package: {error}"
        ) from None
    return Catalog.from_mapping(data)
