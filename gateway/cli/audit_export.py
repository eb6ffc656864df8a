"""``gateway audit export``: the log for other systems."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click

from gateway.audit.export import Exported, write_csv, write_ocsf
from gateway.audit.reader import log_files
from gateway.cli.audit_log import log_argument, log_of
from gateway.cli.options import Moment, config_option
from gateway.cli.text import counted
from gateway.cli.waiting import Bytes
from gateway.errors import StateError


@click.command()
@log_argument
@click.option(
    "--format",
    "format_",
    type=click.Choice(["ocsf", "csv", "parquet"]),
    required=True,
    help="OCSF 1.8.0 as JSON lines, or one flat table.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write; one that is there is replaced.",
)
@click.option("--since", type=Moment(), help="Not before this date or time.")
@click.option("--until", type=Moment(), help="Before this date or time.")
@config_option
def export(
    log: Path | None,
    format_: str,
    out: Path,
    since: datetime | None,
    until: datetime | None,
    config: Path,
) -> None:
    """Write the requests and events of the log in a format that other systems read. Exits with 1
    where a line was left out because it is none of a log.

    Example: gateway audit export --format csv --out audit.csv --since 2026-03-01
    """
    files = log_files(log_of(log, config))
    size = sum(file.stat().st_size for file in files)
    with Bytes("exporting", size) as progress:
        lines = Exported(files, since, until, progress.more)
        with _new(out) as path:
            _write(lines, format_, path)
    click.echo(f"{out}: {counted(lines.written, 'line')} of the log")
    if lines.first_bad is not None:
        place = lines.first_bad.place
        click.secho(
            f"{counted(lines.bad, 'line')} left out, the first in {place.file}, line {place.line}: "
            "they are none of a log. gateway audit verify tells more",
            fg="red",
            err=True,
        )
        sys.exit(1)


def _write(lines: Exported, format_: str, path: Path) -> None:
    if format_ == "parquet":
        try:
            from gateway.audit.parquet import write  # noqa: PLC0415 - an extra, of 12 MB
        except ModuleNotFoundError:
            raise StateError(
                "Parquet files are written by arro3, which is not installed: "
                "pip install 'sovereign-gateway[parquet]' (or arro3-core and arro3-io), "
                "or take --format csv"
            ) from None
        write(lines.rows(), path)
        return
    with path.open("w", encoding="utf-8", newline="") as into:
        if format_ == "csv":
            write_csv(lines.rows(), into)
        else:
            write_ocsf(lines.lines(), into)


@contextmanager
def _new(out: Path) -> Iterator[Path]:
    """A file that takes the place of ``out`` when it is whole. Nobody else may read it."""
    path = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield path
        path.replace(out)
    except OSError as error:
        raise StateError(f"{out} cannot be written: {error.strerror or error}") from None
    finally:
        path.unlink(missing_ok=True)
