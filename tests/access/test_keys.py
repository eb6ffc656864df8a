"""Keys: what is kept of them, what opens, and what a request may say of itself."""

from __future__ import annotations

import hmac
import sqlite3
import stat
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from gateway.access.callers import MOST_TAGS, Access
from gateway.access.following import Following
from gateway.access.keyring import Keyring, Keyrings
from gateway.access.keys import Key, id_of, make, opens
from gateway.access.repository import FILE, SqliteKeys, revoked
from gateway.domain.decision import Labels
from gateway.errors import Forbidden, InvalidRequest, StateError, Unauthenticated

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def kept(tmp_path: Path) -> SqliteKeys:
    return SqliteKeys(tmp_path / "state" / FILE)


def test_only_the_digest_is_kept(kept: SqliteKeys, tmp_path: Path) -> None:
    """Neither the key nor its secret is in any file, and the files are for their owner alone."""
    written, key = make("shop", NOW)
    kept.add(key)
    secret = written.split("_", 2)[2].encode()
    files = [path for path in (tmp_path / "state").iterdir() if path.is_file()]
    assert files
    for path in files:
        assert secret not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret.decode() not in repr(key)
    assert kept.all() == (key,)


def test_keys_that_are_added_together_are_all_kept_or_none(kept: SqliteKeys) -> None:
    keys = [make(name, NOW)[1] for name in ("shop", "till", "desk")]
    with pytest.raises(StateError, match=r"UNIQUE constraint failed: keys\.id"):
        kept.add(*keys, keys[0])
    assert kept.all() == ()
    kept.add(*keys)
    assert kept.all() == tuple(keys)


def test_a_key_opens_what_is_kept_of_it_and_nothing_else() -> None:
    written, key = make("shop", NOW)
    other, _ = make("shop", NOW)
    assert id_of(written) == key.id
    assert opens(key, written)
    assert not opens(key, other)
    assert not opens(key, written[:-1])


@pytest.mark.parametrize(
    "presented",
    [
        "",
        "sk-proj-of-another-service",
        "sgw_",
        "sgw_x' OR '1'='1_" + "A" * 43,
        "sgw_aaaaaaaaaa_" + "A" * 43,
        "\ud800",
        "x" * 100_000,
    ],
)
def test_what_is_no_key_opens_nothing(presented: str) -> None:
    """It is told in the same words as a wrong one."""
    written, key = make("shop", NOW)
    keyring = Keyring([key])
    wrong = written[:-4] + ("AAAA" if not written.endswith("AAAA") else "BBBB")
    with pytest.raises(Unauthenticated) as first:
        keyring.find(presented, NOW)
    with pytest.raises(Unauthenticated) as second:
        keyring.find(wrong, NOW)
    assert first.value.message == second.value.message
    assert keyring.find(written, NOW) is key


def test_every_guess_is_compared_once_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one of an id that nobody has: how long it takes tells nothing."""
    written, key = make("shop", NOW)
    keyring, compare, compared = Keyring([key]), hmac.compare_digest, []

    def counted(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    keyring.find(written, NOW)
    for wrong in (written[:-1] + "_", make("other", NOW)[0], "", "sk-other", "x" * 100_000):
        with pytest.raises(Unauthenticated):
            keyring.find(wrong, NOW)
    assert compared == [(64, 64)] * 6


def test_a_key_ends(kept: SqliteKeys) -> None:
    """By its date, or when it is revoked; whoever has it is told which."""
    written, key = make("shop", NOW, expires=NOW + timedelta(hours=1))
    keyring = Keyring([key])
    assert keyring.find(written, NOW)
    with pytest.raises(Unauthenticated, match="has expired"):
        keyring.find(written, NOW + timedelta(hours=1))
    keyring.replace([revoked(key, NOW)])
    with pytest.raises(Unauthenticated, match="was revoked"):
        keyring.find(written, NOW)


def test_a_key_that_was_revoked_stays_so() -> None:
    _, key = make("shop", NOW)
    once = revoked(key, NOW)
    assert revoked(once, NOW + timedelta(days=1)) is once


@pytest.mark.parametrize(
    ("models", "asked", "may"),
    [
        ((), "anything", True),
        (("gpt-*",), "gpt-4o", True),
        (("gpt-*",), "claude", False),
        (("gpt-4o", "claude"), "claude", True),
        (("gpt-4o",), "GPT-4o", False),
    ],
)
def test_what_a_key_may_ask_for(models: tuple[str, ...], asked: str, may: bool) -> None:
    _, key = make("shop", NOW, models=models)
    assert key.may_ask(asked) is may


def test_what_another_process_changes_is_read(kept: SqliteKeys, tmp_path: Path) -> None:
    """Also the first key of all. A file that is gone leaves the keys that were in it."""
    changes = []

    class Noted(Keyrings):
        def replace(self, keys: Iterable[Key]) -> None:
            super().replace(keys)
            changes.append(len(self.apps))

    keyrings = Noted()
    keyring = keyrings.apps
    following = Following(kept, keyrings)
    following.read()
    assert not keyring
    elsewhere = SqliteKeys(tmp_path / "state" / FILE)
    written, key = make("shop", NOW)
    elsewhere.add(key)
    following.read()
    assert keyring.find(written, NOW) == key
    following.read()
    elsewhere.change(key.id, lambda key: revoked(key, NOW))
    following.read()
    with pytest.raises(Unauthenticated):
        keyring.find(written, NOW)
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    with pytest.raises(StateError, match="it is gone"):
        following.read()
    assert len(keyring) == 1
    elsewhere.add(make("other", NOW)[1])
    following.read()
    assert changes == [0, 1, 1, 1]


def test_two_that_change_one_key_do_not_lose_a_change(kept: SqliteKeys) -> None:
    _, key = make("shop", NOW)
    kept.add(key)
    inside, go = threading.Event(), threading.Event()

    def slowly(key: Key) -> Key:
        inside.set()
        go.wait(5)
        return msgspec.structs.replace(key, name="renamed")

    thread = threading.Thread(target=kept.change, args=(key.id, slowly))
    thread.start()
    inside.wait(5)
    threading.Timer(0.1, go.set).start()
    kept.change(key.id, lambda key: revoked(key, NOW))
    thread.join()
    (after,) = kept.all()
    assert (after.name, after.revoked) == ("renamed", NOW)


def test_a_damaged_file_is_told_and_not_replaced(kept: SqliteKeys, tmp_path: Path) -> None:
    """Keys that cannot be read are not keys that do not exist: what was in force stays."""
    written, key = make("shop", NOW)
    kept.add(key)
    keyrings = Keyrings()
    keyring = keyrings.apps
    following = Following(kept, keyrings)
    following.read()
    kept.close()
    path = tmp_path / "state" / FILE
    for beside in path.parent.iterdir():
        beside.unlink()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match=r"cannot be read .*put back a copy"):
        following.read()
    assert keyring.find(written, NOW) == key
    with pytest.raises(StateError, match="cannot be written"):
        kept.add(make("other", NOW)[1])
    assert path.read_bytes() == b"no database" * 1000


def test_a_file_of_another_version_is_left_alone(kept: SqliteKeys, tmp_path: Path) -> None:
    path = tmp_path / "state" / FILE
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(StateError, match="version 7"):
        kept.all()


def test_a_change_of_no_key_is_an_error(kept: SqliteKeys) -> None:
    kept.add(make("shop", NOW)[1])
    with pytest.raises(KeyError):
        kept.change("x' OR '1'='1", lambda key: revoked(key, NOW))
    assert all(key.revoked is None for key in kept.all())


def test_without_keys_only_this_machine_is_answered() -> None:
    access = Access(Keyring())
    caller = access.caller(None, {}, near=True, now=NOW)
    assert (caller.key, caller.labels) == (None, Labels())
    assert caller.may_ask("anything")
    with pytest.raises(Unauthenticated, match="gateway keys create"):
        access.caller("sk-anything", {}, near=False, now=NOW)


def test_without_keys_what_is_kept_belongs_to_what_was_presented() -> None:
    access = Access(Keyring())
    owners = {access.caller(key, {}, near=True, now=NOW).owner for key in (None, "sk-a", "sk-b")}
    assert len(owners) == 3


def test_with_one_key_nobody_is_answered_without() -> None:
    written, key = make("shop", NOW, labels=Labels(team="shop"))
    access = Access(Keyring([key]))
    caller = access.caller(written, {}, near=False, now=NOW)
    assert (caller.key, caller.labels.team, caller.owner) == (key, "shop", key.id)
    with pytest.raises(Unauthenticated, match="didn't provide") as missing:
        access.caller(None, {}, near=True, now=NOW)
    assert missing.value.code == "missing_api_key"


def test_a_request_says_of_itself_only_what_its_key_permits() -> None:
    """What is not permitted is refused and not passed over: it may be what makes a prompt
    confidential.
    """
    labels = Labels(team="shop", tags=frozenset({"pilot"}))
    written, key = make("shop", NOW, labels=labels, may_set=("data_class", "tags"))
    access = Access(Keyring([key]))
    said = {"data_class": "cui", "tags": "eu, night"}
    caller = access.caller(written, said, near=True, now=NOW)
    claimed = caller.labels.claimed
    assert claimed is not None
    assert (claimed.team, claimed.data_class) == ("shop", "cui")
    assert claimed.tags == {"pilot", "eu", "night"}
    assert caller.labels.data_class is None
    with pytest.raises(Forbidden, match="x-gateway-team") as refused:
        access.caller(written, {"team": "red"}, near=True, now=NOW)
    assert refused.value.param == "x-gateway-team"
    many = ",".join(f"t{number}" for number in range(MOST_TAGS + 1))
    for said in ({"tags": many}, {"tags": "a b"}):
        with pytest.raises(InvalidRequest, match="x-gateway-tags"):
            access.caller(written, said, near=True, now=NOW)
    with pytest.raises(InvalidRequest, match="x-gateway-data-class"):
        access.caller(written, {"data_class": "a b"}, near=True, now=NOW)
