"""Sessions: what a cookie says, how long it is good, and wrong keys that come too fast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.access.entrance import Entrance
from gateway.access.keyring import Keyring
from gateway.access.keys import make
from gateway.access.operators import OperatorRole
from gateway.access.repository import revoked
from gateway.access.sessions import IDLE, LONGEST, RENEWED_AFTER, Ended, Sessions
from gateway.access.slowing import AT_ONCE, EVERY, MOST, Slowing
from gateway.errors import Unauthenticated

NOW = datetime(2026, 11, 26, 1, tzinfo=UTC)


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(b"a secret of all processes", Ended(tmp_path / "ended"))


def test_a_session_ends_when_it_is_not_used(sessions: Sessions) -> None:
    session = sessions.begin("x", NOW)
    cookie = sessions.written(session)
    assert sessions.read(cookie, NOW + IDLE - timedelta(seconds=1)) == session
    with pytest.raises(Unauthenticated, match="session is over"):
        sessions.read(cookie, NOW + IDLE)


def test_and_when_it_has_been_used_for_long(sessions: Sessions) -> None:
    """Each use writes it anew, but no more than once a minute; nothing makes it last longer."""
    session, now = sessions.begin("x", NOW), NOW
    assert sessions.renewed(session, NOW + RENEWED_AFTER / 2) is None
    while now < NOW + LONGEST:
        assert sessions.read(sessions.written(session), now) == session
        now += IDLE / 2
        session = sessions.renewed(session, now) or session
    with pytest.raises(Unauthenticated):
        sessions.read(sessions.written(session), now)


def test_another_secret_another_session(sessions: Sessions, tmp_path: Path) -> None:
    """As after a restart. What is signed as a token is no cookie."""
    session = sessions.begin("x", NOW)
    others = Sessions(b"the next one", Ended(tmp_path / "ended"))
    with pytest.raises(Unauthenticated):
        others.read(sessions.written(session), NOW)
    assert sessions.is_token(session, sessions.token(session))
    assert not sessions.is_token(session, others.token(session))
    assert not sessions.is_token(sessions.begin("x", NOW), sessions.token(session))


def test_a_session_that_was_left_is_over_in_other_processes(
    sessions: Sessions, tmp_path: Path
) -> None:
    elsewhere = Sessions(b"a secret of all processes", Ended(tmp_path / "ended"))
    session, other = sessions.begin("x", NOW), sessions.begin("x", NOW)
    assert elsewhere.read(sessions.written(session), NOW)
    sessions.end(session)
    with pytest.raises(Unauthenticated):
        elsewhere.read(sessions.written(session), NOW)
    assert elsewhere.read(sessions.written(other), NOW) == other


def test_a_session_is_good_as_long_as_its_key(sessions: Sessions) -> None:
    written, key = make("alice", NOW, role=OperatorRole.VIEWER, expires=NOW + timedelta(minutes=5))
    keyring = Keyring([key], operators=True)
    entrance = Entrance(keyring, "sgl_here", sessions, "root")
    actor, session = entrance.login(written, NOW)
    cookie = sessions.written(session)
    assert (actor.name, actor.role) == (f"operator:{key.id}", OperatorRole.VIEWER)
    assert entrance.by_cookie(cookie, NOW)[0] == actor
    with pytest.raises(Unauthenticated, match="good no more"):
        entrance.by_cookie(cookie, NOW + timedelta(minutes=5))
    keyring.replace([revoked(key, NOW)])
    with pytest.raises(Unauthenticated, match="good no more"):
        entrance.by_cookie(cookie, NOW)


def test_apps_and_operators_have_keyrings_of_their_own() -> None:
    """One that holds both kinds finds only its own."""
    (app, kept), (operator, other) = make("shop", NOW), make("al", NOW, role=OperatorRole.ADMIN)
    for keyring, own, foreign in (
        (Keyring([kept, other]), app, operator),
        (Keyring([kept, other], operators=True), operator, app),
    ):
        assert len(keyring) == 1
        assert keyring.find(own, NOW)
        with pytest.raises(Unauthenticated):
            keyring.find(foreign, NOW)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("alice", "local:alice"),
        (None, "local:root"),
        ("a b", "local:root"),
        ("x" * 40, "local:root"),
    ],
)
def test_the_credential_of_the_machine_says_who_uses_it(
    sessions: Sessions, user: str | None, name: str
) -> None:
    entrance = Entrance(Keyring(operators=True), "sgl_here", sessions, "root")
    actor = entrance.by_key("sgl_here", user, NOW)
    assert (actor.name, actor.role) == (name, OperatorRole.ADMIN)
    with pytest.raises(Unauthenticated):
        entrance.by_key("sgl_her", user, NOW)


def test_wrong_keys_come_slowly() -> None:
    """A few at once, then one in a while; of one peer, whose network is one."""
    slowing = Slowing()
    assert [slowing.wrong("10.0.0.1", 0.0) for _ in range(AT_ONCE)] == [None] * AT_ONCE
    wait = slowing.wrong("10.0.0.1", 0.0)
    assert wait == pytest.approx(EVERY)
    assert slowing.wrong("::ffff:10.0.0.1", EVERY / 2) == pytest.approx(EVERY / 2)
    assert slowing.wrong("10.0.0.1", EVERY) is None
    assert slowing.wrong("10.0.0.2", EVERY) is None
    for number in range(AT_ONCE):
        assert slowing.wrong(f"2001:db8::{number}", 0.0) is None
    assert slowing.wrong("2001:db8::ffff", 0.0) is not None
    assert slowing.wrong("2001:db8:0:1::1", 0.0) is None


def test_of_many_peers_the_last_are_remembered() -> None:
    slowing = Slowing()
    for number in range(2 * MOST):
        slowing.wrong(str(number), 0.0)
    assert len(slowing._peers) == MOST
