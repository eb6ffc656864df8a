"""Keys at a running gateway: what they open, what they do not, and when they cease to."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.end_to_end.keyed import CHAT, ask, made, to_each
from tests.end_to_end.raw_http import Connection, chat
from tests.end_to_end.running import POLICY, RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

HELLO: Any = [{"role": "user", "content": "Hello"}]
MODELS = """\
  mine: {targets: [local/smollm2]}
  other: {targets: [local/smollm2]}
"""
BY_TEAM = f"""\
{POLICY}in_flight: cut
rules:
  - id: no-cui-outside
    match: {{locality: [cloud]}}
    when: {{data_class: [cui]}}
    verdict: deny
  - id: red-stays-here
    match: {{locality: [cloud]}}
    when: {{team: [red]}}
    verdict: deny
"""
WITHIN = 1.0
"""Seconds after which a key that is revoked opens nothing, anywhere."""


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator
) -> Iterator[RunningGateway]:
    text = configuration(vendor.url, models=MODELS)
    for wait in ("first_token", "answer", "idle"):
        text = text.replace(f"{wait}_timeout: 20", f"{wait}_timeout: 60")
    with RunningGateway(tmp_path_factory.mktemp("keys"), text, policy=BY_TEAM) as running:
        made(running, "first")
        yield running


@pytest.fixture(autouse=True)
def plainly(vendor: VendorSimulator) -> None:
    vendor.behave("answer")


def sdks(gateway: RunningGateway, key: str) -> tuple[openai.OpenAI, anthropic.Anthropic]:
    return (
        gateway.heard(openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=2)),
        gateway.heard(anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=2)),
    )


def test_the_official_sdks_take_either_way(gateway: RunningGateway) -> None:
    key = made(gateway, "sdks", "--team", "blue")
    first, second = sdks(gateway, key)
    with first, second:
        assert first.chat.completions.create(model="mine", messages=HELLO, max_tokens=2).choices
        assert second.messages.create(model="mine", messages=HELLO, max_tokens=2).id
        record = gateway.last_record()
    assert (record["key"], record["labels"]["team"]) == (key.split("_")[1], "blue")


@pytest.mark.parametrize("wrong", ["sk-of-another-service", "sgw_aaaaaaaaaa_" + "A" * 43])
def test_a_wrong_key_in_both_sdks(gateway: RunningGateway, wrong: str) -> None:
    """Their own exceptions, at once: it is not asked again. It is written down that somebody came,
    and nothing of the key.
    """
    before = len(gateway.records())
    first, second = sdks(gateway, wrong)
    with first, second:
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key") as refused:
            first.chat.completions.create(model="mine", messages=HELLO)
        assert refused.value.code == "invalid_api_key"
        assert refused.value.response.headers["www-authenticate"] == "Bearer"
        with pytest.raises(openai.AuthenticationError):
            first.models.list()
        with pytest.raises(anthropic.AuthenticationError, match="Incorrect API key"):
            second.messages.create(model="mine", messages=HELLO, max_tokens=2)
        with pytest.raises(anthropic.AuthenticationError):
            second.models.list()
    written = until(lambda: two if len(two := gateway.records()[before:]) >= 2 else None)
    assert [(one["outcome"], one["status"]) for one in written] == [("invalid_api_key", 401)] * 2
    assert wrong not in json.dumps(written) + gateway.output.read_text()


def test_a_label_that_is_not_permitted_in_both_sdks(gateway: RunningGateway) -> None:
    first, second = sdks(gateway, made(gateway, "no labels"))
    said = {"x-gateway-team": "red"}
    with first, second:
        with pytest.raises(openai.PermissionDeniedError, match="x-gateway-team") as refused:
            first.chat.completions.create(model="mine", messages=HELLO, extra_headers=said)
        assert (refused.value.code, refused.value.param) == (
            "label_not_permitted",
            "x-gateway-team",
        )
        with pytest.raises(anthropic.PermissionDeniedError, match="x-gateway-team"):
            second.messages.create(model="mine", messages=HELLO, max_tokens=2, extra_headers=said)


PATHS = (
    ("POST", CHAT),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/responses/input_tokens"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/moderations"),
    ("POST", "/v1/audio/speech"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/images/edits"),
    ("POST", "/v1/rerank"),
    ("POST", "//v1//chat/completions/"),
    ("POST", "/v1/responses/compact"),
    ("POST", "/v1/responses/resp_1/cancel"),
    ("GET", "/v1/models"),
    ("HEAD", "/v1/models"),
    ("GET", "/v1/models/mine"),
    ("GET", "/v1/responses/resp_1"),
    ("DELETE", "/v1/responses/resp_1"),
    ("GET", "/v1/responses/resp_1/input_items"),
    ("GET", CHAT),
    ("PUT", "/v1/models"),
    ("GET", "/v1"),
    ("GET", "/v1/nothing"),
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_way_in_asks_who_it_is(gateway: RunningGateway, method: str, path: str) -> None:
    """Also where there is nothing, and before a body is looked at."""
    for headers in ((), ("anthropic-version: 2023-06-01",), ("x-api-key: sgw_x",)):
        got = ask(gateway, b"{" if method == "POST" else None, headers, path=path, method=method)
        assert got.status == 401
        assert got.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            assert "key" in got.json["error"]["message"]


def test_who_is_refused_before_sending_sends_nothing(gateway: RunningGateway) -> None:
    """What comes next could be the body or the next request, so the connection ends there; and
    whoever has sent it all the same is told why.
    """
    with Connection(gateway.port) as connection:
        headers = ("expect: 100-continue", "content-length: 10")
        got = connection.ask("POST", CHAT, None, headers)
        assert (got.status, got.last) == (401, True)
        assert connection.ended()
    with Connection(gateway.port) as connection:
        for _ in range(2):
            assert connection.ask("POST", CHAT, b" " * 5_000_000).status == 401


def test_what_stays_open(gateway: RunningGateway) -> None:
    """Probes, and what a browser asks before it sends a key."""
    for path in ("/livez", "/readyz"):
        assert ask(gateway, path=path, method="GET").status == 200
    assert ask(gateway, path=CHAT, method="OPTIONS").status == 204


def test_models_are_those_of_the_key(gateway: RunningGateway, vendor: VendorSimulator) -> None:
    """And what is said of them is what would answer it, with its labels."""
    red = made(gateway, "red", "--team", "red", "--model", "gpt-*", "--model", "mine")
    blue = made(gateway, "blue", "--team", "blue", "--may-set", "data_class")

    def listed(key: str, *headers: str) -> dict[str, Any]:
        got = ask(gateway, None, [f"x-api-key: {key}", *headers], path="/v1/models", method="GET")
        return {row["id"]: row for row in got.json["data"]}

    assert set(listed(red)) == {"gpt-4o", "mine"}
    assert {"gpt-4o", "mine", "other", "only-cloud"} <= set(listed(blue))
    assert listed(red)["gpt-4o"]["served_by"] == "local/smollm2"
    assert listed(blue)["gpt-4o"]["served_by"] == "openai/gpt-4o"
    cui = "x-gateway-data-class: cui"
    assert listed(blue, cui)["gpt-4o"]["served_by"] == "local/smollm2"
    assert listed(blue, "anthropic-version: 1", cui)["gpt-4o"]["served_by"] == "local/smollm2"


def test_what_a_request_says_makes_policy_stricter(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    key = f"x-api-key: {made(gateway, 'sayer', '--may-set', 'data_class')}"
    got = ask(gateway, chat(), [key])
    assert got.headers["x-gateway-served-by"] == "openai/gpt-4o"
    got = ask(gateway, chat(), [key, "x-gateway-data-class: cui"])
    assert got.headers["x-gateway-served-by"] == "local/smollm2"
    assert got.headers["x-gateway-failover"] == "policy"
    record = gateway.last_record()
    assert record["labels"]["claimed"]["data_class"] == "cui"
    assert record["targets"][0]["rule"] == "no-cui-outside"
    got = ask(gateway, chat(model="only-cloud"), [key, "x-gateway-data-class: cui"])
    assert (got.status, got.json["error"]["code"]) == (451, "vendor_blocked")


def test_a_rule_cuts_what_runs_for_what_it_said_of_itself(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """A policy that comes to mean these labels while the vendor answers."""
    key = f"x-api-key: {made(gateway, 'cut', '--may-set', 'team')}"
    policy = gateway.policies / "10-vendors.yaml"
    before = len(vendor.requests)
    answer = threading.Event()
    vendor.behave("answer", released=answer)
    with ThreadPoolExecutor(2) as pool:
        try:
            meant = pool.submit(ask, gateway, chat(), [key, "x-gateway-team: green"])
            until(lambda: len(vendor.requests) == before + 1)
            spared = pool.submit(ask, gateway, chat(), [key, "x-gateway-team: white"])
            until(lambda: len(vendor.requests) == before + 2)
            policy.write_text(BY_TEAM.replace("team: [red]", "team: [red, green]"))
            got = meant.result(30)
            answer.set()
            assert got.headers["x-gateway-served-by"] == "local/smollm2"
            assert got.headers["x-gateway-failover"] == "policy"
            assert spared.result(30).headers["x-gateway-served-by"] == "openai/gpt-4o"
        finally:
            answer.set()
            with gateway.another_policy():
                policy.write_text(BY_TEAM)


def test_what_is_kept_belongs_to_a_key(gateway: RunningGateway) -> None:
    """Nobody else's finds it, deletes it, or goes on with it."""
    own, another = (f"x-api-key: {made(gateway, name)}" for name in ("own", "another"))
    asked = json.dumps({"model": "mine", "input": "Hi", "max_output_tokens": 4}).encode()
    id = ask(gateway, asked, [own], path="/v1/responses").json["id"]
    kept = f"/v1/responses/{id}"
    further = json.dumps(
        {"model": "mine", "input": "And?", "max_output_tokens": 4, "previous_response_id": id}
    ).encode()
    for method, path in (
        ("GET", kept),
        ("DELETE", kept),
        ("GET", f"{kept}/input_items"),
        ("POST", f"{kept}/cancel"),
    ):
        body = b"" if method == "POST" else None
        assert ask(gateway, body, [another], path=path, method=method).status == 404
    got = ask(gateway, further, [another], path="/v1/responses")
    assert (got.status, got.json["error"]["code"]) == (400, "previous_response_not_found")
    assert ask(gateway, further, [own], path="/v1/responses").status == 200
    rotated = gateway.run("keys", "rotate", own.split("_")[1], policy=False).stdout.strip()
    heir = [f"x-api-key: {rotated}"]
    until(lambda: ask(gateway, None, heir, path=kept, method="GET").status == 200)
    assert ask(gateway, None, [own], path=kept, method="GET").status == 200
    assert ask(gateway, None, heir, path=kept, method="DELETE").status == 200


def test_no_disk_on_the_way_of_a_request(gateway: RunningGateway) -> None:
    """The keys' file is garbage, gone, locked, and another: those that were good stay so, and
    nobody else gets in.
    """
    key = f"x-api-key: {made(gateway, 'stays')}"
    state = gateway.folder / "state"
    file, aside = state / "keys.sqlite3", state / "aside"
    others = [state / f"keys.sqlite3{end}" for end in ("-wal", "-shm")]

    def good() -> bool:
        answers = {ask(gateway, chat(model="mine"), [key]).status for _ in range(3)}
        answers |= {ask(gateway, chat(model="mine")).status + 1000}
        return answers == {200, 1401}

    with sqlite3.connect(file, isolation_level=None) as locking:
        locking.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        locking.execute("BEGIN EXCLUSIVE")
        time.sleep(0.6)
        assert good()
        locking.execute("ROLLBACK")
    locking.close()
    file.rename(aside)
    for other in others:
        other.unlink(missing_ok=True)
    time.sleep(0.6)
    assert good()
    file.write_bytes(b"no database" * 999)
    time.sleep(0.6)
    assert good()
    until(lambda: "keys_not_read" in gateway.output.read_text())
    file.unlink()
    file.mkdir()
    time.sleep(0.6)
    assert good()
    file.rmdir()
    aside.rename(file)
    again = f"x-api-key: {made(gateway, 'after')}"
    assert ask(gateway, chat(model="mine"), [again]).status == 200
    assert good()


@pytest.mark.alone
def test_a_key_is_revoked_everywhere_within_a_second(tmp_path: Path) -> None:
    """In each of two serving processes, on connections that are open already; and the first key of
    all shuts both of them to who has none.
    """
    text = configuration(models=MODELS)
    with (
        RunningGateway(tmp_path, text, key=None, flags=("--workers", "2")) as gateway,
        to_each(gateway, 2) as reached,
    ):

        def statuses(*headers: str) -> list[int]:
            return [one.ask("GET", "/v1/models", None, headers).status for one in reached.values()]

        assert statuses() == [200, 200]
        created = gateway.run("keys", "create", "shop", policy=False)
        until(lambda: statuses() == [401, 401], WITHIN)
        written = created.stdout.strip()
        key = f"authorization: Bearer {written}"
        until(lambda: statuses(key) == [200, 200], WITHIN)
        assert gateway.run("keys", "revoke", written.split("_")[1], policy=False).returncode == 0
        until(lambda: statuses(key) == [401, 401], WITHIN)
        got = next(iter(reached.values())).ask("POST", CHAT, chat(model="mine"), [key])
        assert (got.status, "was revoked" in got.json["error"]["message"]) == (401, True)
        assert os.getpid() not in reached


def test_a_start_says_who_may_ask(tmp_path: Path) -> None:
    """Loudly where nobody has to show a key, and not at all where everybody has to."""
    text = configuration(models=MODELS, extra="server: {host: 0.0.0.0}")
    with RunningGateway(tmp_path, text, key=None) as gateway:
        said = gateway.output.read_text()
        assert "there are no keys" in said
        assert "gateway keys create" in said
        assert "listening on 0.0.0.0, where everybody else is answered 401" in said
        made(gateway, "shop")
        gateway.stop()
        gateway.output.unlink()
        gateway.start()
        assert "there are no keys" not in gateway.output.read_text()
