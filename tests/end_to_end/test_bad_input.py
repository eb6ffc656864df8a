"""Bad input: each gets the error that names what to do, and the process goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.running import KEY, ROOT, RunningGateway, configuration
from tests.waiting import until

LOCAL = "  mine: {targets: [local/smollm2]}"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with RunningGateway(folder, configuration(), key=None) as running:
        yield running
        assert running.ask()[0] == 200, "it did not go on"


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{not json", 400, "invalid_json", None),
        (b'{"model": "gpt-4o"}', 400, "missing_required_parameter", "messages"),
        (b'{"model": "gpt-4o", "messages": []}', 400, "empty_array", "messages"),
        (b'{"model": "gpt-4o", "messages": 3}', 400, "invalid_type", "messages"),
        (
            b'{"model": "no-such", "messages": [{"role": "user", "content": "x"}]}',
            404,
            "model_not_found",
            "model",
        ),
    ],
)
def test_a_bad_body(
    gateway: RunningGateway, body: bytes, status: int, code: str, param: str | None
) -> None:
    """Status, code and parameter are those of the dialect."""
    got, answer, _ = gateway.post(body)
    error = answer["error"]
    assert (got, error["code"], error["param"]) == (status, code, param)
    assert error["type"] == "invalid_request_error"


def test_a_long_body_that_is_no_text(tmp_path: Path) -> None:
    """A local model would have to read what is no UTF-8: a 400 as of a short one, and none 500."""
    with RunningGateway(tmp_path, configuration(models=LOCAL), key=None) as gateway:
        for before in (b"", b'{"role": "system", "content": "%b"},' % (b"x" * 20_000)):
            user = b'{"role": "user", "content": "\xff"}'
            body = b'{"model": "mine", "messages": [%b%b]}' % (before, user)
            status, answer, _ = gateway.post(body)
            assert (status, answer["error"]["code"]) == (400, "invalid_json"), answer
        assert gateway.last_record()["attempts"][0]["outcome"] == "cancelled"


def test_a_body_over_the_limit(gateway: RunningGateway) -> None:
    """21 MB against a limit of 20: 413, and the message names the setting."""
    content = "x" * 21_000_000
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]})
    status, answer, _ = gateway.post(body.encode())
    assert status == 413
    assert "server.max_body_mb" in answer["error"]["message"]


def test_what_the_local_model_cannot_do_is_refused_by_name(gateway: RunningGateway) -> None:
    """A capability that is missing everywhere is never silently dropped."""
    status, answer, _ = gateway.ask(web_search_options={})
    assert (status, answer["error"]["param"]) == (400, "web_search_options")


def test_a_prompt_that_is_too_long_names_both_numbers(gateway: RunningGateway) -> None:
    """Nothing is silently cut."""
    messages = [{"role": "user", "content": "word " * 5000}]
    status, answer, _ = gateway.ask(messages=messages)
    assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")
    assert "2048" in answer["error"]["message"]


def test_unknown_paths_and_methods(gateway: RunningGateway) -> None:
    """The envelope of the dialect, also where there is nothing."""
    assert gateway.get("/v1/nothing")[1]["error"]["code"] == "unknown_url"
    status, answer = gateway.get("/v1/chat/completions")
    assert (status, answer["error"]["code"]) == (405, "method_not_allowed")


def test_a_policy_that_breaks_while_running_changes_nothing(gateway: RunningGateway) -> None:
    """The old policy stays in force, readiness is degraded, and the status says why."""
    revision = gateway.get("/readyz")[1]["policy"]["revision"]
    broken = gateway.policies / "20-broken.yaml"
    broken.write_text("version: 1\nvendors: {opnai: deny}\n")
    until(lambda: gateway.get("/readyz")[1]["status"] == "degraded")
    policy = gateway.get("/admin/status")[1]["policy"]
    assert policy["revision"] == revision
    assert "20-broken.yaml:2:11" in policy["problem"]
    assert gateway.ask()[0] == 200
    broken.unlink()
    until(lambda: gateway.get("/readyz")[1]["status"] == "ready")


def start_and_fail(folder: Path, config: str, policy: str | None = None) -> str:
    """What ``gateway serve`` says where it refuses to start."""
    gateway = RunningGateway(folder, config)
    if policy is not None:
        (gateway.policies / "10-vendors.yaml").write_text(policy)
    refused = gateway.run("serve", "--port", str(gateway.port))
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    return refused.stderr


def test_a_configuration_with_an_unknown_key(tmp_path: Path) -> None:
    """File, line, column, and the nearest known word."""
    said = start_and_fail(tmp_path, configuration(extra="serer: {port: 1}"))
    assert "gateway.yaml:19:1" in said
    assert "server" in said


def test_a_literal_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """A secret in a file is an error that does not spread it."""
    text = configuration().replace("${VENDOR_KEY}", KEY)
    said = start_and_fail(tmp_path, text)
    assert "literal key" in said
    assert KEY not in said


def test_a_policy_that_does_not_parse(tmp_path: Path) -> None:
    """A start without any good policy refuses, and says where."""
    said = start_and_fail(tmp_path, configuration(), policy="version: 1\nvendors: [\n")
    assert "10-vendors.yaml:" in said


def altered_model(tmp_path: Path, *, cut: bool) -> str:
    """A configuration whose manifest names a copy of the model, one byte of which is wrong."""
    manifest = yaml.safe_load((ROOT / "models" / "smollm2-135m-instruct.yaml").read_text())
    package = find_spec(manifest["file"]["package"])
    assert package is not None
    assert package.submodule_search_locations is not None
    source = Path(package.submodule_search_locations[0]) / manifest["file"]["resource"]
    copy = tmp_path / "models" / "copy.gguf"
    copy.parent.mkdir()
    if cut:
        manifest["file"] = {"path": "missing.gguf"}
    else:
        shutil.copy(source, copy)
        with copy.open("r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)
            file.seek(-1, 2)
            file.write(bytes([last[0] ^ 1]))
        manifest["file"] = {"path": "copy.gguf"}
    (tmp_path / "models" / "smollm2-135m-instruct.yaml").write_text(yaml.safe_dump(manifest))
    return configuration().replace(str(ROOT / "models"), str(tmp_path / "models"))


def test_a_missing_model_file(tmp_path: Path) -> None:
    """The message names the file that is not there."""
    said = start_and_fail(tmp_path, altered_model(tmp_path, cut=True))
    assert "missing.gguf" in said


def test_an_altered_model_file(tmp_path: Path) -> None:
    """One bit of 98 MB: refused, with both hashes."""
    said = start_and_fail(tmp_path, altered_model(tmp_path, cut=False))
    assert "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" in said
