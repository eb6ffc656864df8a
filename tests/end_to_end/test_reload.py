"""gateway.yaml is changed while the gateway serves: real files, real processes, the real model."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.keyed import CHAT, to_each
from tests.end_to_end.raw_http import chat
from tests.end_to_end.running import RunningGateway, configuration, replaced
from tests.simulators.vendor import VendorSimulator

pytestmark = pytest.mark.alone

WITHIN = 1.0  # seconds: the specification's
OPENAI = '  openai: {vendor: openai, kind: openai, base_url: "%s", api_key: "file:key"}\n'
LAB = '  second: {vendor: openai, kind: openai, base_url: "%s", api_key: "file:key"}\n'


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


class House:
    """A gateway with two serving processes, its configuration, and a key in a file."""

    def __init__(self, folder: Path, vendor: VendorSimulator) -> None:
        self.vendor = vendor
        self.key = folder / "key"
        self.key.write_text("sk-first\n")
        self.text = configuration(vendor.url).replace('"${VENDOR_KEY}"', '"file:key"')
        self.gateway = RunningGateway(folder, self.text, flags=("--workers", "2"))

    def write(self, text: str) -> None:
        replaced(self.gateway.config, text)

    def seen(self) -> list[dict[str, Any]]:
        """What each serving process says of itself, read as the command line does."""
        folder = self.gateway.folder / "state" / "run"

        return [json.loads(path.read_bytes()) for path in folder.glob("serving-*.json")]

    def in_force(self, text: str) -> float:
        """Seconds until both processes have this text."""
        revision = sha256(text.encode()).hexdigest()
        return until(lambda: [one["configuration"] for one in self.seen()] == [revision] * 2)

    def change(self, text: str) -> None:
        self.write(text)
        assert self.in_force(text) < WITHIN


def until(true: Callable[[], bool], within: float = 20.0) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within, "it does not come true"
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("reload"), vendor)
    with house.gateway:
        until(lambda: len(house.seen()) == 2)
        yield house


@pytest.fixture(autouse=True)
def as_it_was(house: House, vendor: VendorSimulator) -> Iterator[None]:
    vendor.behave("answer")
    yield
    house.key.write_text("sk-first\n")
    house.write(house.text)
    house.in_force(house.text)
    until(lambda: house.gateway.get("/readyz")[1]["status"] == "ready")


def test_a_channel_and_a_model_are_added_while_a_stream_is_running(house: House) -> None:
    """The stream goes on to its end, and the new name is served by both processes."""
    house.vendor.behave("answer", words=[f" w{n}" for n in range(20)], pause=0.1)
    stream = house.gateway.sdk.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "count"}], stream=True
    )
    chunks = iter(stream)
    next(chunks)
    text = house.text.replace("channels:\n", f"channels:\n{LAB % house.vendor.url}")
    text = text.replace("models:\n", "models:\n  fresh: {targets: [second/gpt-4o]}\n", 1)
    house.change(text)
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said.split()[-1] == "w19"
    house.vendor.behave("answer")
    for _ in range(8):
        status, _, headers = house.gateway.ask("fresh")
        assert (status, headers["x-gateway-served-by"]) == (200, "second/gpt-4o")


def test_a_target_that_is_removed_is_asked_no_more(house: House) -> None:
    """Nor are its connections kept; the next target serves, and its name is gone with its model."""
    assert house.gateway.ask()[2]["x-gateway-served-by"] == "openai/gpt-4o"
    text = house.text.replace("gpt-4o: {targets: [openai/gpt-4o, ", "gpt-4o: {targets: [")
    text = text.replace("  only-cloud: {targets: [openai/gpt-4o]}\n", "")
    line = next(one for one in text.splitlines() if one.startswith("  openai:"))
    house.change(text.replace(f"{line}\n", ""))
    asked = len(house.vendor.requests)
    until(lambda: house.vendor.open == 0, WITHIN)
    for _ in range(4):
        assert house.gateway.ask(max_tokens=1)[2]["x-gateway-served-by"] == "local/smollm2"
    assert house.gateway.ask("only-cloud")[0] == 404
    assert len(house.vendor.requests) == asked


def test_a_broken_file_changes_nothing_and_says_where(house: House) -> None:
    """Readiness is degraded, the status has file, line and column, and mending it mends all."""
    before = {one["configuration"] for one in house.seen()}
    house.write(house.text.replace("targets: [openai/gpt-4o]", "targets: [opnai/gpt-4o]"))
    until(lambda: all(one["configuration_problem"] for one in house.seen()), WITHIN)
    status, state = house.gateway.get("/readyz")
    assert (status, state["status"]) == (200, "degraded")
    assert "gateway.yaml:11:26: no channel 'opnai'" in state["configuration"]["problem"]
    assert {one["configuration"] for one in house.seen()} == before
    assert house.gateway.ask("only-cloud")[0] == 200
    assert "configuration.refused" in house.gateway.output.read_text()
    printed = house.gateway.run("status").stdout
    assert printed.count("no channel 'opnai' is configured") == 2
    banned = house.gateway.run("ban", "openai", "--reason", "drill")
    assert "in 2 serving processes" in banned.stdout, banned.stderr
    assert house.gateway.run("unban", "openai").returncode == 0
    house.write(house.text)
    until(lambda: house.gateway.get("/readyz")[1]["status"] == "ready", WITHIN)


def test_an_emptied_file_is_no_configuration(house: House) -> None:
    """A file that is being written is not taken for one that names no models."""
    house.gateway.config.write_text("")
    until(lambda: all(one["configuration_problem"] for one in house.seen()), WITHIN)
    assert house.gateway.ask("claude-sonnet-4-5", max_tokens=1)[0] == 200


def test_a_refused_key_serves_again_as_soon_as_it_is_mended(house: House) -> None:
    """A 401 leaves the target out until its key is another, and no longer; swapped by a link."""
    house.vendor.behave("401")
    with to_each(house.gateway, 2) as processes:
        for connection in processes.values():
            assert connection.ask("POST", CHAT, chat(max_tokens=1)).status == 200
    house.vendor.behave("answer")
    assert house.gateway.ask(max_tokens=1)[2]["x-gateway-failover"] == "misconfigured"
    fresh = house.key.with_suffix(".2")
    fresh.write_text("sk-second\n")
    link = house.key.with_suffix(".link")
    link.symlink_to(fresh)
    os.replace(link, house.key)
    time.sleep(WITHIN)
    for _ in range(8):
        assert house.gateway.ask()[2]["x-gateway-served-by"] == "openai/gpt-4o"
    keys = {one.headers["authorization"] for one in house.vendor.requests[-8:]}
    assert keys == {"Bearer sk-second"}
    house.key.unlink()


def test_policy_and_configuration_are_swapped_together(house: House) -> None:
    """A policy's own test may need the new configuration: each waits for the other."""
    extra = house.gateway.policies / "50-tests.yaml"
    deployed = (
        "  deployed: {vendor: openai, kind: openai, base_url: https://example.org/v1, "
        "deployments: {prod: {developer: openai, model: gpt-4o}}}\n"
    )
    text = house.text.replace("channels:\n", f"channels:\n{deployed}", 1)
    # Behind a channel that is not configured nobody is known, and so nobody is allowed.
    extra.write_text(
        "version: 1\n"
        "tests:\n  - {name: ours, request: {model: deployed/prod}, expect: {verdict: allow}}\n"
    )
    try:
        until(lambda: all(one["problem"] for one in house.seen()))
        house.change(text)
        assert [one["problem"] for one in house.seen()] == [None, None]
        house.write(house.text)
        until(lambda: all(one["configuration_problem"] for one in house.seen()), WITHIN)
        assert "the test 'ours'" in house.seen()[0]["configuration_problem"]
        assert {one["configuration"] for one in house.seen()} == {sha256(text.encode()).hexdigest()}
    finally:
        extra.unlink()
    assert house.in_force(house.text) < WITHIN
    assert [one["problem"] for one in house.seen()] == [None, None]


def test_what_takes_a_restart_is_named_and_the_rest_applied(house: House) -> None:
    """Another port is for the next start; the model beside it is there now."""
    text = house.text.replace("models:\n", "models:\n  also: {targets: [local/smollm2]}\n", 1)
    house.change(f"{text}server: {{port: 1234}}\n")
    assert house.gateway.ask("also", max_tokens=1)[0] == 200
    # The port is a flag here, which wins over the file.
    assert house.gateway.get("/admin/status")[1]["configuration"]["restart"] == []
    house.change(text.replace("state: {dir: state}", "state: {dir: elsewhere}"))
    assert house.gateway.get("/admin/status")[1]["configuration"]["restart"] == ["state.dir"]
    assert "configuration.takes_a_restart" in house.gateway.output.read_text()


def test_a_local_model_is_added_changed_and_removed(house: House) -> None:
    """The one file under another name; a change of it is served without a gap."""
    model = "    second: {manifest: smollm2-135m-instruct, context: %d, slots: 2, threads: 2}\n"
    text = house.text.replace("    smollm2: {", f"{model % 512}    smollm2: {{", 1)
    text = text.replace("models:\n", "models:\n  two: {targets: [local/second]}\n", 1)
    house.change(text)
    until(lambda: house.gateway.ask("two", max_tokens=1)[0] == 200)
    answers: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            answers.append(house.gateway.ask("two", max_tokens=4)[0])

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        other = text.replace("context: 512", "context: 1024")
        try:
            house.change(other)
            until(lambda: loaded(house, "second") == 1024)
        finally:
            over.set()
        for one in asking:
            one.result(30)
    assert set(answers) == {200}
    house.change(house.text)
    assert house.gateway.ask("two")[0] == 404
    until(lambda: workers(house) == 1)


def loaded(house: House, name: str) -> int | None:
    """The context with which a model is loaded, as one of the processes sees it."""
    models = house.gateway.get("/admin/status")[1]["local_models"]
    found = next(one["loaded"] for one in models if one["name"] == name)
    return found and int(found["context"])


def workers(house: House) -> int:
    """The processes that have llama.cpp mapped."""
    children = Path(f"/proc/{house.gateway.pid}/task").glob("*/children")
    pids = [int(pid) for file in children for pid in file.read_text().split()]
    return sum("libllama" in maps(pid) for pid in pids)


def maps(pid: int) -> str:
    """What a process has mapped; nothing, where it ends just now."""
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_swaps_under_load_lose_no_request(house: House) -> None:
    """Keys and addresses change all the time, and every answer is the vendor's or the model's."""
    answers: list[tuple[int, str]] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            status, _, headers = house.gateway.ask(max_tokens=1)
            answers.append((status, headers.get("x-gateway-served-by", "")))

    with ThreadPoolExecutor(6) as pool, VendorSimulator() as elsewhere:
        asking = [pool.submit(ask) for _ in range(6)]
        try:
            for turn in range(4):
                house.key.write_text(f"sk-{turn}\n")
                url = (elsewhere if turn % 2 else house.vendor).url
                house.change(house.text.replace(house.vendor.url, url) + f"# {turn}\n")
        finally:
            over.set()
        for one in asking:
            one.result(30)
        house.change(house.text)
        assert elsewhere.requests
    assert {status for status, _ in answers} == {200}
    assert len(answers) > 20


def test_the_last_good_configuration_outlives_a_restart(
    tmp_path: Path, vendor: VendorSimulator
) -> None:
    """A start over a broken file serves what was good before, and says why."""
    gateway = RunningGateway(tmp_path, configuration(vendor.url))
    with gateway:
        assert gateway.ask()[0] == 200
    gateway.config.write_text(gateway.config.read_text() + "nonsense: 1\n")
    with gateway:
        state = gateway.get("/readyz")[1]
        assert state["status"] == "degraded"
        assert "unknown key" in state["configuration"]["problem"]
        assert gateway.ask()[2]["x-gateway-served-by"] == "openai/gpt-4o"
