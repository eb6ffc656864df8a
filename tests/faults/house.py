"""A running gateway with two targets a scenario that are its own, so that what is remembered of one
scenario's targets is nothing to another's; behind them, simulators that all share.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme

from tests.end_to_end.running import ROOT, RunningGateway, whole
from tests.faults.asking import QUESTION, Got, ask
from tests.faults.row import FIRST, LOCAL, SECOND, Does, Mode, Row, Step
from tests.faults.table import SCENARIOS
from tests.simulators.vendor import VendorSimulator

WAIT = 0.5
"""Seconds, of each time-out."""
PATIENCE = 8.0
"""Seconds that the app waits."""
POLICY = "version: 1\ndefault: allow\nvendors: {deepseek: deny}\n"
PASSED = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one request of a step. ``requests`` are those that the simulators saw of it,
    and of those that were made at the same time; ``opened`` is how many connections the first has
    now that it did not have before; ``asked`` the last request that the second saw.
    """

    got: Got
    record: dict[str, Any]
    requests: tuple[int, int]
    opened: int
    asked: dict[str, Any] | None


class House:
    """``with House(folder) as house``: all is up; ``play`` plays a scenario."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._records: dict[str, dict[str, Any]] = {}
        self._read = 0

    def __enter__(self) -> Self:
        authority = trustme.CA()
        bundle = self._folder / "ca.pem"
        authority.cert_pem.write_to_path(str(bundle))
        self._seconds = self._stack.enter_context(VendorSimulator())
        self._firsts = {
            name: self._stack.enter_context(VendorSimulator(tls=context))
            for name, context in (
                ("one", None),
                ("tls", _context(authority, "127.0.0.1")),
                ("wrong_name", _context(authority, "other.test")),
                ("expired", _context(authority, "127.0.0.1", until=PASSED)),
            )
        }
        self._gateway = self._stack.enter_context(
            RunningGateway(
                self._folder,
                self._configuration(),
                policy=POLICY,
                environ={"SSL_CERT_FILE": str(bundle)},
            )
        )
        self._client = self._stack.enter_context(self._gateway.sdk.with_options(timeout=PATIENCE))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def target(self, row: Row, mode: Mode, place: str) -> str:
        """The id of a target of a scenario."""
        if place == LOCAL:
            return "local/smollm2"
        return f"{_channel(row, mode, place)}/{_MODELS[place]}"

    def play(self, row: Row, mode: Mode) -> Iterator[tuple[Step, Done]]:
        """Each request of each step, with what came of it."""
        for step in row.steps(mode):
            time.sleep(step.pause)
            first = self._firsts.get(row.via, self._firsts["one"])
            _behave(first, step.first)
            _behave(self._seconds, step.second)
            before = first.open
            for gots in self._asked(row, mode, step, first):
                seen = (len(first.requests), len(self._seconds.requests))
                for got in gots:
                    asked = self._seconds.requests[-1].json if seen[1] else None
                    yield step, Done(got, self._record(got), seen, first.open - before, asked)
                for simulator in (first, self._seconds):
                    simulator.requests.clear()

    def _asked(
        self, row: Row, mode: Mode, step: Step, first: VendorSimulator
    ) -> Iterator[list[Got]]:
        """The answers that came at the same time, one group after the other."""
        model = row.slug + mode.value

        def once() -> Got:
            return ask(self._client, model, mode, row.fields)

        if step.leaves:
            yield [self._leave(model, mode, first)]
        elif step.at_once:
            with ThreadPoolExecutor(step.times) as pool:
                yield [one.result() for one in [pool.submit(once) for _ in range(step.times)]]
        else:
            for _ in range(step.times):
                yield [once()]

    def _leave(self, model: str, mode: Mode, first: VendorSimulator) -> Got:
        """Ask by hand, and close the connection once the vendor has the request and, of a stream,
        the app has something.
        """
        question = [{"role": "user", "content": QUESTION}]
        stream = mode is Mode.STREAM
        body = json.dumps({"model": model, "messages": question, "stream": stream}).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        before = first.open
        with socket.create_connection(("127.0.0.1", self._gateway.port)) as connection:
            connection.sendall(head.encode() + body)
            if stream:
                connection.recv(64)
            _until(lambda: bool(first.requests))
        _until(lambda: first.open <= before)
        _until(lambda: self._newest(model) is not None)
        newest = self._newest(model) or {}
        return Got(200, {"x-gateway-request-id": newest["id"]})

    def _newest(self, model: str) -> dict[str, Any] | None:
        self._read_records()
        found = [record for record in self._records.values() if record["model"] == model]
        return found[-1] if found else None

    def _record(self, got: Got) -> dict[str, Any]:
        """The audit record of a request; empty where there is none."""
        id = got.headers.get("x-gateway-request-id", "")
        until = time.monotonic() + 20
        while id not in self._records and time.monotonic() < until:
            time.sleep(0.01)
            self._read_records()
        return self._records.get(id, {})

    def _read_records(self) -> None:
        for file in (self._gateway.folder / "state" / "audit").glob("*.jsonl"):
            with file.open("rb") as stream:
                stream.seek(self._read)
                read = stream.read()
            ended = read[: read.rfind(b"\n") + 1]
            self._read += len(ended)
            lines = map(json.loads, ended.split(b"\n")[:-1])
            self._records |= {
                line["id"]: whole(line) for line in lines if line["kind"] == "request"
            }

    def _configuration(self) -> str:
        channels, models = [], []
        for row, mode in SCENARIOS:
            channels += [
                f"  {_channel(row, mode, FIRST)}: {{vendor: {row.vendor}, kind: openai, "
                f'base_url: "{self._address(row)}", api_key: "${{VENDOR_KEY}}"'
                f"{', ' + row.first if row.first else ''}}}",
                f"  {_channel(row, mode, SECOND)}: {{vendor: mistral, kind: openai, "
                f'base_url: "{self._seconds.url}", api_key: "${{VENDOR_KEY}}"}}',
            ]
            targets = ", ".join(self.target(row, mode, place) for place in row.chain)
            more = f", {row.model}" if row.model else ""
            models.append(f"  {row.slug}{mode.value}: {{targets: [{targets}]{more}}}")
        waits = ("connect", "first_token", "idle")
        return "\n".join(
            (
                "channels:",
                *channels,
                "models:",
                *models,
                f"local: {{manifests: {ROOT / 'models'}, models: {{smollm2: {{manifest: "
                "smollm2-135m-instruct, context: 512, slots: 4, threads: 2}}}",
                f"upstream: {{{', '.join(f'{wait}_timeout: {WAIT}' for wait in waits)}, "
                f"answer_timeout: {1.5 * WAIT}, health_interval: 3600}}",
                "state: {dir: state}\n",
            )
        )

    def _address(self, row: Row) -> str:
        """What the first target's channel is given as its address."""
        if row.via == "nobody":
            return "https://nobody.invalid/v1"
        if row.via == "no_tls":
            return self._firsts["one"].url.replace("http:", "https:")
        return self._firsts[row.via].url


_MODELS = {FIRST: "gpt-4o", SECOND: "mistral-large"}


def _channel(row: Row, mode: Mode, place: str) -> str:
    return f"{row.slug}.{mode.value}.{place}"


def _behave(simulator: VendorSimulator, does: Does) -> None:
    simulator.behave(does.name, **does.options)


def _context(authority: trustme.CA, name: str, *, until: datetime | None = None) -> ssl.SSLContext:
    since = until - timedelta(days=30) if until else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=since, not_after=until).configure_cert(context)
    return context


def _until(true: Any) -> None:
    until = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
