"""Traces and metrics by OTLP, as a real receiver gets them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.otlp import Receiver, receiving
from tests.waiting import until

NOBODY = "http://127.0.0.1:9/v1"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARY = "the-canary-sang-of-paris"
SECRET = "Basic otlp-secret-0123456789"
SERVER, CLIENT = 2, 3
ERROR = 2


def config(port: int, extra: str = "", more: str = "") -> str:
    otlp = (
        f'{{endpoint: "http://127.0.0.1:{port}/collect", interval: 0.2, '
        f"headers: {{authorization: '${{OTLP_HEADER}}'}}{more}}}"
    )
    return configuration(NOBODY, extra=f"telemetry: {{otlp: {otlp}}}\n{extra}")


def ask(gateway: RunningGateway, sampled: str = "01", **fields: Any) -> dict[str, str]:
    question = [{"role": "user", "content": f"Say it: {CANARY}"}]
    body = {"model": "gpt-4o", "messages": question, "max_tokens": 4, "temperature": 0} | fields
    traceparent = f"00-{TRACE}-{PARENT}-{sampled}"
    _, _, headers = gateway.post(json.dumps(body).encode(), traceparent=traceparent)
    return headers


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def gateway(
    receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """Variables that would lead elsewhere, were they listened to, lead to nobody."""
    elsewhere = {
        "OTLP_HEADER": SECRET,
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-planted=1",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "os,host",
        "OTEL_RESOURCE_ATTRIBUTES": "planted=1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    folder = tmp_path_factory.mktemp("otlp")
    with RunningGateway(folder, config(receiver.port), environ=elsewhere) as started:
        yield started


def test_a_request_is_a_span_and_each_of_its_attempts_another(
    gateway: RunningGateway, receiver: Receiver
) -> None:
    """Under the span of the app that asked; the names are those of the conventions."""
    headers = ask(gateway)
    spans = until(lambda: len(receiver.spans()) >= 3 and receiver.spans())
    (server,) = [span for span in spans if span["kind"] == SERVER]
    first, second = [span for span in spans if span["kind"] == CLIENT]
    assert (server["trace"], server["parent"]) == (TRACE, PARENT)
    assert {first["parent"], second["parent"]} == {server["id"]}
    assert server["name"] == "POST /v1/chat/completions"
    assert server["http.response.status_code"] == 200
    assert server["gen_ai.operation.name"] == "chat"
    assert server["gen_ai.request.model"] == "gpt-4o"
    assert server["gen_ai.usage.output_tokens"] == 4
    assert server["gateway.failover"] == "refused"
    assert server["gateway.request.id"] == headers["x-gateway-request-id"]
    assert server["gateway.policy.revision"] == headers["x-gateway-policy"]
    assert (first["name"], first["status"]) == ("chat gpt-4o", ERROR)
    assert first["gen_ai.provider.name"] == "openai"
    assert first["error.type"] == "refused"
    assert second["gen_ai.request.model"] == "smollm2"
    assert second["gen_ai.usage.input_tokens"] > 4
    assert server["began"] <= first["began"] <= first["ended"] <= second["began"]
    assert second["ended"] <= server["ended"]
    assert server["of"]["service.name"] == "sovereign-gateway"
    assert set(server["of"]) == {"service.name", "service.version", "service.instance.id"}


def test_metrics_are_those_of_the_conventions(gateway: RunningGateway, receiver: Receiver) -> None:
    def points() -> dict[str, list[tuple[dict[str, Any], Any]]]:
        found: dict[str, list[tuple[dict[str, Any], Any]]] = {}
        for (name, of), point in receiver.points().items():
            found.setdefault(name, []).append((dict(of), point))
        return found

    now = until(lambda: "gen_ai.client.token.usage" in points() and points())
    of, request = now["gen_ai.server.request.duration"][0]
    assert of["gen_ai.request.model"] == "gpt-4o"
    assert request.count >= 1
    failed = [of for of, _ in now["gen_ai.client.operation.duration"] if "error.type" in of]
    assert failed[0]["gen_ai.provider.name"] == "openai"
    kinds = {of["gen_ai.token.type"]: point.sum for of, point in now["gen_ai.client.token.usage"]}
    assert kinds["output"] == 4
    assert list(request.explicit_bounds)[:3] == [0.01, 0.02, 0.04]


def test_what_is_sent_holds_nothing_that_was_said(
    gateway: RunningGateway, receiver: Receiver
) -> None:
    """Nor a key; the header that is configured goes with it, one of a variable does not."""
    for one in receiver.posted:
        assert CANARY.encode() not in one.body
        assert b"otlp-secret" not in one.body
        assert b"planted" not in one.body
        assert one.path in ("/collect/v1/traces", "/collect/v1/metrics")
        assert one.headers["authorization"] == SECRET
        assert one.headers["content-type"] == "application/x-protobuf"
        assert "x-planted" not in one.headers
        assert "python" not in one.headers["user-agent"]


def test_whom_an_app_does_not_trace_is_not_traced(
    gateway: RunningGateway, receiver: Receiver
) -> None:
    """Its decision counts."""
    before = len(receiver.spans())
    ask(gateway, sampled="00")
    ask(gateway)

    def servers() -> list[dict[str, Any]]:
        return [span for span in receiver.spans()[before:] if span["kind"] == SERVER]

    # The one that was asked first would have come before it.
    assert len(until(servers)) == 1


def test_a_redirect_is_not_followed(gateway: RunningGateway, receiver: Receiver) -> None:
    """Nor is what a receiver says of our own headers put into the log."""
    with receiving() as other:
        receiver.location = f"http://127.0.0.1:{other.port}/collect/v1/traces"
        for receiver.status in (307, 401):
            before = len(receiver.posted)
            ask(gateway)
            until(lambda before=before: len(receiver.posted) > before + 1)  # type: ignore[misc]
        receiver.status, receiver.location = 200, None
        assert other.posted == []
    text = until(lambda: "401" in gateway.output.read_text() and gateway.output.read_text())
    assert "it redirects: never followed" in text
    assert "otlp-secret" not in text


def test_what_waits_is_sent_when_the_gateway_ends(tmp_path: Path) -> None:
    with receiving() as receiver:
        text = config(receiver.port).replace("interval: 0.2", "interval: 600")
        with RunningGateway(tmp_path, text, environ={"OTLP_HEADER": SECRET}) as gateway:
            ask(gateway)
            assert receiver.spans() == []
        assert len(receiver.spans()) == 3
        assert receiver.points()


def test_offline_nothing_leaves_that_is_not_declared_ours(tmp_path: Path) -> None:
    """The guard is asked for this address as for any other; the gateway serves on."""
    for number, more in enumerate(("", ", locality: sovereign")):
        with receiving() as receiver:
            text = config(receiver.port, "offline: true", more)
            folder = tmp_path / str(number)
            folder.mkdir()
            with RunningGateway(folder, text, environ={"OTLP_HEADER": SECRET}) as gateway:
                assert ask(gateway)["x-gateway-locality"] == "local"
                time.sleep(1)
            assert bool(receiver.posted) is bool(more)
            assert ("offline: true forbids" in gateway.output.read_text()) is not bool(more)


def test_a_header_whose_secret_is_not_set_is_said_at_start(tmp_path: Path) -> None:
    gateway = RunningGateway(tmp_path, config(9))
    done = gateway.run("serve")
    assert done.returncode == 1
    assert "the header authorization of telemetry.otlp at ${OTLP_HEADER} is not set" in done.stderr
