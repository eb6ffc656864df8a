"""``admin.port``: what is for operators at a port of its own, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.admin.asking import ask
from tests.end_to_end.running import RunningGateway, configuration
from tests.ports import free_port

ASIDE = ("/livez", "/readyz", "/metrics", "/admin/status", "/admin/session")
APPS = ("/v1/models", "/v1/models/gpt-4o")
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, int]]:
    port = free_port()
    text = configuration(extra=f"admin: {{port: {port}}}")
    folder = tmp_path_factory.mktemp("apart")
    with RunningGateway(folder, text, flags=("--workers", "2"), admin_port=port) as gateway:
        yield gateway, port


@pytest.mark.parametrize("path", ASIDE)
def test_what_is_for_operators_is_at_their_port_alone(
    apart: tuple[RunningGateway, int], path: str
) -> None:
    """Also for whoever has the right key; on the port of the apps it was never there."""
    gateway, port = apart
    key = gateway.credential
    assert ask(port, "GET", path, key=key).status == 200
    for method in ("GET", "POST", "OPTIONS"):
        assert ask(gateway.port, method, path, key=key).status == 404
    slashes = path.replace("/", "//")
    assert ask(gateway.port, "GET", slashes, key=key).status == 404


@pytest.mark.parametrize("path", APPS)
def test_and_what_is_for_apps_at_theirs(apart: tuple[RunningGateway, int], path: str) -> None:
    gateway, port = apart
    assert ask(gateway.port, "GET", path).status == 200
    assert ask(port, "GET", path).status == 404
    assert ask(port, "GET", path, key=gateway.credential).status == 404


def test_no_model_answers_at_the_port_of_operators(apart: tuple[RunningGateway, int]) -> None:
    gateway, port = apart
    body = {"model": "gpt-4o", "messages": []}
    assert ask(port, "POST", CHAT, body).status == 404
    assert ask(gateway.port, "POST", CHAT, body).status == 400


def test_each_port_is_described_by_itself(apart: tuple[RunningGateway, int]) -> None:
    """To who may ask there. Neither document has a reference that leads nowhere."""
    gateway, port = apart
    assert ask(port, "GET", "/openapi.json").status == 401
    viewer = operator_at(port, gateway)
    theirs = ask(port, "GET", "/openapi.json", key=viewer).json
    apps = ask(gateway.port, "GET", "/openapi.json").json
    assert {"/admin/status", "/metrics"} <= theirs["paths"].keys()
    assert not any(path.startswith("/v1") for path in theirs["paths"])
    assert all(path.startswith("/v1") for path in apps["paths"])
    for document in (theirs, apps):
        text = str(document)
        for kind in ("schemas", "headers"):
            for name in document["components"][kind]:
                assert f"#/components/{kind}/{name}" in text


def operator_at(port: int, gateway: RunningGateway) -> str:
    body = {"name": "someone", "role": "viewer"}
    return str(ask(port, "POST", "/admin/operators", body, key=gateway.credential).json["key"])


def test_commands_find_the_port(apart: tuple[RunningGateway, int]) -> None:
    gateway, port = apart
    done = gateway.run("status")
    assert (done.returncode, gateway.url in done.stdout) == (0, True), done.stderr
    assert f"operators: http://127.0.0.1:{port}" in gateway.output.read_text()
