"""One record for each request, whatever became of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.waiting import until

CHAT = {"model": "local", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
MODELS = "  local: {targets: [local/smollm2]}\n  localx*: {targets: [local/smollm2]}"
EXTRA = "server: {max_body_mb: 0.01}"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("records")
    with RunningGateway(folder, configuration(models=MODELS, extra=EXTRA)) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("path", "body", "status", "outcome", "model"),
    [
        ("chat/completions", json.dumps(CHAT), 200, "served", "local"),
        ("chat/completions", "{", 400, "invalid_json", ""),
        ("chat/completions", json.dumps(CHAT | {"model": "no"}), 404, "model_not_found", "no"),
        ("messages", "x" * 20_000, 413, "request_too_large", ""),
        ("embeddings", '{"model": "only-cloud"}', 400, "missing_required_parameter", ""),
    ],
)
def test_every_end_has_its_record(
    gateway: RunningGateway, path: str, body: str, status: int, outcome: str, model: str
) -> None:
    """Also of a request that nobody understood: with the status that the app got."""
    before = len(gateway.records())
    answered, _, headers = gateway.post(body.encode(), f"/v1/{path}")
    record = gateway.last_record(headers["x-gateway-request-id"])
    assert len(gateway.records()) == before + 1
    told = (record["api"], record["status"], record["outcome"], record.get("model", ""))
    assert (answered, told) == (status, (path, status, outcome, model))
    assert 0 < record["duration_us"] < 60_000_000


@pytest.mark.parametrize("name", ["local" + "x" * 5000, "\0" * 1000])
def test_no_name_makes_a_record_large(gateway: RunningGateway, name: str) -> None:
    """Not even one that a pattern would have: what an app writes there is kept for years."""
    status, body, _ = gateway.post(json.dumps(CHAT | {"model": name}).encode())
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    record = gateway.last_record()
    assert (record["outcome"], record["model"]) == ("model_not_found", name[:256])


def test_who_goes_before_the_body_is_there_leaves_a_record(gateway: RunningGateway) -> None:
    """Cancelled, and no status: nobody was left to be told one."""
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"
        )
        connection.sendall(head.encode())
    (record,) = until(lambda: [one for one in gateway.records() if one["outcome"] == "cancelled"])
    assert record.get("status") is None


def test_an_apps_trace_is_written_down(gateway: RunningGateway) -> None:
    """Where it is one; anything else is passed over."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for value, written in [(parent, parent), ("00-0-0-01", None)]:
        gateway.post(json.dumps(CHAT).encode(), traceparent=value)
        assert gateway.last_record().get("traceparent") == written


def test_times_are_whole_numbers(gateway: RunningGateway) -> None:
    """There is one way to write them, so a record can be hashed."""

    def no_float(text: str) -> None:
        raise AssertionError(text)

    gateway.post(json.dumps(CHAT).encode())
    for file in (gateway.folder / "state" / "audit").glob("*.jsonl"):
        for line in file.read_text().splitlines():
            json.loads(line, parse_float=no_float)


def test_who_tries_keys_and_who_reads_what_is_kept_leaves_a_trace(tmp_path: Path) -> None:
    """Where a model is asked in the request's record, with the address; elsewhere as an event."""
    with RunningGateway(tmp_path, configuration(models=MODELS)) as gateway:
        made = gateway.run("keys", "create", "shop", "--format", "json", policy=False)
        key = json.loads(made.stdout)
        until(lambda: gateway.get("/v1/models")[0] == 401)
        assert gateway.post(json.dumps(CHAT).encode(), authorization="Bearer sgw_no")[0] == 401
        record = gateway.last_record()
        told = (record["outcome"], record["status"], record["peer"])
        assert told == ("invalid_api_key", 401, "127.0.0.1")
        assert gateway.get("/v1/models", authorization="Bearer sgw_no")[0] == 401
        right = {"authorization": f"Bearer {key['key']}"}
        asked = json.dumps({"model": "local", "input": "Hi", "max_output_tokens": 4}).encode()
        _, answer, _ = gateway.post(asked, "/v1/responses", **right)
        assert gateway.get(f"/v1/responses/{answer['id']}", **right)[0] == 200
        record = gateway.last_record()
        assert (record["key"], record["peer"]) == (key["id"], None)
        refused = {(one["subject"], one["reason"]) for one in gateway.events("key.refused")}
        assert refused == {("127.0.0.1", why) for why in ("missing_api_key", "invalid_api_key")}
        (read,) = until(lambda: gateway.events("response.read"))
        assert (read["actor"], read["subject"]) == (f"key:{key['id']}", answer["id"])


def test_a_body_that_does_not_come_is_told_so_and_recorded(tmp_path: Path) -> None:
    """By the one deadline of the request, which nothing of it begins anew."""
    text = configuration(models=MODELS, extra="server: {deadline: 1}")
    with RunningGateway(tmp_path, text) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
            head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"
            connection.sendall(head.encode())
            answer = connection.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        (record,) = until(gateway.records)
        assert (record["status"], record["outcome"]) == (408, "request_timeout")
