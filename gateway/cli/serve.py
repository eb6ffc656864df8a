"""``gateway serve``: the models' supervisor and the serving processes, in one command."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import click
import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from gateway.access.keyring import Keyring
from gateway.access.repository import FILE as KEYS
from gateway.access.repository import SqliteKeys
from gateway.auditing import audit_sink
from gateway.background import Background
from gateway.cli.app import app
from gateway.cli.options import config_option, policy_option
from gateway.config.addresses import is_loopback
from gateway.config.configuration import Watched
from gateway.config.credential import renew
from gateway.config.places import folders
from gateway.config.presence import RUN, address, run_dir
from gateway.config.publication import published
from gateway.config.reload import PolicyStore
from gateway.config.settings import Settings, is_pattern, load_settings
from gateway.configured import revision
from gateway.configuring import check_channels
from gateway.errors import StartupError
from gateway.inventory import Inventory, policy_store
from gateway.keeping import Keeping
from gateway.processes.logs import Logs, configure_logs
from gateway.recording import Recording
from gateway.scoring import Scoring
from gateway.serving import ServeOptions
from gateway.telemetry.readings import Shared

READY_WITHIN = 120.0
"""Seconds after which the waiting for ``/readyz`` is given up (the gateway serves on)."""

KEEP_ALIVE = 75
"""Seconds for which a connection without a request is kept: longer than clients (httpx: 5) and
load balancers (60) keep theirs, so that none sends a request on one that is being closed here.
"""


@click.command()
@config_option
@policy_option
@click.option("--host", help="The address to listen on.  [default: server.host]")
@click.option("--port", type=int, help="The port to listen on.  [default: server.port]")
@click.option("--workers", type=int, help="Serving processes.  [default: server.workers]")
@click.option("--offline", is_flag=True, help="Dial nothing that is not local or sovereign.")
def serve(
    config: Path,
    policy_dir: Path | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    offline: bool,
) -> None:
    """Start the gateway.

    Example: gateway serve --config configs/gateway.yaml --policy configs/policies --port 8080
    """
    configure_logs(Logs())
    # What the gateway writes is for its own user, whatever umask it was started with: whoever could
    # write to its state could make keys.
    os.umask(0o077)
    flags: dict[str, object] = {
        "server.host": host,
        "server.port": port,
        "server.workers": workers,
        "offline": offline or None,
        "policy.dir": None if policy_dir is None else policy_dir.absolute(),
    }
    read = partial(load_settings, config, flags, os.environ)
    text, settings, problem = _first(config, flags, read)
    configure_logs(settings.telemetry.process_logs)
    # Said here, with its position, rather than by each serving process on its own.
    inventory = Inventory(settings)
    policies = policy_store(inventory)
    policies.start()
    _tell_who_may_ask(settings)
    if settings.offline:
        click.echo("offline: nothing is dialled that is not declared local or sovereign", err=True)
    listening = _listening(settings)
    renew(run_dir(settings))
    shared = Shared.begin(run_dir(settings))
    overrides = {key: value for key, value in flags.items() if value is not None}
    options = ServeOptions(
        config=config.absolute(),
        overrides={**overrides, "policy.dir": settings.policy.dir},
        text=text,
        url=address(*listening[0].getsockname()[:2]),
        admin_url=address(*listening[-1].getsockname()[:2]),
        admin_port=listening[1].getsockname()[1] if len(listening) > 1 else None,
        shared=shared.folder,
    )
    signal.signal(signal.SIGTERM, _end)
    with _kept(inventory, policies, text, shared, read, problem):
        announcing = (options.url, options.admin_url, settings)
        threading.Thread(target=_announce, args=announcing, daemon=True).start()
        _run(options, settings, listening)


@contextmanager
def _kept(
    inventory: Inventory,
    policies: PolicyStore,
    text: bytes,
    shared: Shared,
    read: Callable[[bytes], Settings],
    problem: str | None,
) -> Iterator[None]:
    """What the main process does while others serve, as ``Keeping`` and ``Scoring`` tell; then all
    is put away.
    """
    settings = inventory.settings
    with ExitStack() as ending:
        ending.callback(shared.end)
        background = Background()
        audit = ending.enter_context(closing(audit_sink(settings, "main", os.environ, background)))
        keeping = Keeping(
            inventory,
            policies,
            text,
            run_dir=run_dir(settings),
            shared=shared,
            read=read,
            check=check_channels,
            recording=Recording(audit.write),
            background=background,
            problem=problem,
        )
        keeping.start()
        ending.callback(keeping.stop)
        scoring = Scoring(
            shared,
            background,
            inventory=lambda: keeping.inventory,
            policy=lambda: policies.current,
        )
        scoring.start()
        ending.callback(scoring.stop)
        yield


def _end(*_: object) -> NoReturn:
    """Of the signal to end: the server, when it is done, raises it again, and what has been begun
    must still be put away.
    """
    raise SystemExit(0)


def _tell_who_may_ask(settings: Settings) -> None:
    """Said loudly where nobody has to show a key, and to whom that then applies. Raises
    ``StateError`` where the keys cannot be read: they are not keys that there are none of.
    """
    keys = SqliteKeys(settings.state.dir / KEYS)
    try:
        guarded = bool(Keyring(keys.all())) or settings.access.oidc is not None
    finally:
        keys.close()
    if guarded:
        return
    click.secho(
        "warning: there are no keys. Programs on this machine may use the gateway without one; "
        "others, web pages and what comes through a reverse proxy get a 401. "
        "Make the first key with `gateway keys create NAME`: from then on nobody is answered "
        "without.",
        fg="yellow",
        err=True,
    )
    if not is_loopback(settings.server.host):
        click.secho(
            f"warning: listening on {settings.server.host}, where everybody else is answered 401 "
            "until there is a key.",
            fg="yellow",
            err=True,
        )


def _first(
    config: Path, flags: Mapping[str, object], read: Callable[[bytes], Settings]
) -> tuple[bytes, Settings, str | None]:
    """What to start with: the configuration as it stands or, where that is wrong, the last good one
    and why. Raises StartupError where there is neither.
    """
    try:
        text = Watched(config).read()
        return text, read(text), None
    except StartupError as error:
        try:
            text = published(folders(config, flags, os.environ).state / RUN).text
            settings = read(text)
        except StartupError:
            raise error from None
        structlog.get_logger("gateway.configuration").error(
            "configuration.refused", in_force=revision(text), problem=error.message
        )
        return text, settings, error.message


def _run(options: ServeOptions, settings: Settings, listening: list[socket.socket]) -> None:
    server = uvicorn.Config(
        partial(app, options),
        factory=True,
        workers=settings.server.workers,
        # By name, as it is imported where it serves.
        http="gateway.http.connection:Connection",
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        # As all other logs: set up already, in each process.
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        # Who asks is who has connected: no header may say that it is somebody else.
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )
    if settings.server.workers == 1:
        uvicorn.Server(server).run(sockets=listening)
    else:
        Multiprocess(server, sockets=listening).run()


def _listening(settings: Settings) -> list[socket.socket]:
    """For apps and, where that is another, for operators. Raises StartupError."""
    listening = [_listen(settings.server.host, settings.server.port)]
    if settings.admin.port is not None:
        listening.append(_listen(settings.admin.host, settings.admin.port))
    return listening


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartupError(
            f"cannot listen on {host}:{port}: {error.strerror}. "
            "Stop what is running there, or give another --port."
        ) from error
    listening.set_inheritable(True)
    return listening


def _announce(url: str, admin_url: str, settings: Settings) -> None:
    """Print the addresses and a line to try, once the gateway is ready."""
    began = time.monotonic()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() - began < READY_WITHIN:
        try:
            with opener.open(f"{admin_url}/readyz", timeout=2):
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    else:
        click.echo(f"not ready after {READY_WITHIN:g} s: see {admin_url}/readyz", err=True)
        return
    model = next((name for name in settings.models if not is_pattern(name)), "gpt-4o")
    click.echo(f"\nready after {time.monotonic() - began:.1f} s on {url}")
    if admin_url != url:
        click.echo(f"operators: {admin_url}")
    click.echo(
        f"try: curl -si {url}/v1/chat/completions -H 'content-type: application/json' "
        f'-d \'{{"model": "{model}", "messages": ['
        '{"role": "system", "content": "You are a helpful assistant."}, '
        '{"role": "user", "content": "What is the capital of France?"}]}\'\n'
    )
