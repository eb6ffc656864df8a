"""What is on the wire while a gateway lives: nothing but what is configured, and allowed then.

The gateway is a process in a network namespace of its own, with the real local model; vendors, a
server of our own and the name server are at the other end of its only wire, and all that goes over
it is captured. ``make egress-proof`` does it with 200 requests and prints what was seen.
"""

from __future__ import annotations

import json
import os
import pkgutil
import random
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

import gateway as package
from tests.egress.frames import Packet
from tests.egress.namespaces import FAR, WIRE, Wire, inside, why_not
from tests.egress.outside import Capture, Door, NameServer
from tests.end_to_end.running import ROOT, RunningGateway
from tests.simulators.vendor import VendorSimulator

WHY_NOT = why_not()
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
    pytest.mark.timeout(600),
]
REQUESTS = int(os.environ.get("EGRESS_PROOF_REQUESTS", "60"))
AT_A_TIME = 6
CLOSING = 1.0
"""Seconds in which connections may still be closed that a ban has ended."""
HOSTS = {
    # Addresses of the Internet, by every rule; here they lead to the other end of the wire.
    "openai": ("api.openai.example", "192.175.48.10", 443),
    "mistral": ("api.mistral.example", "192.175.48.20", 443),
    "lab": ("lab.example", "10.0.0.5", 8000),
}
POLICY = """\
version: 1
default: deny
in_flight: cut
vendors: {mistral: allow, openai: deny}
"""
CONFIG = f"""\
channels:
  openai: {{vendor: openai, kind: openai, base_url: "https://api.openai.example/v1", \
api_key: "${{VENDOR_KEY}}"}}
  mistral: {{vendor: mistral, kind: openai, base_url: "https://api.mistral.example/v1", \
api_key: "${{VENDOR_KEY}}"}}
  lab: {{vendor: self, kind: openai, base_url: "http://lab.example:8000/v1", locality: sovereign}}
models:
  gpt-4o: {{targets: [openai/gpt-4o, mistral/mistral-large-latest, local/smollm2]}}
  large: {{targets: [mistral/mistral-large-latest, openai/gpt-4o, local/smollm2]}}
  qwen: {{targets: [openai/o3, lab/qwen3-32b, local/smollm2]}}
  only-openai: {{targets: [openai/gpt-4o]}}
local:
  manifests: {ROOT / "models"}
  models:
    smollm2: {{manifest: smollm2-135m-instruct, context: 1024, slots: 4, threads: 2}}
upstream:
  {{connect_timeout: 2, first_token_timeout: 1, answer_timeout: 1, idle_timeout: 1, \
health_interval: 2}}
state: {{dir: state}}
"""
TRANSLATOR = {
    f"gateway.upstream.translate.{part}"
    for part in ("process", "sockets", "translator", "transport", "witness")
}
"""Of the translators' own processes, which have other packages and no network."""
IMPORTS = {
    *(module.name for module in pkgutil.walk_packages(package.__path__, "gateway.")),
} - TRANSLATOR
MISHAPS = (
    "500",
    "503",
    "429",
    "break_off",
    "stall",
    "html",
    "missing_done",
    "refuse",
    "close_after",
)


@dataclass
class Ledger:
    """Who was allowed from when on. A ban counts from when it was confirmed, its end from when it
    was asked for; ``banned`` is when each vendor was banned last.
    """

    spans: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    banned: dict[str, float] = field(default_factory=dict)

    def allow(self, *names: str) -> None:
        self._now(self.current | set(names))

    def ban(self, name: str) -> None:
        self.banned[name] = time.time()
        self._now(self.current - {name})

    @property
    def current(self) -> frozenset[str]:
        return self.spans[-1][1] if self.spans else frozenset()

    def at(self, instant: float) -> frozenset[str]:
        return next(
            (names for since, names in reversed(self.spans) if since <= instant), frozenset()
        )

    def _now(self, names: Iterable[str]) -> None:
        self.spans.append((time.time(), frozenset(names)))

    def trespass(self, packet: Packet) -> bool:
        """Whether a packet goes to nobody that is configured, or to whom was denied then."""
        name = whose(packet)
        if name is None or name in self.at(packet.at):
            return name is None
        closes = packet.protocol == "TCP" and not packet.opens and not packet.payload
        return not (closes and packet.at - self.banned.get(name, 0) < CLOSING)


def whose(packet: Packet) -> str | None:
    """The channel that a packet is for: by its address, or by the name that it asks for."""
    for name, (host, address, port) in HOSTS.items():
        if packet.protocol == "TCP" and (packet.to, packet.port) == (address, port):
            return name
        if packet.asks is not None and packet.to == FAR and packet.asks[0] == host:
            return name
    return None


@dataclass
class World:
    """The outer end of the wire, and where the gateway lives."""

    wire: Wire
    vendors: dict[str, VendorSimulator]
    environ: dict[str, str]
    capture: Capture

    def gateway(
        self, folder: Path, *, config: str = CONFIG, policy: str = POLICY
    ) -> RunningGateway:
        return RunningGateway(
            folder, config, policy=policy, prefix=self.wire.command(), environ=self.environ
        )


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Everything but the gateway."""
    authority = trustme.CA()
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with ExitStack() as stack:
        wire = stack.enter_context(Wire([address for _, address, _ in HOSTS.values()]))
        stack.enter_context(inside(wire.outer))
        names = {host: address for host, address, _ in HOSTS.values()}
        stack.enter_context(NameServer(FAR, names))
        vendors = {}
        for name, (host, address, port) in HOSTS.items():
            tls = None
            if port == 443:
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                authority.issue_cert(host).configure_cert(tls)
            vendors[name] = stack.enter_context(VendorSimulator(tls=tls))
            stack.enter_context(Door(address, port, vendors[name].port))
        vendors["lab"].list_models("vllm", "qwen3-32b").behave("other_model", model="qwen3-32b")
        capture = stack.enter_context(Capture(WIRE))
        environ = {"SSL_CERT_FILE": str(bundle)}
        yield World(wire, vendors, environ, capture)


class Life:
    """What is done to a gateway, phase by phase, with all that was on the wire meanwhile."""

    def __init__(self, there: World, ledger: Ledger) -> None:
        self.phases: list[tuple[str, int]] = []
        self.served: Counter[str] = Counter()
        self._there = there
        self._ledger = ledger
        self._chance = random.Random(5)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        before = len(self._there.capture.packets)
        yield
        # What has been sent is read by another thread.
        time.sleep(0.3)
        self.phases.append((name, len(self._there.capture.packets) - before))

    def imports(self) -> None:
        """Every module, in a process of its own in the namespace."""
        lines = "\n".join(f"import {name}" for name in sorted(IMPORTS))
        command = [*self._there.wire.command(), sys.executable, "-c", lines]
        subprocess.run(command, check=True, timeout=120, cwd=ROOT)

    def ask(self, gateway: RunningGateway, number: int) -> None:
        """One request in three for what is banned from the start; half of them streams."""
        model = ("gpt-4o", "large", "qwen", "gpt-4o", "large", "only-openai")[number % 6]
        request = {
            "model": model,
            "messages": [{"role": "user", "content": f"Say the number {number}."}],
            "max_tokens": 8,
            "stream": number % 2 == 0,
        }
        status, served = answered(gateway, json.dumps(request).encode())
        assert status == (451 if model == "only-openai" else 200)
        self.served[served or "451"] += 1

    def requests(self, gateway: RunningGateway, count: int) -> None:
        """Many at a time, while the vendor that is allowed fails now and then."""
        mistral = self._there.vendors["mistral"]
        with inside(self._there.wire.inner), ThreadPoolExecutor(AT_A_TIME) as pool:
            done = 0
            while done < count:
                well = done % 10 < 8
                how = "answer" if well else self._chance.choice(MISHAPS)
                if how == "answer":
                    mistral.behave("other_model", model="mistral-large-2411")
                else:
                    mistral.behave(how, **({"retry_after": "1"} if how == "429" else {}))
                batch = range(done, min(count, done + (8 if well else 2)))
                list(pool.map(lambda number: self.ask(gateway, number), batch))
                done = batch.stop

    def run(self, gateway: RunningGateway, *arguments: str, code: int = 0) -> None:
        done = gateway.run(*arguments, policy="simulate" not in arguments)
        assert done.returncode == code, done.stdout + done.stderr


def answered(gateway: RunningGateway, body: bytes) -> tuple[int, str | None]:
    """The status of an answer that was read to its end, and who served it."""
    url = f"{gateway.url}/v1/chat/completions"
    headers = {"content-type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as got:
            got.read()
            return got.status, got.headers["x-gateway-served-by"]
    except urllib.error.HTTPError as error:
        return error.code, None


def commands(gateway: RunningGateway, folder: Path) -> Iterator[tuple[str, ...]]:
    """What operators ask of a gateway, and of its files."""
    new = folder / "new"
    new.mkdir()
    (new / "10.yaml").write_text(POLICY.replace("openai: deny", "openai: allow"))
    yield ("policy", "check")
    yield ("policy", "explain", "--model", "gpt-4o")
    yield ("policy", "test")
    yield ("policy", "simulate", str(new), "--audit", str(gateway.folder / "state" / "audit"))
    yield ("status",)


def test_under_a_ban_not_one_packet_goes_where_it_may_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Import, start, serve with failures, reload, ban, unban, ask the command line, stop: each
    packet goes to a channel that is configured, and allowed at that instant; none goes to the
    vendor that is banned all the while, and nobody asks for its name.
    """
    with world(tmp_path) as there:
        ledger = Ledger()
        ledger.allow("mistral", "lab")
        life = Life(there, ledger)
        running = there.gateway(tmp_path / "gateway")
        with life.phase("import of every module"):
            life.imports()
        with inside(there.wire.inner):
            with life.phase("start"):
                running.start()
            try:
                live(life, there, ledger, running, tmp_path)
            finally:
                with life.phase("stop"):
                    running.stop()
        told = summary(life, there)
        accepted = {name: len(vendor.connections) for name, vendor in there.vendors.items()}
    packets = there.capture.packets
    with capsys.disabled():
        if "EGRESS_PROOF_REQUESTS" in os.environ:
            sys.stdout.write(f"\n{told}\n")
    assert there.capture.lost == 0
    trespassers = [packet for packet in packets if ledger.trespass(packet)]
    assert not trespassers, trespassers[:5]
    assert not [packet for packet in packets if whose(packet) == "openai"]
    assert accepted["openai"] == 0
    # And the capture is no deaf one: it has heard all who were allowed.
    opened = Counter(whose(packet) for packet in packets if packet.opens)
    assert opened["mistral"] >= accepted["mistral"] > 0
    assert opened["lab"] >= accepted["lab"] > 0
    assert life.phases[0] == ("import of every module", 0)


def live(life: Life, there: World, ledger: Ledger, running: RunningGateway, folder: Path) -> None:
    """From the first request to the last command."""
    with life.phase(f"{REQUESTS} requests"):
        life.requests(running, REQUESTS)
    with life.phase("policy edited and reloaded"):
        (running.policies / "20-more.yaml").write_text("version: 1\nvendors: {google: deny}\n")
        time.sleep(1)
    with life.phase("gateway ban mistral, amid requests"), ThreadPoolExecutor(1) as pool:
        asking = pool.submit(life.requests, running, 24)
        time.sleep(1)
        life.run(running, "ban", "mistral", "--reason", "proof")
        ledger.ban("mistral")
        asking.result(120)
    with life.phase("12 requests with mistral banned"):
        before = len(there.vendors["mistral"].requests)
        life.requests(running, 12)
        assert len(there.vendors["mistral"].requests) == before
    with life.phase("gateway unban mistral, 12 requests"):
        ledger.allow("mistral")
        life.run(running, "unban", "mistral")
        life.requests(running, 12)
    with life.phase("policy check, explain, …, doctor"):
        for command in commands(running, folder):
            life.run(running, *command)
        # Of a model that nobody is left to serve it says that it is wrong.
        life.run(running, "doctor", code=1)


def summary(life: Life, there: World) -> str:
    """What was on the wire, in a few lines."""
    packets = there.capture.packets
    to = Counter(
        f"{packet.to}:{packet.port} {packet.protocol}" if packet.port else packet.to
        for packet in packets
    )
    known = {f"{address}:{port} TCP": name for name, (_, address, port) in HOSTS.items()}
    known[f"{FAR}:53 UDP"] = "name server"
    asked = Counter(" ".join(packet.asks) for packet in packets if packet.asks is not None)
    opened = Counter(whose(packet) for packet in packets if packet.opens)
    lines = [f"egress capture: {len(packets)} packets from the gateway, {there.capture.lost} lost"]
    lines += [f"  {count:6} during {name}" for name, count in life.phases]
    lines += ["packets by destination:"]
    lines += [
        f"  {to[key]:6} {key} ({name}), {opened[name]} connections" for key, name in known.items()
    ]
    lines += [
        f"  {count:6} {key} (NOT CONFIGURED)" for key, count in to.items() if key not in known
    ]
    lines += [f"DNS questions: {', '.join(f'{n} x {q}' for q, n in sorted(asked.items()))}"]
    lines += [f"served by: {', '.join(f'{n} x {w}' for w, n in life.served.most_common())}"]
    return "\n".join(lines)


def test_offline_not_one_packet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No server of our own is configured: import, start, requests, commands and stop leave the
    wire silent, although policy allows both vendors and their keys are set.
    """
    kept = [line for line in CONFIG.splitlines(keepends=True) if not line.startswith("  lab:")]
    config = "offline: true\n" + "".join(kept).replace(" lab/qwen3-32b,", "")
    with world(tmp_path) as there:
        life = Life(there, Ledger())
        policy = POLICY.replace("openai: deny", "openai: allow")
        running = there.gateway(tmp_path / "gateway", config=config, policy=policy)
        life.imports()
        with inside(there.wire.inner), running:
            for model in ("gpt-4o", "large", "qwen") * 2:
                assert running.ask(model, max_tokens=8)[2]["x-gateway-failover"] == "offline"
            status, body, _ = running.ask("only-openai")
            assert (status, body["error"]["code"]) == (503, "offline")
            life.run(running, "status")
            life.run(running, "policy", "explain", "--model", "gpt-4o")
            life.run(running, "doctor", code=1)
        with capsys.disabled():
            if "EGRESS_PROOF_REQUESTS" in os.environ:
                count = len(there.capture.packets)
                sys.stdout.write(f"\noffline: true: {count} packets from the gateway\n")
    assert there.capture.packets == []
    assert there.capture.lost == 0
