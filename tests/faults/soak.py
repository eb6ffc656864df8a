"""A gateway for half an hour in bad weather: ``python -m tests.faults.soak --seconds N``.

A serving process with a local model, three vendors that fail at random in processes of their own,
200 requests a second, a ban and its end every 10 seconds, another policy every 5. Every request
must end in a good answer or a typed error, none may reach a vendor after its ban was confirmed, and
what the process holds in the end must be what it held in the beginning. The exit code is 1 where
anything of it is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import msgspec

from gateway.files import write_atomically
from tests.end_to_end.running import ROOT, RunningGateway
from tests.faults.load import Kind, Load
from tests.faults.process import Held, held, resident
from tests.faults.soak_report import Ban, Findings, report
from tests.faults.watched import FILE

VENDORS = {"openai": "gpt-4o", "mistral": "mistral-large", "cohere": "command-r"}
"""With what each calls its model."""
MODELS = 24
"""Configured models that vendors serve: each has targets, and so breakers, of its own."""
HALF_CYCLE = 5.0
"""Seconds from a ban to its end, and from there to the next ban; with a reload in between."""
IDLE = 31.0
"""Seconds until the gateway has closed connections to vendors that it does not use."""
LATEST = 20.0
"""Seconds after which a record that is not there is missing."""
POLICY = "version: 1\ndefault: allow\nvendors: {deepseek: deny}\n"
KINDS = (
    *(Kind(f"cloud-{n}", 0.84 / MODELS, 300, 4000) for n in range(MODELS)),
    *(Kind(f"mixed-{n}", 0.15 / MODELS, 300, 600) for n in range(MODELS)),
    Kind("own", 0.01, 300, 400),
)


@dataclass
class Vendor:
    """A vendor's process. ``log`` has a line for each request that it saw."""

    name: str
    log: Path
    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def seen(self) -> Iterator[tuple[float, int]]:
        """When, and the number of the request."""
        with self.log.open() as lines:
            for line in lines:
                when, number = line.split()
                yield float(when), int(number)


@dataclass
class Soak:
    """One run. ``memory`` are samples of seconds and megabytes."""

    gateway: RunningGateway
    vendors: tuple[Vendor, ...]
    tasks: Path
    bans: list[Ban] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    reloads: int = 0
    troubles: list[str] = field(default_factory=list)
    skipped: dict[Path, int] = field(default_factory=dict)

    async def run(self, seconds: float, rate: float) -> Findings:
        load = Load(self.gateway.port, KINDS, rate=rate)
        # What is made with the first requests and stays is no leak.
        first = Load(self.gateway.port, KINDS, rate=rate / 2, seed=2)
        await first.run(2)
        await self._written(len(first.tally.began))
        self._forget()
        before = self._held()
        beside = [asyncio.create_task(self._operate()), asyncio.create_task(self._sample())]
        began = time.time()
        await load.run(seconds)
        took = time.time() - began
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await asyncio.sleep(IDLE if seconds >= IDLE else 1)
        await self._written(len(load.tally.began))
        after = self._held()
        return Findings(
            seconds=took,
            rate=rate,
            tally=load.tally,
            bans=self.bans,
            reloads=self.reloads,
            seen={vendor.name: list(vendor.seen()) for vendor in self.vendors},
            memory=self.memory,
            before=before,
            after=after,
            expired=seconds >= IDLE,
            records=self._records(),
            troubles=self.troubles,
        )

    def _held(self) -> Held:
        return held(self.gateway.pid, [vendor.port for vendor in self.vendors], self.tasks)

    def _forget(self) -> None:
        """What was seen and written down so far is of no interest."""
        self.skipped = {file: file.stat().st_size for file in self._audit()}
        for vendor in self.vendors:
            with vendor.log.open("r+b") as stream:
                stream.truncate(0)

    async def _written(self, requests: int) -> None:
        """Until there are as many records, which are written behind the answers; no longer than a
        busy disk may need.
        """
        end = time.monotonic() + LATEST
        while len(self._records()) < requests and time.monotonic() < end:  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.2)

    def _audit(self) -> list[Path]:
        return list((self.gateway.folder / "state" / "audit").glob("*.jsonl"))

    def _records(self) -> list[str]:
        """The ids of all audit records of requests."""
        decoder = msgspec.json.Decoder(_Line)
        ids: list[str] = []
        for file in self._audit():
            with file.open("rb") as lines:
                lines.seek(self.skipped.get(file, 0))
                found = map(decoder.decode, (line for line in lines if line.endswith(b"\n")))
                ids += [line.id for line in found if line.kind == "request"]
        return ids

    async def _operate(self) -> None:
        """Ban one vendor after the other, with another policy in between."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for vendor in cycle(VENDORS):
            self.bans.append(Ban(vendor, await self._command("ban", vendor, "--reason", "soak")))
            due += HALF_CYCLE / 2
            await asyncio.sleep(due - loop.time())
            self._reload()
            due += HALF_CYCLE / 2
            await asyncio.sleep(due - loop.time())
            self.bans[-1] = replace(self.bans[-1], ended=time.time())
            await self._command("unban", vendor)
            due += HALF_CYCLE / 2
            await asyncio.sleep(due - loop.time())
            self._reload()
            due += HALF_CYCLE / 2
            await asyncio.sleep(due - loop.time())

    async def _command(self, *words: str) -> float:
        """Run it as an operator does; when it was confirmed, in seconds since 1970."""
        done = await asyncio.to_thread(self.gateway.run, *words)
        if done.returncode != 0:
            self.troubles.append(f"gateway {' '.join(words)}: {done.stderr.strip()}")
        return time.time()

    def _reload(self) -> None:
        """Another policy, which changes nothing for these vendors."""
        self.reloads += 1
        verdict = "deny" if self.reloads % 2 else "allow"
        text = POLICY.replace("}", f", xai: {verdict}}}")
        write_atomically(self.gateway.policies / "10-vendors.yaml", text.encode())

    async def _sample(self) -> None:
        began = time.monotonic()
        while True:
            self.memory.append((time.monotonic() - began, resident(self.gateway.pid)))
            await asyncio.sleep(0.5)


class _Line(msgspec.Struct):
    kind: str
    id: str = ""


def configuration(vendors: tuple[Vendor, ...]) -> str:
    """Models whose first vendor is another one each, some with the local model behind them."""
    names = [f"{word}-{n}" for n in range(MODELS) for word in ("cloud", "mixed")]
    channels = [
        f'  {vendor.name}: {{vendor: {vendor.name}, kind: openai, base_url: "{vendor.url}", '
        'api_key: "${VENDOR_KEY}", deployments: {'
        + ", ".join(f"{name}: {{developer: {vendor.name}, model: {name}}}" for name in names)
        + "}}"
        for vendor in vendors
    ]
    models = []
    for n in range(MODELS):
        turned = [vendors[(n + place) % len(vendors)].name for place in range(len(vendors))]
        for word, last in (("cloud", []), ("mixed", ["local/smollm2"])):
            targets = ", ".join([*(f"{name}/{word}-{n}" for name in turned), *last])
            models.append(f"  {word}-{n}: {{targets: [{targets}]}}")
    waits = ("connect", "first_token", "answer", "idle")
    return "\n".join(
        (
            "server: {deadline: 8}",
            "channels:",
            *channels,
            "models:",
            *models,
            "  own: {targets: [local/smollm2]}",
            f"local: {{manifests: {ROOT / 'models'}, models: {{smollm2: {{manifest: "
            "smollm2-135m-instruct, context: 1024, slots: 4, queue: 16, threads: 1}}}",
            f"upstream: {{{', '.join(f'{wait}_timeout: 1' for wait in waits)}}}",
            "state: {dir: state}\n",
        )
    )


@contextmanager
def vendor(name: str, folder: Path, seed: int) -> Iterator[Vendor]:
    """A vendor's process, which ends with its standard input."""
    log = folder / f"{name}.log"
    options = {"log": log, "seed": seed, "called": VENDORS[name]}
    words = [f"--{option}={value}" for option, value in options.items()]
    command = (sys.executable, "-m", "tests.faults.storm", *words)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        yield Vendor(name, log, process, process.stdout.readline().strip())
        process.communicate(timeout=20)


def soak(folder: Path, seconds: float, rate: float) -> Findings:
    """Start everything, run it, and stop it."""
    with ExitStack() as stack:
        vendors = tuple(
            stack.enter_context(vendor(name, folder, seed)) for seed, name in enumerate(VENDORS)
        )
        tasks = folder / "tasks"
        gateway = stack.enter_context(
            RunningGateway(
                folder,
                configuration(vendors),
                policy=POLICY,
                environ={FILE: str(tasks)},
                serves="tests.faults.watched",
            )
        )
        return asyncio.run(Soak(gateway, vendors, tasks).run(seconds, rate))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--rate", type=float, default=200, help="requests a second")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        findings = soak(Path(folder), chosen.seconds, chosen.rate)
    for line in report(findings):
        sys.stdout.write(f"{line}\n")
    return 1 if findings.missed() else 0


if __name__ == "__main__":
    sys.exit(main())
