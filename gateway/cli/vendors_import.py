"""``gateway vendors import``: a published list → proposed designations and what is in doubt."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import click

from gateway.cli.options import config_option, policy_option
from gateway.cli.settled import settings_of
from gateway.config.published_lists import READERS, Import, Order, import_list
from gateway.config.shipped import load_catalog, load_identities


class Day(click.ParamType[date]):
    """A day by ISO 8601."""

    name = "date"

    def convert(self, value: object, param: object, ctx: object) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date like 2026-03-05")


@click.command("import")
@click.option(
    "--format",
    "format_",
    type=click.Choice(sorted(READERS)),
    required=True,
    help="What kind of list the file is.",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--published",
    type=Day(),
    help="The day of a list that does not say it itself.  [default: that of the file]",
)
@click.option(
    "--accept-shrunk", is_flag=True, help="Take a list that lost more than half of its rows."
)
@config_option
@policy_option
def import_(
    format_: str,
    file: Path,
    published: date | None,
    accept_shrunk: bool,
    config: Path,
    policy_dir: Path | None,
) -> None:
    """Propose designations from a published list that you downloaded.

    Nothing is in force until a person moves it up from the folder `proposed`.

    Example: gateway vendors import --format csl-json consolidated.json
    """
    settings = settings_of(config, policy_dir)
    catalog = load_catalog()
    order = Order(
        file=file,
        format=format_,
        designations=settings.policy.designations,
        state_dir=settings.state.dir,
        now=datetime.now(UTC),
        published=published,
        accept_shrunk=accept_shrunk,
    )
    _print(import_list(order, catalog, load_identities(catalog)))


def _print(done: Import) -> None:
    for warning in done.warnings:
        click.secho("warning: ", fg="yellow", bold=True, err=True, nl=False)
        click.echo(warning, err=True)
    source = done.source
    click.echo(
        f"{source.format} of {source.published}: {done.rows} rows read, "
        f"{done.malformed} malformed, sha256 {source.sha256}"
    )
    already = f", {done.unchanged} in force already" if done.unchanged else ""
    click.echo(f"{done.proposals} proposed{already}: {done.proposed_file}")
    gone = f", {len(done.gone)} in force that are listed no more" if done.gone else ""
    click.echo(f"{done.doubts} in doubt{gone}: {done.review_file}")
