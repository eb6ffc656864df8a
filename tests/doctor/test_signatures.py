"""What the doctor says of who may decide: signatures and permissions, of real files."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.access.keys import make
from gateway.access.repository import SqliteKeys
from gateway.cli.main import root
from gateway.readiness.doctor.permissions import owners
from tests.doctor.checkout import POLICY, Checkout, said

NOW = datetime.now(UTC)


@pytest.fixture
def key(checkout: Checkout) -> Path:
    """A key that signs policies; its public half beside it."""
    path = checkout.folder / "policy.key"
    gateway("policy", "keygen", "--out", str(path))
    return path


@contextmanager
def grouped(name: str, members: list[str]) -> Iterator[None]:
    """While it lasts, each group is of that name and has these members."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((name, "x", gid, members)))
        yield


@pytest.fixture
def shared() -> Iterator[None]:
    """Others are in the group that files have."""
    with grouped("staff", ["ann"]):
        yield


def gateway(*words: str) -> None:
    done = CliRunner().invoke(root, words)
    assert done.exit_code == 0, done.output


def sign(checkout: Checkout, key: Path) -> None:
    gateway("policy", "sign", "--key", str(key), "--config", str(checkout.config))


def test_a_policy_that_must_be_signed_and_is_not_is_wrong(checkout: Checkout, key: Path) -> None:
    """Not signed, signed and altered, signed by another: each is said as it is; the policy itself
    is looked at all the same.
    """
    policy = "policy: {require_signature: true, public_keys: ['file:policy.key.pub']}\n"
    checkout.configured(more=policy)
    checkout.ruled(POLICY + "mode: shadow\n")
    ((level, subject, message),) = checkout.only("signature", 1)
    assert (level, subject) == ("error", str(checkout.folder / "policies"))
    assert "there is no policy.sig" in message
    assert checkout.only("shadow") != []
    sign(checkout, key)
    assert checkout.only("signature") == []
    checkout.ruled(POLICY)
    assert "was changed after it was signed" in checkout.only("signature", 1)[0][2]
    other = checkout.folder / "other.key"
    gateway("policy", "keygen", "--out", str(other))
    sign(checkout, other)
    assert "which is not trusted" in checkout.only("signature", 1)[0][2]
    (checkout.folder / "policy.key.pub").unlink()
    assert "cannot be read" in checkout.only("signature", 1)[0][2]


def test_a_signature_that_nobody_asks_for_is_a_warning(checkout: Checkout, key: Path) -> None:
    """Whoever signed it took it for a lock."""
    assert checkout.only("signature") == []
    sign(checkout, key)
    assert [row[0] for row in checkout.only("signature")] == ["warning"]


def test_a_policy_that_others_can_write_should_be_signed(
    checkout: Checkout, key: Path, shared: None
) -> None:
    """Once it is, who can write it decides nothing."""
    assert checkout.only("unsigned") == []
    (checkout.folder / "policies" / "10.yaml").chmod(0o664)
    assert [row[0] for row in checkout.only("unsigned")] == ["warning"]
    sign(checkout, key)
    policy = "policy: {require_signature: true, public_keys: ['file:policy.key.pub']}\n"
    checkout.configured(more=policy)
    assert checkout.only("unsigned") == []


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gateway.yaml", "the configuration"),
        (".", "the configuration's folder"),
        ("policies", "the policy"),
        ("policies/10.yaml", "the policy"),
        ("designations", "the designations"),
        ("models", "the models' folder"),
        ("models/tiny.gguf", "a model"),
        ("state", "the state's folder"),
    ],
)
def test_what_others_can_write_is_wrong(
    checkout: Checkout, shared: None, name: str, what: str
) -> None:
    """A warning where it is the group's."""
    checkout.state.mkdir(mode=0o700)
    assert checkout.only("writable") == []
    path = checkout.folder / name
    mode = path.stat().st_mode & 0o7777
    path.chmod(mode | 0o020)
    ((level, subject, message),) = checkout.only("writable")
    assert (level, Path(subject)) == ("warning", path)
    assert message.startswith(f"its group can write {what}")
    path.chmod(mode | 0o002)
    ((level, _, message),) = checkout.only("writable", 1)
    assert (level, message.startswith("everybody can write")) == ("error", True)


def test_a_group_in_which_there_is_nobody_else_is_nobody(checkout: Checkout) -> None:
    """As a checkout is made where each user has a group, and who made it may write as that."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    for members, found in (([], 0), ([user], 0), ([user, "ann"], 1)):
        with grouped(user, members):
            checkout.config.chmod(0o664)
            (checkout.folder / "policies").chmod(0o775)
            assert len(checkout.only("unsigned")) == found
            assert len(checkout.only("writable")) == 2 * found


def test_secrets_that_others_can_read_are_told_of(checkout: Checkout, shared: None) -> None:
    """Files of keys, of apps' keys and of TLS; not behind a folder that lets nobody through."""
    secret = checkout.folder / "openai.key"
    secret.write_text("planted")
    secret.chmod(0o600)
    checkout.configured(("${NO_KEY}", "file:openai.key"))
    SqliteKeys(checkout.state / "keys.sqlite3").add(make("app", NOW)[1])
    assert checkout.only("readable") == []
    secret.chmod(0o640)
    ((level, subject, message),) = checkout.only("readable")
    assert (level, Path(subject)) == ("warning", secret)
    assert message == "its group can read a secret (mode 640)"
    secret.chmod(0o600)
    keys = checkout.state / "keys.sqlite3"
    keys.chmod(0o644)
    assert checkout.only("readable") == []
    checkout.state.chmod(0o755)
    ((_, subject, message),) = checkout.only("readable")
    assert (Path(subject), message.startswith("everybody can read the keys")) == (keys, True)


def test_files_of_another_user_are_told_of(checkout: Checkout) -> None:
    """But not those of root."""
    found = checkout.examined()
    assert said([*owners(replace(found, user=os.geteuid()))]) == []
    mine = [one for one in found.guarded if one.path == checkout.config]
    theirs = tuple(replace(one, owner=4711) for one in mine)
    assert said([*owners(replace(found, guarded=theirs))]) == [("warning", str(checkout.config))]
    assert said([*owners(replace(found, guarded=theirs, user=4711))]) == []


def test_a_state_that_cannot_be_written_is_wrong(checkout: Checkout) -> None:
    """A file in the place of the folder, or above it."""
    assert checkout.only("state") == []
    checkout.configured(("state: {dir: state}", "state: {dir: gateway.yaml/state}"))
    ((level, _, message),) = checkout.only("state", 1)
    assert (level, "gateway.yaml is no folder" in message) == ("error", True)
