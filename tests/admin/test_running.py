"""What operators see of a running gateway, and what commands do to it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin.asking import ask, events, operator
from tests.end_to_end.running import RunningGateway, configuration
from tests.ports import free_port
from tests.waiting import until


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Whose vendor's address nobody answers at: the local model serves."""
    folder = tmp_path_factory.mktemp("running")
    text = configuration("http://127.0.0.1:9/v1").replace(
        "base_url", "allow_private: true, base_url", 1
    )
    with RunningGateway(folder, text, flags=("--workers", "2")) as running:
        # It is ready with the first of them, and a command may be sooner than the other.
        until(lambda: len(processes(running)) == 2)
        yield running


def processes(gateway: RunningGateway) -> list[dict[str, Any]]:
    """Those that serve, as they say themselves."""
    status = ask(gateway.port, "GET", "/admin/status", key=gateway.credential).json
    found: list[dict[str, Any]] = status["processes"]
    return found


def test_a_ban_is_previewed_made_seen_and_lifted(gateway: RunningGateway) -> None:
    """By commands and by the API alike; whoever did it stands in the log."""
    key = gateway.credential
    preview = ask(gateway.port, "GET", "/admin/vendors/openai/preview", key=key).json
    assert preview["denied"] == ["openai/gpt-4o"]
    assert preview["stranded"] == ["only-cloud"]
    moved = {one["model"]: one["then"] for one in preview["models"] if one["moved"]}
    assert moved == {"gpt-4o": "local/smollm2", "only-cloud": None}
    done = gateway.run("ban", "openai", "--reason", "directive 12", "--authority", "the court")
    assert (done.returncode, "in 2 serving processes" in done.stdout) == (0, True), done.stderr
    vendors = ask(gateway.port, "GET", "/admin/vendors", key=key).json
    assert vendors[0]["vendor"] == "openai"
    told = ("standing", "rule", "reason", "authority", "toggled", "liftable", "everywhere")
    assert [vendors[0][name] for name in told] == [
        *("banned", "ban-openai", "directive 12", "the court"),
        *(True, True, True),
    ]
    done = gateway.run("policy", "explain", "--model", "only-cloud", "--live", "--format", "json")
    assert json.loads(done.stdout)["outcome"] == "denied"
    assert gateway.run("unban", "openai").returncode == 0
    again = gateway.run("unban", "openai")
    assert (again.returncode, "openai is not banned" in again.stderr) == (1, True)
    banned, lifted = events(gateway, "vendor", 2)[::-1]
    assert (banned["event"], banned["reason"]) == ("vendor.banned", "directive 12")
    assert (lifted["event"], lifted["actor"]) == ("vendor.unbanned", banned["actor"])
    assert banned["actor"].startswith("local:")


def test_a_ban_that_is_none_changes_nothing(gateway: RunningGateway) -> None:
    """And it is said what is wrong with it."""
    key = gateway.credential
    for vendor, body, status, code in (
        ("opnai", {"reason": "x"}, 404, "unknown_vendor"),
        ("openai", {"reason": "  "}, 400, "invalid_value"),
        ("openai", {}, 400, "invalid_value"),
        ("openai", {"reason": "x\x1b]0;y\x07"}, 409, "toggle_refused"),
        ("openai", {"reason": "x", "until": "9999-12-31T23:59:59-01:00"}, 400, "invalid_value"),
        ("openai", {"reason": "x", "until": "2020-01-01T00:00:00Z"}, 409, "toggle_refused"),
        ("openai", {"reason": "x", "roles": ["cook"]}, 400, "invalid_value"),
        ("openai", {"reason": "x", "key": "y"}, 400, "invalid_value"),
    ):
        got = ask(gateway.port, "POST", f"/admin/vendors/{vendor}/ban", body, key=key)
        assert (got.status, got.code) == (status, code), got.body
    assert (
        not (gateway.policies / "90-toggles.yaml").exists()
        or "rules: []" in (gateway.policies / "90-toggles.yaml").read_text()
    )


def test_requests_are_seen_with_why_they_went_where_they_did(gateway: RunningGateway) -> None:
    """In all processes: the log is theirs together."""
    key = gateway.credential
    for _ in range(4):
        assert gateway.ask()[0] == 200

    def seen() -> Any:
        return ask(gateway.port, "GET", "/admin/decisions?limit=4", key=key).json

    decisions = until(lambda: got if len(got := seen()) == 4 else None)
    assert [one["served_by"] for one in decisions] == ["local/smollm2"] * 4
    first = decisions[0]["explanation"]
    assert first.startswith("Served by local/smollm2, since openai/gpt-4o ")
    traffic = ask(gateway.port, "GET", "/admin/traffic?minutes=5", key=key).json
    assert sum(one["local"] for one in traffic["moments"]) == traffic["requests"] == 4
    assert traffic["failovers"] == 4
    (target,) = traffic["targets"]
    assert (target["target"], target["locality"], target["requests"]) == (
        *("local/smollm2", "local"),
        4,
    )
    rows = ask(gateway.port, "GET", "/admin/targets", key=key).json
    first_model = next(one for one in rows if one["model"] == "gpt-4o")
    assert {one["target"] for one in first_model["targets"]} == {"openai/gpt-4o", "local/smollm2"}


def test_a_model_is_unloaded_and_loaded_by_command(gateway: RunningGateway) -> None:
    """Though it is to be there always; asked for, it comes back by itself."""
    done = gateway.run("models", "unload", "smollm2", "--wait", policy=False)
    assert (done.returncode, done.stdout) == (0, "local/smollm2 is unloaded\n"), done.stderr

    def unloaded() -> bool:
        (model,) = ask(gateway.port, "GET", "/admin/models", key=gateway.credential).json
        return (model["state"], model["pid"], model["ready"]) == ("unloaded", None, False)

    until(unloaded)
    assert gateway.get("/readyz")[0] == 200
    done = gateway.run("models", "load", "smollm2", "--wait", policy=False)
    assert (done.returncode, done.stdout) == (0, "local/smollm2 is ready\n"), done.stderr
    done = gateway.run("models", "unload", "smollm2", "--cut", "--wait", policy=False)
    assert done.returncode == 0, done.stderr
    status, _, headers = gateway.ask()
    assert (status, headers["x-gateway-served-by"]) == (200, "local/smollm2")

    def asked() -> list[str]:
        return [x["event"] for x in events(gateway, "model", 3) if x["event"].endswith("_asked")]

    until(lambda: asked() == ["model.unload_asked", "model.load_asked", "model.unload_asked"])
    done = gateway.run("models", "load", "nothing", policy=False)
    assert (done.returncode, "no local model 'nothing'" in done.stderr) == (1, True)


def test_commands_may_be_given_by_an_operator_s_key(gateway: RunningGateway) -> None:
    """Where the credential of the machine is not theirs to read; the role counts."""
    viewer = operator(gateway, "viewer", "on call")
    gateway._environ = {"GATEWAY_OPERATOR_KEY": viewer["key"]}
    try:
        assert gateway.run("status").returncode == 0
        done = gateway.run("ban", "openai", "--reason", "x")
        assert (done.returncode, "takes the role operator" in done.stderr) == (1, True)
    finally:
        gateway._environ = {}


@pytest.mark.parametrize("field", [{"name": "x\x9b2Jy"}, {"name": "x", "models": ["\x1b]0;y\x07"]}])
def test_no_key_is_called_what_a_terminal_would_obey(
    gateway: RunningGateway, field: dict[str, object]
) -> None:
    """Other operators list it."""
    got = ask(gateway.port, "POST", "/admin/keys", field, key=gateway.credential)
    assert (got.status, got.code) == (400, "invalid_value")


def test_keys_are_made_by_command_with_and_without_a_gateway(gateway: RunningGateway) -> None:
    """The last test of this gateway: it is stopped, and its files go on."""
    made = gateway.run(
        *("operators", "create", "alice", "--role", "viewer", "--format", "json"), policy=False
    )
    alice = json.loads(made.stdout)
    assert ask(gateway.port, "GET", "/admin/session", key=alice["key"]).json["title"] == "alice"
    gateway.stop()
    listed = gateway.run("operators", "list", policy=False)
    assert f"{alice['id']}  alice  viewer" in listed.stdout
    revoked = gateway.run("operators", "revoke", alice["id"], policy=False)
    assert revoked.returncode == 0, revoked.stderr
    rotated = gateway.run("operators", "rotate", alice["id"], policy=False)
    assert (rotated.returncode, "good no more" in rotated.stderr) == (1, True)
    shop = gateway.run("keys", "create", "shop", "--format", "json", policy=False)
    assert json.loads(shop.stdout)["key"].startswith("sgw_")
    mine = [one for one in gateway.events() if one["event"] in ("operator.revoked", "key.created")]
    assert [one["event"] for one in mine] == ["operator.revoked", "key.created"]
    assert all(one["actor"].startswith("local:") for one in mine)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_asks_by_key_where_the_configuration_says() -> None:
    """The files of the gateway are hidden from it. Without a key it is told what to do."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        port = free_port()
        text = configuration(extra=f"admin: {{port: {port}}}")
        with RunningGateway(Path(folder), text, admin_port=port) as gateway:
            words = ("operators", "create", "on call", "--role", "viewer", "--format", "json")
            viewer = json.loads(gateway.run(*words, policy=False).stdout)
            gateway._prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
            done = gateway.run("status")
            assert done.returncode == 1
            assert "run this as the user root, or set GATEWAY_OPERATOR_KEY" in done.stderr
            gateway._environ = {"GATEWAY_OPERATOR_KEY": viewer["key"]}
            done = gateway.run("status")
            assert (done.returncode, done.stderr) == (0, "")
            assert "local/smollm2: ready" in done.stdout
