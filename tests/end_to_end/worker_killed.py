"""A worker is killed in the middle of many answers. ``python -m tests.end_to_end.worker_killed``
prints what came of each; a test asserts it.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from openai import APIError

from tests.end_to_end.running import RunningGateway, configuration
from tests.waiting import until

STREAMS = 16
SLOTS = 12
TOKENS = 160
"""Long enough that no answer is whole before the kill, however fast the machine is."""


def config() -> str:
    """Fewer slots than streams, so that some have sent nothing when the worker is lost."""
    text = configuration(models="  own: {targets: [local/smollm2]}")
    return text.replace("context: 2048, slots: 4", f"context: 512, slots: {SLOTS}")


@dataclass
class Stream:
    """One app's answer. ``before`` is how many pieces it had when the worker was killed."""

    number: int
    pieces: list[str] = field(default_factory=list)
    before: int = 0
    end: str = ""
    at: float = 0.0

    def run(self, gateway: RunningGateway) -> None:
        question = f"Tell me a long story about the number {self.number}."
        try:
            stream = gateway.sdk.chat.completions.create(
                model="own",
                messages=[{"role": "user", "content": question}],
                max_tokens=TOKENS,
                stream=True,
                extra_body={"ignore_eos": True},
            )
            for chunk in stream:
                if text := chunk.choices[0].delta.content:
                    self.pieces.append(text)
                self.end = chunk.choices[0].finish_reason or self.end
        except APIError as error:
            self.end = f"error: {error.code}: {error.message}"
        self.at = time.monotonic()


def worker_of(gateway: RunningGateway) -> int:
    """The process id of the model's worker."""
    for folder in Path("/proc").iterdir():
        try:
            command = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if b"gateway.local.worker" in command and parent == gateway.pid:
            return int(folder.name)
    raise AssertionError("there is no worker")


def kill_in_the_middle(gateway: RunningGateway) -> tuple[list[Stream], float]:
    """All streams, and after how many seconds the model was ready again."""
    streams = [Stream(number) for number in range(STREAMS)]
    threads = [threading.Thread(target=one.run, args=(gateway,)) for one in streams]
    killed = worker_of(gateway)
    for thread in threads:
        thread.start()
    until(lambda: sum(len(one.pieces) > 2 for one in streams) >= SLOTS // 2)
    os.kill(killed, signal.SIGKILL)
    began = time.monotonic()
    for one in streams:
        one.before = len(one.pieces)
    next_worker(gateway, killed)
    back = time.monotonic() - began
    for thread in threads:
        thread.join(90)
    return streams, back


def next_worker(gateway: RunningGateway, killed: int) -> None:
    """Until another worker than the one that was killed has the model."""
    until(lambda: (loaded := worker_of(gateway)) and loaded != killed)
    until(lambda: gateway.get("/readyz")[0] == 200)


def report(streams: list[Stream], back: float) -> Iterator[str]:
    for one in streams:
        had = f"{one.before:3} pieces before the kill" if one.before else "nothing before the kill"
        yield f"stream {one.number:2}: {had}, {len(one.pieces):3} in all, {one.end}"
    yield f"the model was ready again {back:.2f} s after kill -9"


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningGateway(Path(folder), config(), key=None) as gateway,
    ):
        for line in report(*kill_in_the_middle(gateway)):
            sys.stdout.write(f"{line}\n")
        status, answer, headers = gateway.ask("own")
        said = answer["choices"][0]["message"]["content"]
        sys.stdout.write(f"next request: {status} {headers['x-gateway-served-by']} {said!r}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
