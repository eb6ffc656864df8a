"""Reads the data that ships with the package: of vendors, and of prices."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib import resources
from typing import Any

from gateway.errors import StateError
from gateway.vendors.catalog import Catalog
from gateway.vendors.identity_table import IdentityTable
from gateway.vendors.routers import Router, routers
from gateway.vendors.signals.table import Signals


def load_catalog() -> Catalog:
    """The catalog of ``gateway/vendors/catalog.toml``."""
    return Catalog.from_mapping(_read("catalog.toml"))


def load_identities(catalog: Catalog) -> IdentityTable:
    """The table of ``gateway/vendors/identities.toml``."""
    return IdentityTable.from_mapping(_read("identities.toml"), catalog)


def load_routers(catalog: Catalog) -> dict[str, Router]:
    """The routers of ``gateway/vendors/routers.toml``, by vendor id."""
    return routers(_read("routers.toml"), catalog)


def load_signals(catalog: Catalog) -> Signals:
    """The tables of ``gateway/vendors/signals``: what tells a vendor in files and logs."""
    package = "gateway.vendors.signals"
    files = ("packages.toml", "hosts.toml", "names.toml")
    packages, hosts, names = (_read(name, package) for name in files)
    return Signals(packages, hosts, names, catalog)


def load_prices() -> dict[str, Any]:
    """``gateway/access/prices.toml``, with its amounts as decimal fractions."""
    return _read("prices.toml", "gateway.access")


def _read(name: str, package: str = "gateway.vendors") -> dict[str, Any]:
    try:
        text = resources.files(package).joinpath(name).read_text("utf-8")
        return tomllib.loads(text, parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise StateError(f"{name} cannot be read; reinstall the package: {error}") from None
