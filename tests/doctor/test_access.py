"""What the doctor says of keys, operators and the ports."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gateway import __version__
from gateway.access.keys import Key, make
from gateway.access.operators import OperatorRole
from gateway.access.repository import SqliteKeys
from gateway.config.presence import Announcement, Presence
from gateway.config.settings import load_settings
from gateway.configured import revision
from gateway.inventory import Inventory
from tests.doctor.checkout import POLICY, Checkout

NOW = datetime.now(UTC)


def keep(checkout: Checkout, *keys: tuple[str, Key]) -> None:
    SqliteKeys(checkout.state / "keys.sqlite3").add(*(key for _, key in keys))


def app(name: str, days: float | None, **fields: Any) -> tuple[str, Key]:
    expires = None if days is None else NOW + timedelta(days=days)
    return make(name, NOW - timedelta(days=30), expires=expires, **fields)


def test_a_gateway_without_keys_for_other_machines_is_told_of(checkout: Checkout) -> None:
    """On this machine alone it is nobody's business; an expired key is none."""
    assert checkout.only("keys") == []
    checkout.configured(("host: 127.0.0.1", "host: 0.0.0.0"))
    assert [row[:2] for row in checkout.only("keys")] == [("warning", "server.host 0.0.0.0")]
    keep(checkout, app("old", -1))
    assert [row[0] for row in checkout.only("keys")] == ["warning"]
    keep(checkout, app("new", None))
    assert checkout.only("keys") == []


def test_keys_that_cannot_be_read_are_wrong(checkout: Checkout) -> None:
    """They are not keys that there are none of."""
    checkout.state.mkdir()
    (checkout.state / "keys.sqlite3").write_bytes(b"no database")
    ((level, _, message),) = checkout.only("keys", 1)
    assert (level, "cannot be read" in message) == ("error", True)
    assert checkout.only("operators") == []


def test_nothing_is_written_into_the_keys(checkout: Checkout) -> None:
    """Of an older version they are read as they are."""
    keep(checkout, app("app", None))
    path = checkout.state / "keys.sqlite3"
    with sqlite3.connect(path) as connection:
        before = connection.execute("SELECT * FROM keys").fetchall()
    checkout.found(0)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT * FROM keys").fetchall() == before


def test_keys_that_expire_are_told_of(checkout: Checkout) -> None:
    """Within 14 days, without a successor; expired ones are only said, revoked ones not."""
    (_, soon), (_, heir) = app("soon", 13), app("replaced", 13, heir="abc")
    gone, off = app("gone", -1), app("off", -1, revoked=NOW)
    keep(checkout, ("", soon), ("", heir), gone, off, app("later", 15))
    told = [row[:2] for row in checkout.only("expiring")]
    assert told == [
        ("info", f"key {gone[1].id} (gone)"),
        ("warning", f"key {soon.id} (soon)"),
    ]


def test_operators_are_told_of(checkout: Checkout) -> None:
    """Where there is none, none who may make keys, or one whose key expires."""
    assert [row[:2] for row in checkout.only("operators")] == [("info", "operators")]
    keep(checkout, app("ann", 3, role=OperatorRole.OPERATOR))
    told = checkout.only("operators")
    assert [row[:2] for row in told] == [("info", "operators"), ("warning", "operator ann")]
    assert "none is an admin" in told[0][2]
    keep(checkout, app("bob", None, role=OperatorRole.ADMIN))
    assert [row[:2] for row in checkout.only("operators")] == [("warning", "operator ann")]


def test_operators_over_plain_http_are_told_of(checkout: Checkout) -> None:
    """From other machines; not where something in front of it speaks https."""
    checkout.configured(more="admin: {port: 9, host: 0.0.0.0}\n")
    assert [row[:2] for row in checkout.only("console")] == [("warning", "admin.host 0.0.0.0")]
    checkout.configured(more="admin: {port: 9, host: 0.0.0.0, https: true}\n")
    assert checkout.only("console") == []


def test_a_jwks_that_is_no_file_of_keys_is_wrong(checkout: Checkout) -> None:
    """With its place in the configuration."""
    checkout.configured(more="access: {oidc: {issuer: i, audience: a, jwks: 'file:jwks.json'}}\n")
    ((key, row),) = checkout.found(1).items()
    assert key[0] == "configuration"
    assert "jwks.json cannot be used" in row["message"]
    assert "gateway.yaml:14:" in row["message"]


def test_a_port_that_somebody_else_has_is_wrong(checkout: Checkout) -> None:
    """Not once a gateway runs on this state: it is its own."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        checkout.configured(("port: 0", f"port: {port}"))
        ((level, subject, message),) = checkout.only("port", 1)
        assert (level, subject) == ("error", f"127.0.0.1:{port}")
        assert "somebody else listens there" in message
        announce(checkout)
        assert checkout.only("port") == []


def test_an_address_of_another_machine_cannot_be_listened_on(checkout: Checkout) -> None:
    checkout.configured(("host: 127.0.0.1, port: 0", "host: 192.0.2.1, port: 8080"))
    ((_, subject, message),) = checkout.only("port", 1)
    assert (subject, "Cannot assign" in message) == ("192.0.2.1:8080", True)


def announce(checkout: Checkout, **fields: Any) -> None:
    """As if this process were a gateway that serves."""
    settings = load_settings(checkout.config, {}, {})
    presence = Presence(
        pid=os.getpid(),
        url="http://127.0.0.1:1",
        admin_url="http://127.0.0.1:1",
        policy_dir=str(settings.policy.dir),
        revision=Inventory(settings).load_policy().revision,
        configuration=revision(checkout.config.read_bytes()),
        version=__version__,
    )
    presence = msgspec.structs.replace(presence, **fields)
    Announcement(checkout.state / "run").publish(presence)


def test_what_runs_otherwise_than_its_files_is_told_of(checkout: Checkout) -> None:
    """And why, where it says so."""
    announce(checkout)
    assert checkout.only("in-force") == []
    announce(checkout, problem="10.yaml:2:1: no", configuration_problem="gateway.yaml:1:1: no")
    told = checkout.only("in-force", 1)
    assert [row[0] for row in told] == ["error", "error"]
    assert ["policy on disk" in row[2] for row in told] == [True, False]
    announce(checkout)
    checkout.ruled(POLICY + "mode: shadow\n")
    checkout.configured(more="# another\n")
    told = checkout.only("in-force")
    assert ["policy" in row[2] for row in told] == [True, False]
    assert [row[0] for row in told] == ["warning", "warning"]


def test_work_that_failed_in_a_gateway_that_runs_is_told_of(checkout: Checkout) -> None:
    announce(checkout)
    assert checkout.only("background") == []
    announce(checkout, background={"metrics": "TypeError: see the log"})
    ((level, subject, message),) = checkout.only("background", 1)
    assert (level, subject) == ("error", "metrics")
    assert message.endswith("begun again: TypeError: see the log")


def test_a_gateway_of_another_version_is_told_of(checkout: Checkout) -> None:
    """One that says nothing of it is older."""
    announce(checkout, version="0.0.1")
    ((level, _, message),) = checkout.only("version")
    assert (level, message.startswith("0.0.1 runs")) == ("warning", True)
    (path,) = (checkout.state / "run").glob("serving-*.json")
    told = json.loads(path.read_text())
    del told["version"]
    path.write_text(json.dumps(told))
    assert checkout.only("version")[0][2].startswith("an older one runs")
