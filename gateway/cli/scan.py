"""``gateway scan``: where AI vendors are used, and which of it a ban reaches."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway import __version__
from gateway.cli.scan_text import show, verdict
from gateway.cli.settled import settings_of
from gateway.cli.waiting import Bytes
from gateway.config.policy_files import PolicyLoader
from gateway.config.shipped import load_catalog, load_signals
from gateway.config.sources import DESIGNATIONS, Sources
from gateway.domain.identity import UNKNOWN, ChannelFacts, Identity
from gateway.errors import StartupError
from gateway.files import write_atomically
from gateway.inventory import Inventory
from gateway.policy.compile import Policy
from gateway.readiness.scan.baseline import Baseline, written
from gateway.readiness.scan.boms import cyclonedx, spdx
from gateway.readiness.scan.judging import by_policy, reached
from gateway.readiness.scan.markdown import markdown
from gateway.readiness.scan.report import THRESHOLDS, Report, plain
from gateway.readiness.scan.sarif import sarif
from gateway.readiness.scan.scanning import scan as scan_files
from gateway.readiness.scan.suppressions import applied
from gateway.readiness.scan.tree import Tree
from gateway.vendors.catalog import Catalog
from gateway.vendors.resolve import resolve

_CONFIG = Path("configs/gateway.yaml")
_FORMATS = ("text", "json", "sarif", "cyclonedx", "spdx", "markdown")


@click.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH...",
)
@click.option("--vendor", help="Only what a ban on this vendor reaches, or may reach.")
@click.option(
    "--fail-on",
    type=click.Choice(list(THRESHOLDS)),
    help="Exit with 1 where something is as bad as this, or worse.",
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="The configuration, for its policy."
)
@click.option("--policy", "policy_dir", type=click.Path(path_type=Path), help="The policy folder.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(_FORMATS),
    default="text",
    show_default=True,
    help="How to print.",
)
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of the terminal.")
@click.option("--baseline", type=click.Path(path_type=Path, exists=True), help="What was known.")
@click.option("--write-baseline", type=click.Path(path_type=Path), help="Write down what is there.")
@click.option("--gitignore", is_flag=True, help="Leave out what .gitignore names.")
@click.option("--vendored", is_flag=True, help="Look into other people's code too.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="How many processes.  [default: one a core, 8 at most]",
)
@click.option("--all", "all_", is_flag=True, help="Show every place, however many.")
def scan(
    paths: tuple[Path, ...],
    vendor: str | None,
    fail_on: str | None,
    config: Path | None,
    policy_dir: Path | None,
    format_: str,
    output: Path | None,
    baseline: Path | None,
    write_baseline: Path | None,
    gitignore: bool,
    vendored: bool,
    jobs: int | None,
    all_: bool,
) -> None:
    """Find where AI vendors are used in code, manifests, images, configurations and logs, and what
    the policy says of it. Nothing that is scanned is run, and no value of a setting is shown.

    Exit codes: 0 done, 1 something is as bad as --fail-on says, 2 usage.

    Example: gateway scan src Dockerfile --policy configs/policies --fail-on deny
    """
    catalog = load_catalog()
    policy = _policy(config, policy_dir, catalog)
    about = _vendor(vendor, catalog) if vendor else ""
    if fail_on and policy is None and not about:
        raise click.UsageError("--fail-on needs --policy or --config, or --vendor to ban")
    known = Baseline.parse(baseline.read_text("utf-8", "replace")) if baseline else None
    report = _scanned(paths, catalog, policy, about, known, gitignore, vendored, jobs)
    if write_baseline is not None:
        everything = [*report.findings, *report.known]
        write_atomically(write_baseline, written(everything, report.at).encode())
        click.echo(f"{len(everything)} findings are known from now on: {write_baseline}", err=True)
    _tell(report, format_, output, catalog, all_=all_)
    if fail_on and write_baseline is None and report.failing(fail_on):
        click.secho(verdict(report, fail_on), fg="red", bold=True, err=True)
        sys.exit(1)


def _scanned(
    paths: tuple[Path, ...],
    catalog: Catalog,
    policy: Policy | None,
    about: str,
    known: Baseline | None,
    gitignore: bool,
    vendored: bool,
    jobs: int | None,
) -> Report:
    now = datetime.now(UTC)
    signals = load_signals(catalog)
    tree = Tree(signals, vendored=vendored, gitignore=gitignore)
    files = tree.files(paths)
    processes = jobs or min(8, len(os.sched_getaffinity(0)))
    with Bytes("scanning", sum(one.size for one in files)) as waiting:
        read = scan_files(files, processes, waiting.more)
    found, suppressed = applied(read.findings, read.suppressions, catalog, now.date())
    if policy is not None:
        found = by_policy(found, policy, now)
    if about:
        found = reached(found, about, ban=policy is None)
    new, old, gone = known.split(found) if known is not None else (found, [], 0)
    return Report(
        at=now,
        version=__version__,
        catalog=catalog.version,
        signals=signals.version,
        roots=tuple(map(str, paths)),
        findings=new,
        suppressed=suppressed,
        known=old,
        gone=gone,
        unread=[*tree.unread, *read.unread],
        skipped=tree.skipped,
        revision=policy.revision if policy is not None else "",
        vendor=about,
        files=read.files,
        passed=read.passed,
        size=read.size,
    )


def _tell(
    report: Report, format_: str, output: Path | None, catalog: Catalog, *, all_: bool
) -> None:
    if format_ == "text" and output is None:
        show(report, all_=all_)
        return
    if format_ == "text":
        raise click.UsageError("--output needs a --format other than text")
    if format_ == "markdown":
        text = markdown(report)
    else:
        made: dict[str, Callable[[], dict[str, Any]]] = {
            "json": lambda: plain(report),
            "sarif": lambda: sarif(report),
            "cyclonedx": lambda: cyclonedx(report, catalog),
            "spdx": lambda: spdx(report),
        }
        text = json.dumps(made[format_](), indent=2, ensure_ascii=False) + "\n"
    # A path may hold bytes that are no text.
    data = text.encode("utf-8", "replace")
    if output is None:
        click.echo(data, nl=False)
    else:
        write_atomically(output, data)


def _vendor(word: str, catalog: Catalog) -> str:
    id = catalog.canonical(word)
    if id is None:
        near = catalog.nearest(word)
        hint = f"did you mean {near!r}?" if near else "gateway vendors list shows all"
        raise StartupError(f"unknown vendor {word!r}: {hint}")
    return id


def _policy(config: Path | None, policy_dir: Path | None, catalog: Catalog) -> Policy | None:
    """The policy that is asked, if one is: that of the configuration or, where there is none, that
    of a folder alone, with the designations beside it.
    """
    if config is None and policy_dir is None:
        return None
    if config is not None or policy_dir is None or _CONFIG.is_file():
        return Inventory(settings_of(config or _CONFIG, policy_dir)).load_policy()
    sources = Sources(policy_dir, policy_dir.parent / DESIGNATIONS)

    def identity(target: str) -> Identity:
        channel, _, model = target.partition("/")
        facts = ChannelFacts(
            channel, catalog.canonical(channel) or UNKNOWN, "openai", provider=channel
        )
        return resolve(model, facts, catalog)

    return PolicyLoader(catalog, identity).load(sources, sources.read())
