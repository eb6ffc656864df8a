"""Who is compared: the gateway, the way without any, and what people would use instead.

Each is started as its own documentation says, on the server's core, speaks to 127.0.0.1 alone, and
is left out with a word where it is not installed (``make bench-peers``).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import gateway, machine
from benchmarks.gateway import Arrangement
from benchmarks.ground import ROOT, Ground, free_port
from benchmarks.processes import Process
from benchmarks.relay import upstream
from benchmarks.relay.upstream import KINDS, PLAIN, STREAMED, Upstream
from gateway import __version__

DIRECT, OURS, RULES = "direct", "gateway", "gateway, 1,000 rules"
NGINX, ROUTER, PORTKEY, LITELLM = "nginx", "vllm-router", "portkey", "litellm"
PEERS = (NGINX, ROUTER, PORTKEY, LITELLM)
NODE = Path(__file__).with_name("node")
MASTER_KEY = "sk-bench"
LITELLM_CONFIG = """\
model_list:
  - model_name: {plain}
    litellm_params: {{model: openai/gpt-4o, api_base: "{plain_url}", api_key: unused}}
  - model_name: {streamed}
    litellm_params: {{model: openai/gpt-4o, api_base: "{streamed_url}", api_key: unused}}
litellm_settings: {{telemetry: false, num_retries: 0}}
general_settings: {{master_key: {key}}}
"""
ALONE = {"NO_PROXY": "127.0.0.1", "PYTHONPATH": ""}
LITELLM_ALONE = {
    **ALONE,
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
}
"""What it would fetch or send by itself, it does not."""


class NotInstalled(RuntimeError):
    """A peer that is not there, and how it would be."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One that runs. By kind of answer (``plain``, ``streamed``): ``urls`` with their ``/v1``, and
    the ``processes`` that are measured, none for the way without any.
    """

    name: str
    version: str
    urls: Mapping[str, str]
    processes: Mapping[str, Process] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    at_rest: int = 0

    @property
    def ready_after(self) -> float:
        """Seconds."""
        return max((one.ready_after for one in self.processes.values()), default=0.0)


def model(kind: str) -> str:
    return STREAMED if kind == "streamed" else PLAIN


def line_up(
    ground: Ground, vendors: Upstream, who: Collection[str], said: Callable[[str], None]
) -> tuple[dict[str, Contender], dict[str, str]]:
    """Those of ``who`` that can be started, and why the others cannot, by name; the direct way is
    always there. ``said`` is told of each.
    """
    direct = _bearer("unused")
    lined = {DIRECT: Contender(DIRECT, "", _urls(vendors), headers=direct)}
    left: dict[str, str] = {}
    for name, start in STARTS.items():
        if name not in who:
            continue
        said(f"starting {name}")
        try:
            lined[name] = start(ground, vendors)
        except NotInstalled as why:
            left[name] = str(why)
            said(f"{name} is left out: {why}")
    return lined, left


def _gateway(rules: int) -> Callable[[Ground, Upstream], Contender]:
    def start(ground: Ground, vendors: Upstream) -> Contender:
        channel = {"vendor": "openai", "kind": "openai", "api_key": "${VENDOR_KEY}"}
        sections = {
            "channels": {"streams": channel | {"base_url": vendors.url("streamed")}},
            "models": {STREAMED: {"targets": ["streams/gpt-4o"]}},
        }
        name = OURS if rules == 1 else RULES
        arrangement = Arrangement(rules=rules, sections=sections)
        folder = f"gateway-{rules}"
        started = gateway.start(ground, arrangement, vendors.url("plain"), name=folder)
        urls = dict.fromkeys(KINDS, f"{started.url}/v1")
        return _contender(name, __version__, urls, _both(started.process), started.key)

    return start


def _nginx(ground: Ground, vendors: Upstream) -> Contender:
    process, ports = upstream.start_proxy(ground, vendors)
    return _contender(NGINX, upstream.version(ground), _urls(ports), _both(process))


def _router(ground: Ground, vendors: Upstream) -> Contender:
    """One for each vendor, since it knows one model."""
    program = _installed(ground, ROUTER)
    urls, processes = {}, {}
    for kind in KINDS:
        port = free_port()
        command = [str(program), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--worker-urls", vendors.url(kind).removesuffix("/v1")]
        command += ["--policy", "round_robin", "--log-level", "error"]
        command += ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
        url = f"http://127.0.0.1:{port}"
        processes[kind] = ground.start(
            command,
            core=ground.server_core,
            name=f"{ROUTER}-{kind}",
            ready=f"{url}/health",
            environ=ALONE,
        )
        urls[kind] = f"{url}/v1"
    return _contender(ROUTER, _version(program, ROUTER), urls, processes)


def _portkey(ground: Ground, vendors: Upstream) -> Contender:
    node, package = ground.program("node"), NODE / "node_modules" / "@portkey-ai" / "gateway"
    server = package / "build" / "start-server.js"
    if node is None or not server.is_file():
        raise NotInstalled("make bench-peers installs it, where there is npm")
    port = free_port()
    command = [str(node), "--require", str(NODE / "loopback.cjs"), str(server)]
    command += ["--headless", f"--port={port}"]
    process = ground.start(
        command,
        core=ground.server_core,
        name=PORTKEY,
        ready=port,
        environ=ALONE | {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"},
    )
    version = json.loads((package / "package.json").read_text())["version"]
    urls = dict.fromkeys(KINDS, f"http://127.0.0.1:{port}/v1")
    return _contender(PORTKEY, version, urls, _both(process))


def to_vendor(one: Contender, vendors: Upstream, kind: str) -> dict[str, str]:
    """The headers of a request; Portkey is told by them where to."""
    if one.name != PORTKEY:
        return dict(one.headers)
    where = {"x-portkey-provider": "openai", "x-portkey-custom-host": vendors.url(kind)}
    return {**one.headers, **where}


def _litellm(ground: Ground, vendors: Upstream) -> Contender:
    program = _installed(ground, LITELLM)
    file = ground.folder / "litellm.yaml"
    file.write_text(
        LITELLM_CONFIG.format(
            plain=PLAIN,
            streamed=STREAMED,
            plain_url=vendors.url("plain"),
            streamed_url=vendors.url("streamed"),
            key=MASTER_KEY,
        )
    )
    port = free_port()
    command = [str(program), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    process = ground.start(
        [*command, "--telemetry", "False"],
        core=ground.server_core,
        name=LITELLM,
        ready=f"{url}/health/liveliness",
        environ=LITELLM_ALONE | {"HOME": str(ground.folder)},
        within=120.0,
    )
    urls = dict.fromkeys(KINDS, f"{url}/v1")
    return _contender(LITELLM, _version(program, LITELLM), urls, _both(process), MASTER_KEY)


STARTS: Mapping[str, Callable[[Ground, Upstream], Contender]] = {
    OURS: _gateway(1),
    RULES: _gateway(1_000),
    NGINX: _nginx,
    ROUTER: _router,
    PORTKEY: _portkey,
    LITELLM: _litellm,
}


def _contender(
    name: str,
    version: str,
    urls: Mapping[str, str],
    processes: Mapping[str, Process],
    key: str = "unused",
) -> Contender:
    resident = processes["plain"].resident()
    return Contender(name, version, urls, processes, _bearer(key), resident)


def _installed(ground: Ground, name: str) -> Path:
    """A program of an environment of its own, or of the machine. Raises ``NotInstalled``."""
    program = ROOT / f".venv-bench-{name}" / "bin" / name
    found = program if program.is_file() else ground.program(name)
    if found is None:
        raise NotInstalled("make bench-peers installs it")
    return found


def _version(program: Path, package: str) -> str:
    """Of a package beside its program, with its Python where that is not the one of the gateway;
    empty where there is no Python beside it.
    """
    python = program.with_name("python")
    if not python.is_file():
        return ""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run(  # noqa: S603 - the peer's own interpreter
        [python, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    version, its = done.stdout.strip(), machine.python_of(python)
    return version if its == machine.python() else f"{version}, Python {its or 'unknown'}"


def _urls(ports: Upstream) -> dict[str, str]:
    return {kind: ports.url(kind) for kind in KINDS}


def _both(process: Process) -> dict[str, Process]:
    return {"plain": process, "streamed": process}


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", "content-type": "application/json"}
