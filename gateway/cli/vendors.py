"""``gateway vendors``: who is who, what was published about them, and where that is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import Moment, config_option, format_option, policy_option
from gateway.cli.settled import settings_of
from gateway.cli.vendors_import import import_
from gateway.config.designations import load_designations
from gateway.config.schema import nearest
from gateway.config.settings import Settings
from gateway.config.shipped import load_identities
from gateway.errors import StartupError
from gateway.inventory import Inventory
from gateway.vendors.catalog import Catalog, Vendor
from gateway.vendors.designations import Designation, Status
from gateway.vendors.identity_table import LegalIdentity


@click.group()
def vendors() -> None:
    """Say who is behind an id, and what is known of a vendor.

    Example: gateway vendors show anthropic
    """


vendors.add_command(import_)


@dataclass(frozen=True, slots=True)
class Resolved:
    """One line of ``resolve``: the keys of the specification, in its order."""

    id: str
    channel: str
    developer: str
    model: str
    lineage: tuple[str, ...]
    locality: str
    source: str


@vendors.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--channel", help="A channel of the configuration.  [default: the id's first part]")
@config_option
@policy_option
@format_option
def resolve(
    ids: tuple[str, ...], channel: str | None, config: Path, policy_dir: Path | None, format_: str
) -> None:
    """Say who is behind each id, and which row of the catalog says so.

    Example: gateway vendors resolve bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0
    """
    inventory = Inventory(settings_of(config, policy_dir))
    if channel is not None and channel not in inventory.facts:
        hint = nearest(channel, inventory.facts)
        raise click.BadParameter(f"no channel {channel!r} is configured. {hint}".rstrip())
    found = [_resolved(inventory, id, channel) for id in ids]
    if format_ == "json":
        click.echo(json.dumps([asdict(line) for line in found], indent=2))
        return
    for line in found:
        lineage = f", lineage {' '.join(line.lineage)}" if line.lineage else ""
        click.secho(line.id, bold=True)
        click.echo(
            f"  channel {line.channel}, developer {line.developer}, model {line.model or 'none'}"
            f"{lineage}, {line.locality}\n  by {line.source}"
        )


def _resolved(inventory: Inventory, id: str, channel: str | None) -> Resolved:
    identity = inventory.identity(id if channel is None else f"{channel}/{id}")
    return Resolved(
        id=id,
        channel=identity.channel,
        developer=identity.developer,
        model=identity.model,
        lineage=identity.lineage,
        locality=identity.locality.value,
        source=identity.source,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A vendor's row of the catalog. ``channels`` are those of the configuration that it operates,
    ``jurisdiction`` its home and those of its parents.
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    kind: tuple[str, ...]
    home: str
    jurisdiction: tuple[str, ...]
    parents: tuple[str, ...]
    channels: tuple[str, ...]
    source: str
    retrieved: date
    checked: bool


@vendors.command("list")
@config_option
@policy_option
@format_option
def list_(config: Path, policy_dir: Path | None, format_: str) -> None:
    """Print every vendor of the catalog.

    Example: gateway vendors list --format json
    """
    settings = settings_of(config, policy_dir)
    catalog = Inventory(settings).catalog
    rows = [_shown(vendor, catalog, settings) for vendor in _all(catalog)]
    if format_ == "json":
        click.echo(json.dumps([asdict(row) for row in rows], indent=2, default=str))
        return
    for row in rows:
        parents = f", of {' '.join(row.parents)}" if row.parents else ""
        click.echo(f"{row.id:<14}{row.home}  {row.name} ({', '.join(row.kind)}{parents})")
    click.echo(f"{len(rows)} vendors, catalog {catalog.version}")


@vendors.command()
@click.argument("vendor")
@click.option("--at", type=Moment(), help="The instant to tell statuses for.  [default: now]")
@config_option
@policy_option
@format_option
def show(
    vendor: str, at: datetime | None, config: Path, policy_dir: Path | None, format_: str
) -> None:
    """Print what is known of a vendor: its row, its legal names, what was published about it.

    Example: gateway vendors show mistral --at 2026-03-05
    """
    settings = settings_of(config, policy_dir)
    catalog = Inventory(settings).catalog
    row = _vendor(vendor, catalog)
    moment = at or datetime.now(UTC)
    facts = load_designations(settings.policy.designations, catalog)
    facts = tuple(fact for fact in facts if fact.vendor == row.id)
    legal = load_identities(catalog).of(row.id)
    if format_ == "json":
        shown = {
            **asdict(_shown(row, catalog, settings)),
            "at": moment,
            "identities": [_legal(identity) for identity in legal],
            "designations": [_fact(fact, moment) for fact in facts],
        }
        click.echo(json.dumps(shown, indent=2, default=_plain))
        return
    _print(_shown(row, catalog, settings), legal)
    for fact in facts:
        _print_fact(fact, moment)
    if not facts:
        click.echo(f"no designations in {settings.policy.designations}")


def _all(catalog: Catalog) -> list[Vendor]:
    found = filter(None, map(catalog.vendor, catalog.ids))
    return sorted(found, key=lambda vendor: vendor.id)


def _vendor(word: str, catalog: Catalog) -> Vendor:
    vendor = catalog.vendor(catalog.canonical(word) or "")
    if vendor is None:
        near = catalog.nearest(word)
        hint = f"did you mean {near!r}?" if near else "gateway vendors list shows all"
        raise StartupError(f"unknown vendor {word!r}: {hint}")
    return vendor


def _shown(vendor: Vendor, catalog: Catalog, settings: Settings) -> Shown:
    return Shown(
        id=vendor.id,
        name=vendor.name,
        aliases=vendor.aliases,
        kind=tuple(sorted(vendor.kind)),
        home=vendor.home,
        jurisdiction=tuple(sorted(catalog.jurisdictions(vendor.id))),
        parents=vendor.parents,
        channels=tuple(
            name for name, channel in settings.channels.items() if channel.vendor == vendor.id
        ),
        source=vendor.source,
        retrieved=vendor.retrieved,
        checked=vendor.checked,
    )


def _legal(identity: LegalIdentity) -> Mapping[str, Any]:
    numbers = sorted(map(str, identity.identifiers))
    return {**asdict(identity), "identifiers": numbers}


def _fact(fact: Designation, at: datetime) -> Mapping[str, Any]:
    """A designation as its file has it, with its status at that instant."""
    return {**asdict(fact), "scope": sorted(fact.scope), "status": fact.status_at(at)}


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


_COLOURS = {
    Status.ANNOUNCED: "yellow",
    Status.IN_FORCE: "red",
    Status.STAYED: "cyan",
    Status.ENJOINED: "cyan",
    Status.VACATED: "green",
    Status.EXPIRED: "green",
}


def _print(row: Shown, legal: tuple[LegalIdentity, ...]) -> None:
    click.secho(f"{row.id}", bold=True, nl=False)
    click.echo(f": {row.name} ({', '.join(row.kind)})")
    for what, words in (
        ("also", row.aliases),
        ("jurisdiction", row.jurisdiction),
        ("parents", row.parents),
        ("channels here", row.channels),
    ):
        click.echo(f"  {what}: {' '.join(words) or 'none'}")
    checked = "checked" if row.checked else "not checked"
    click.echo(f"  source: {row.source} ({row.retrieved}, {checked})")
    for identity in legal:
        numbers = "".join(f", {number}" for number in sorted(map(str, identity.identifiers)))
        checked = "checked" if identity.checked else "not checked"
        click.echo(f"  legal name: {'; '.join(identity.legal_names)}{numbers}")
        for parent in identity.parents:
            click.echo(f"    parent: {parent}")
        click.echo(f"    source: {identity.source} ({identity.retrieved}, {checked})")


def _print_fact(fact: Designation, at: datetime) -> None:
    status = fact.status_at(at)
    click.echo(f"\n{fact.id}: ", nl=False)
    click.secho(status or "not yet", fg=_COLOURS[status] if status else None, bold=True, nl=False)
    click.echo(f" on {at.isoformat()}")
    click.echo(f"  {fact.authority}{', ' + fact.statute if fact.statute else ''}")
    click.echo(f"  scope: {' '.join(sorted(fact.scope))}")
    if fact.phase_out_until is not None:
        click.echo(f"  phase-out until {fact.phase_out_until}")
    for change in fact.history:
        note = f": {change.note}" if change.note else ""
        click.echo(f"  {change.at.isoformat()} {change.status}{note} ({change.source_url})")
    if fact.note:
        click.echo(f"  note: {fact.note}")
    click.echo(f"  source: {fact.source_url} ({fact.retrieved}), written in {fact.source}")
