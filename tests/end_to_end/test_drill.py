"""A ban is practised on a gateway of two serving processes with the real model and a simulated
vendor, while apps ask: who answers, who dies, and what is told of it afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.config.presence import RUN, running
from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

IMAGE = [
    {"type": "text", "text": "What is it?"},
    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
]
MODELS = """\
  only-local: {targets: [local/smollm2]}
"""


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def gateway(
    vendor: VendorSimulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("drill")
    text = configuration(vendor.url, models=MODELS)
    with RunningGateway(folder, text, flags=("--workers", "2")) as started:
        yield started


@pytest.fixture(autouse=True)
def none_runs(gateway: RunningGateway) -> Iterator[None]:
    """A drill that a test has left is ended."""
    yield
    gateway.run("drill", "stop", policy=False)


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """The first thing that is true, if there is one in time."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
    return found


def drill(gateway: RunningGateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    return gateway.run("drill", *arguments, policy=False)


def begun(gateway: RunningGateway, *options: str, minutes: str = "60") -> str:
    """The id of a drill of openai that runs in both processes, and that nobody waits for."""
    more = ("--minutes", minutes, "--reason", "a test", "--detach", *options)
    done = drill(gateway, "start", "openai", *more)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[3]


def told(gateway: RunningGateway, id: str) -> dict[str, Any]:
    """The report as it stands now; the exit code goes by the verdict."""
    done = drill(gateway, "report", id, "--format", "json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["verdict"].startswith("holds") else 1), done.stderr
    return found


def settled(gateway: RunningGateway, id: str, requests: int) -> dict[str, Any]:
    """The report, once so many requests are in it."""

    def found() -> dict[str, Any] | None:
        now = told(gateway, id)
        return now if now["parts"]["requests"] >= requests else None

    report: dict[str, Any] = until(found)
    return report


def of_drill(gateway: RunningGateway, id: str) -> list[dict[str, Any]]:
    return [one for one in gateway.records() if one["drill"] == id]


class Apps:
    """Apps that ask one after the other, until they are stopped; what they got by app."""

    def __init__(self, gateway: RunningGateway, *apps: str, **fields: Any) -> None:
        self.got: Counter[tuple[str, int, str, str]] = Counter()
        self._gateway = gateway
        self._fields = fields
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(app,)) for app in apps]

    def __enter__(self) -> Apps:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self) -> int:
        return self.got.total()

    def _ask(self, app: str) -> None:
        question = [{"role": "user", "content": IMAGE if app == "vision" else "Hello"}]
        body = {"model": "gpt-4o", "messages": question, "max_tokens": 4} | self._fields
        while not self._stop.is_set():
            status, _, headers = self._gateway.post(json.dumps(body).encode(), x_gateway_app=app)
            by = headers.get("x-gateway-served-by", "")
            with self._lock:
                self.got[app, status, by, headers.get("x-gateway-failover", "")] += 1


OPENAI, LOCAL = "openai/gpt-4o", "local/smollm2"


def test_local_serves_and_the_vendor_what_local_cannot(gateway: RunningGateway) -> None:
    """Nobody is refused; what the report says is what the apps got."""
    id = begun(gateway)
    with Apps(gateway, "web", "web", "vision") as apps:
        until(lambda: {app for app, *_ in apps.got} == {"web", "vision"} and apps.count >= 30)
        # Slots are looked at once a second: answers this short are not always seen.
        until(lambda: any(one["most_busy"] for one in told(gateway, id)["local"]))
    assert set(apps.got) == {
        ("web", 200, LOCAL, "drill"),
        # Rescued by its first choice: that is no failover.
        ("vision", 200, OPENAI, ""),
    }
    web, vision = apps.got["web", 200, LOCAL, "drill"], apps.got["vision", 200, OPENAI, ""]
    report = settled(gateway, id, apps.count)
    parts = report["parts"]
    assert (parts["requests"], parts["local"], parts["rescued"]) == (web + vision, web, vision)
    shares = {one["app"]: one["share"] for one in report["apps"]}
    assert shares == {"web": 1.0, "vision": 0.0}
    assert report["first_token"]["count"] == web
    assert 0 < report["first_token"]["p50"] <= report["answer"]["most"]
    gaps = next(one["gaps"] for one in report["apps"] if one["app"] == "vision")
    assert {gap["what"] for gap in gaps} == {"images", "images by URL"}
    assert {(gap["requests"], *gap["targets"]) for gap in gaps} == {(vision, LOCAL)}
    assert any("App vision needs images by URL" in one for one in report["changes"])
    (load,) = report["local"]
    assert (load["target"], load["requests"], load["slots"]) == (LOCAL, web, 4)
    assert load["most_busy"] >= 1
    # The policy is what it was: these are its real decisions.
    records = of_drill(gateway, id)
    assert {one["targets"][0]["verdict"] for one in records} == {"allow"}
    assert {one["targets"][0]["left_out"] for one in records} == {"drill"}


def test_a_strict_drill_lets_the_app_see_it(gateway: RunningGateway) -> None:
    """With an error that says why, and that it is no ban."""
    id = begun(gateway, "--strict")
    question = [{"role": "user", "content": IMAGE}]
    status, body, _ = gateway.ask(messages=question)
    assert (status, body["error"]["code"]) == (400, "unsupported_parameter")
    assert f"drill {id} practises a ban of openai" in body["error"]["message"]
    status, body, headers = gateway.ask("only-cloud")
    assert (status, body["error"]["code"]) == (503, "no_healthy_target")
    assert f"drill {id}" in body["error"]["message"]
    assert headers["x-should-retry"] == "false"
    assert gateway.ask()[0] == 200
    report = settled(gateway, id, 3)
    assert (report["parts"]["failed"], report["parts"]["local"]) == (2, 1)
    faults = {(one["where"], one["kind"]) for one in report["faults"]}
    assert faults == {("app", "unsupported_parameter"), ("app", "no_healthy_target")}
    assert report["verdict"] == "does not hold"
    assert any("Give model only-cloud a local target" in one for one in report["changes"])


def test_only_the_apps_that_are_meant_are_touched(gateway: RunningGateway) -> None:
    """And of their requests about the share."""
    id = begun(gateway, "--app", "web", "--share", "50%")
    with Apps(gateway, "web", "web", "other") as apps:
        until(lambda: min(_of(apps, "web"), _of(apps, "other")) >= 60, 120)
    assert {key for key in apps.got if key[0] == "other"} == {("other", 200, OPENAI, "")}
    moved, stayed = apps.got["web", 200, LOCAL, "drill"], apps.got["web", 200, OPENAI, ""]
    # The vendor answers much faster, but of each request it is drawn who does: within 5 σ.
    count = moved + stayed
    assert abs(moved / count - 0.5) < 5 * (0.25 / count) ** 0.5
    assert settled(gateway, id, moved)["parts"]["requests"] == moved


def _of(apps: Apps, app: str) -> int:
    return sum(count for key, count in tuple(apps.got.items()) if key[0] == app)


def test_its_own_requests_touch_no_app(gateway: RunningGateway, vendor: VendorSimulator) -> None:
    """They are of several kinds, are sent to no vendor, and are not counted as an app's."""
    id = begun(gateway, "--synthetic", "--rate", "2")
    with Apps(gateway, "web") as apps:
        until(lambda: of_drill(gateway, id) and apps.count >= 10)
    assert set(apps.got) == {("web", 200, OPENAI, "")}
    before = len(vendor.requests)

    def kinds() -> set[tuple[str, ...]]:
        return {tuple(one["needs"]) for one in of_drill(gateway, id)}

    until(lambda: {(), ("tools",), ("json_schema",)} <= kinds(), 150)
    assert len(vendor.requests) == before
    records = of_drill(gateway, id)
    assert {one["origin"] for one in records} == {"drill"}
    assert {one["model"] for one in records} == {"gpt-4o"}
    assert {one["stream"] for one in records} == {True, False}
    drill(gateway, "stop")
    report = settled(gateway, id, len(records))
    assert {one["then"] for one in report["moved"]} == {LOCAL, None}
    parts = report["parts"]
    assert parts["local"] >= 3
    assert (parts["sovereign"], parts["other"], parts["rescued"]) == (0, 0, 0)


def test_it_ends_by_itself_when_who_asked_for_it_is_killed(gateway: RunningGateway) -> None:
    """And when a serving process is: one of those that are left puts it away, once."""
    asking = gateway.begin("drill", "start", "openai", "--minutes", "0.2", "--reason", "a test")
    try:
        assert asking.stderr is not None
        id = asking.stderr.readline().split()[1]
    finally:
        asking.kill()
        asking.communicate()
    assert gateway.ask()[2]["x-gateway-served-by"] == LOCAL
    assert gateway.get("/readyz")[1]["drill"]["id"] == id
    victim = running(gateway.folder / "state" / RUN)[0].pid
    os.kill(victim, signal.SIGKILL)
    until(lambda: gateway.events("drill.ended"))
    until(lambda: _ask_again(gateway) == OPENAI)
    (ended,) = [one for one in gateway.events("drill.ended") if one["detail"]["drill"] == id]
    assert ended["subject"] == "openai"
    until(lambda: gateway.get("/readyz")[1].get("drill", 0) is None)
    assert told(gateway, id)["end"]["actor"] is None


def _ask_again(gateway: RunningGateway) -> str | None:
    """Who serves; a connection may have been that of the process which is gone."""
    try:
        return gateway.ask()[2].get("x-gateway-served-by")
    except OSError:
        return None


def test_another_process_asks_when_the_one_that_asked_is_killed(gateway: RunningGateway) -> None:
    """All of them are, so that it does not matter which one it was."""
    id = begun(gateway, "--synthetic", "--rate", "2")
    until(lambda: of_drill(gateway, id), 120)
    killed = {one.pid for one in running(gateway.folder / "state" / RUN)}
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len({one.pid for one in running(gateway.folder / "state" / RUN)} - killed) == 2)
    since = datetime.now(UTC).isoformat()
    until(lambda: [one for one in of_drill(gateway, id) if one["at"] > since], 120)
    assert gateway.get("/admin/drill")[1]["drill"]["id"] == id


def test_it_is_ended_early_by_who_may_and_that_is_written_down(gateway: RunningGateway) -> None:
    """With all that was asked for, and by whom."""
    id = begun(gateway, "--share", "0.5", "--app", "web", "--strict", "--roles", "developer")
    other = drill(gateway, "start", "anthropic", "--reason", "a second one")
    assert other.returncode == 1
    assert f"a drill runs already: {id}" in other.stderr
    assert drill(gateway, "status").stderr.startswith(f"drill {id} runs until")
    assert drill(gateway, "stop").returncode == 0
    again = drill(gateway, "stop")
    assert (again.returncode, "no drill runs" in again.stderr) == (1, True)
    assert drill(gateway, "status").stdout == "no drill runs\n"
    (started,) = [e for e in gateway.events("drill.started") if e["detail"]["drill"] == id]
    assert (started["subject"], started["reason"]) == ("openai", "a test")
    assert started["actor"].startswith("local:")
    said = {key: started["detail"][key] for key in ("share", "apps", "strict", "roles")}
    assert said == {"share": "0.5", "apps": "web", "strict": "yes", "roles": "developer"}
    (ended,) = [e for e in gateway.events("drill.aborted") if e["detail"]["drill"] == id]
    assert ended["actor"] == started["actor"]
    report = told(gateway, id)
    assert (report["verdict"], report["end"]["actor"]) == ("nothing to tell", ended["actor"])
    assert drill(gateway, "list").stdout.startswith(f"{id}  ")
    assert "# Drill" in drill(gateway, "report", "--format", "markdown").stdout


def test_who_waits_ends_it_with_ctrl_c_and_still_gets_the_report(gateway: RunningGateway) -> None:
    """It says what came of it until then."""
    asking = gateway.begin("drill", "start", "openai", "--minutes", "60", "--reason", "a test")
    assert asking.stderr is not None
    id = asking.stderr.readline().split()[1]
    assert gateway.ask()[2]["x-gateway-served-by"] == LOCAL
    asking.send_signal(signal.SIGINT)
    out, _ = asking.communicate(timeout=60)
    assert asking.returncode == 0
    assert out.startswith(f"Drill {id}: openai denied as channel and developer for all requests")
    assert "Verdict: holds with gaps: 100.0% served without openai" in out
    assert [one for one in gateway.events("drill.aborted") if one["detail"]["drill"] == id]


def test_who_goes_away_while_it_begins_is_told_that_it_may_have(gateway: RunningGateway) -> None:
    """The gateway answers once all its processes have it: until then nobody knows."""
    file = gateway.folder / "state" / "drill.json"
    asking = gateway.begin("drill", "start", "openai", "--minutes", "60", "--reason", "x")
    until(file.exists)
    asking.send_signal(signal.SIGINT)
    _, error = asking.communicate(timeout=60)
    assert asking.returncode == 1
    assert "gateway drill status tells, gateway drill stop ends it" in error
    assert file.exists()


REFUSED = [
    (("opnai", "--reason", "x"), "did you mean 'openai'"),
    (("mistral", "--reason", "x"), "there is nothing to practise"),
    (("openai", "--reason", " "), "reason"),
    (("openai", "--reason", "x", "--minutes", "1441"), "minutes"),
    (("openai", "--reason", "x", "--minutes", "0"), "minutes"),
    (("openai", "--reason", "x", "--share", "0%"), "no share"),
    (("openai", "--reason", "x", "--share", "101%"), "no share"),
    (("openai", "--reason", "x", "--synthetic", "--rate", "51"), "rate"),
    (("openai", "--reason", "x", "--rate", "2"), "add --synthetic"),
    (("openai", "--reason", "x", "--roles", "owner"), "roles"),
    (("openai",), "--reason"),
]


@pytest.mark.parametrize(("arguments", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_what_cannot_be_practised_is_refused(
    gateway: RunningGateway, arguments: tuple[str, ...], said: str
) -> None:
    """In words that say what to do, and nothing has begun."""
    done = drill(gateway, "start", *arguments)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert gateway.get("/admin/drill") == (200, None)


def test_a_drill_outlives_its_gateway_and_is_put_away_by_the_next(
    tmp_path: Path, vendor: VendorSimulator
) -> None:
    """One that still has time goes on; one that has none is ended, and can be looked at with no
    gateway running.
    """
    gateway = RunningGateway(tmp_path, configuration(vendor.url))
    file = tmp_path / "state" / "drill.json"
    with gateway:
        id = begun(gateway)
        assert gateway.ask()[2]["x-gateway-served-by"] == LOCAL
        gateway.kill()
        gateway.start()
        until(lambda: gateway.ask()[2]["x-gateway-served-by"] == LOCAL)
    kept = json.loads(file.read_text())
    kept["drill"]["until"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    file.write_text(json.dumps(kept))
    assert told(gateway, id)["end"]["actor"] is None
    gateway.start()
    try:
        until(lambda: [e for e in gateway.events("drill.ended") if e["detail"]["drill"] == id])
        assert gateway.ask()[2]["x-gateway-served-by"] == OPENAI
    finally:
        gateway.stop()
    assert not file.exists()


def test_who_waits_goes_on_waiting_when_the_gateway_is_another(
    tmp_path: Path, vendor: VendorSimulator
) -> None:
    """Which knows nothing of the key by which the command was let in before."""
    gateway = RunningGateway(tmp_path, configuration(vendor.url))
    with gateway:
        asking = gateway.begin("drill", "start", "openai", "--minutes", "60", "--reason", "x")
        assert asking.stderr is not None
        id = asking.stderr.readline().split()[1]
        gateway.kill()
        gateway.start()
        until(lambda: gateway.ask()[2]["x-gateway-served-by"] == LOCAL)
        asked = time.monotonic()
        while time.monotonic() < asked + 3:
            assert asking.poll() is None, asking.communicate()
            time.sleep(0.1)
        assert drill(gateway, "stop").returncode == 0
        out, _ = asking.communicate(timeout=60)
    assert asking.returncode == 0
    assert out.startswith(f"Drill {id}: ")
