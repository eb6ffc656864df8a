"""``gateway serve``: the models' supervisor and the serving processes, in one command."""

from __future__ import annotations

import asyncio
import functools
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import click
import uvicorn
from uvicorn.supervisors import Multiprocess

from gateway.cli.options import config_option, policy_option, settings_of
from gateway.config.sections import is_loopback
from gateway.config.settings import Settings, is_pattern
from gateway.errors import StartupError
from gateway.inventory import Inventory
from gateway.local.supervisor import Supervisor
from gateway.telemetry.logs import configure_logs
from gateway.wiring import ServeOptions, policy_store, run_dir, serving_app

READY_WITHIN = 120.0
"""Seconds after which the waiting for ``/readyz`` is given up (the gateway serves on)."""


class ModelKeeper:
    """Runs the supervisor of the local models in a thread with an event loop of its own, so that
    it is there once, however many serving processes there are.
    """

    def __init__(self, inventory: Inventory) -> None:
        settings = inventory.settings
        self._supervisor = Supervisor(
            list(inventory.local.values()),
            run_dir=run_dir(settings),
            state_dir=settings.state.dir,
            accept=inventory.check_weights,
            budget=inventory.local_budget,
            gpu_budget=inventory.gpu_budget,
            idle=inventory.idle_unload,
        )
        self._started: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="models")

    def start(self) -> None:
        """Returns once the models' sockets are there; raises what kept the supervisor from it."""
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def sockets(self) -> Mapping[str, Path]:
        return self._supervisor.sockets()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._keep())
        self._loop.close()

    async def _keep(self) -> None:
        try:
            await self._supervisor.start()
        except StartupError as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        await self._stop.wait()
        await self._supervisor.stop()


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
    configure_logs()
    flags = {
        "server.host": host,
        "server.port": port,
        "server.workers": workers,
        "offline": offline or None,
    }
    settings = settings_of(config, policy_dir, **flags)
    # Said here, with its position, rather than by each serving process on its own.
    inventory = Inventory(settings)
    policy_store(inventory).start()
    if not is_loopback(settings.server.host):
        click.secho(
            f"warning: listening on {settings.server.host}, and this version knows no keys: "
            "whoever reaches this port may use it. Put it behind something that asks who they are.",
            fg="yellow",
            err=True,
        )
    if settings.offline:
        click.echo("offline: nothing is dialled that is not declared local or sovereign", err=True)
    listening = _listen(settings.server.host, settings.server.port)
    url = _url(listening)
    keeper = ModelKeeper(inventory)
    keeper.start()
    try:
        overrides = {key: value for key, value in flags.items() if value is not None}
        options = ServeOptions(
            config=config.absolute(),
            overrides={**overrides, "policy.dir": settings.policy.dir},
            local_sockets=keeper.sockets(),
            url=url,
        )
        threading.Thread(target=_announce, args=(url, settings), daemon=True).start()
        _run(options, settings, listening)
    finally:
        keeper.stop()


def _run(options: ServeOptions, settings: Settings, listening: socket.socket) -> None:
    server = uvicorn.Config(
        functools.partial(serving_app, options),
        factory=True,
        workers=settings.server.workers,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    if settings.server.workers == 1:
        uvicorn.Server(server).run(sockets=[listening])
    else:
        Multiprocess(server, sockets=[listening]).run()


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


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(url: str, settings: Settings) -> None:
    """Print the address and a line to try, once the gateway is ready."""
    began = time.monotonic()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() - began < READY_WITHIN:
        try:
            with opener.open(f"{url}/readyz", timeout=2):
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    else:
        click.echo(f"not ready after {READY_WITHIN:g} s: see {url}/readyz", err=True)
        return
    model = next((name for name in settings.models if not is_pattern(name)), "gpt-4o")
    click.echo(f"\nready after {time.monotonic() - began:.1f} s on {url}")
    click.echo(
        f"try: curl -si {url}/v1/chat/completions -H 'content-type: application/json' "
        f'-d \'{{"model": "{model}", "messages": ['
        '{"role": "system", "content": "You are a helpful assistant."}, '
        '{"role": "user", "content": "What is the capital of France?"}]}\'\n'
    )
