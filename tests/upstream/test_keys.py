"""Several keys of one channel: taken in turns, put to rest and put out, and never told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import structlog

from gateway.domain.events import Failed, FailureKind
from gateway.upstream.guard import EgressGuard
from gateway.upstream.keys import REST_DEFAULT, REST_MOST, Keys
from gateway.upstream.relay import RelayBackend
from tests.upstream import channels
from tests.upstream.conftest import NoDeepSeek
from tests.upstream.raw_peer import RawPeer, Relay, raw_peer

LIMITED = Failed(FailureKind.RATE_LIMITED, "limited", 429, 20)
WRONG = Failed(FailureKind.UNAUTHORIZED, "wrong", 401)
FORBIDDEN = Failed(FailureKind.UNAUTHORIZED, "forbidden", 403)
BODY = b'{"model":"m","choices":[{"message":{"content":"vendor answer"}}]}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
KEYS = ("sk-planted-a", "sk-planted-b", "sk-planted-b2")


def test_keys_are_taken_in_turns() -> None:
    """Each as often as the others."""
    keys = Keys("vendor", 3)
    assert [keys.choose("m", 0) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_a_single_key_is_never_put_away() -> None:
    """It is the target's health that rests, not the key; and it is tried once."""
    keys = Keys("vendor", 1)
    assert not keys.several
    assert [keys.choose("m", 0), keys.choose("m", 0), keys.choose("m", 0, [0])] == [0, 0, None]


def test_a_limited_key_rests_for_that_model_and_as_long_as_it_was_told() -> None:
    """And a shorter rest does not end a longer one."""
    keys = Keys("vendor", 2)
    assert keys.refused(0, "m", LIMITED, 100)
    assert keys.refused(0, "m", Failed(FailureKind.RATE_LIMITED, "", 429, 1), 100)
    assert {keys.choose("m", 119.9) for _ in range(4)} == {1}
    assert {keys.choose("other", 100) for _ in range(4)} == {0, 1}
    assert {keys.choose("m", 120.1) for _ in range(4)} == {0, 1}


def test_how_long_a_key_rests_that_was_not_told() -> None:
    """Five seconds, and never longer than an hour."""
    keys = Keys("vendor", 2)
    keys.refused(0, "m", Failed(FailureKind.RATE_LIMITED, "", 429), 0)
    keys.refused(1, "m", Failed(FailureKind.RATE_LIMITED, "", 429, 86_400), 0)
    assert keys.choose("m", REST_DEFAULT - 0.1) is None
    assert keys.choose("m", REST_DEFAULT + 0.1) == 0
    assert keys.choose("m", REST_MOST + 0.1, [0]) == 1


def test_a_wrong_key_is_out() -> None:
    """For all models after a 401, for the one after a 403."""
    keys = Keys("vendor", 3)
    assert keys.refused(0, "m", WRONG, 0)
    assert keys.refused(1, "m", FORBIDDEN, 0)
    assert {keys.choose("m", 1e9) for _ in range(4)} == {2}
    assert {keys.choose("other", 1e9) for _ in range(4)} == {1, 2}


def test_what_is_not_about_the_key() -> None:
    """A blocked account and a fault of the server put no key away."""
    keys = Keys("vendor", 2)
    for kind in (FailureKind.VENDOR_BLOCKED, FailureKind.SERVER_ERROR):
        assert not keys.refused(0, "m", Failed(kind, ""), 0)
    assert {keys.choose("m", 0) for _ in range(4)} == {0, 1}


def test_none_is_left() -> None:
    """Waiting helps where one rests, and the shortest rest is told; else the keys are wrong."""
    keys = Keys("vendor", 3)
    keys.refused(0, "m", WRONG, 0)
    keys.refused(1, "m", LIMITED, 0)
    keys.refused(2, "m", Failed(FailureKind.RATE_LIMITED, "", 429, 7), 0)
    assert keys.choose("m", 1) is None
    left = keys.exhausted("m", 1)
    assert (left.kind, left.retry_after) == (FailureKind.RATE_LIMITED, 6)
    keys.refused(1, "m", WRONG, 1)
    keys.refused(2, "m", FORBIDDEN, 1)
    assert keys.exhausted("m", 1).kind is FailureKind.UNAUTHORIZED


def test_a_session_stays_with_its_key() -> None:
    """Sessions spread over all keys, and only those of a key that goes are moved."""
    keys = Keys("vendor", 4)
    names = [f"session {number}" for number in range(400)]
    before = {name: keys.choose("m", 0, session=name) for name in names}
    assert before == {name: keys.choose("m", 0, session=name) for name in names}
    assert min(Counter(before.values()).values()) > 60
    keys.refused(2, "m", WRONG, 0)
    after = {name: keys.choose("m", 0, session=name) for name in names}
    assert {name for name in names if after[name] != before[name]} == {
        name for name in names if before[name] == 2
    }


class Accounts(RawPeer):
    """A vendor that answers each key in its own way, over connections that are kept."""

    def __init__(self, **answers: bytes) -> None:
        super().__init__()
        self.answers = {key.replace("_", "-"): answer for key, answer in answers.items()}
        self.asked: list[str] = []
        self.script = self._serve_keys

    async def _serve_keys(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            key = head.partition(b"Bearer ")[2].partition(b"\r\n")[0].decode()
            self.asked.append(key.removeprefix("sk-planted-"))
            writer.write(self.answers.get(self.asked[-1], GOOD))
            await writer.drain()


def refusal(status: int, message: str = "", extra: str = "") -> bytes:
    body = b'{"error":{"message":"%b"}}' % message.encode()
    head = f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@asynccontextmanager
async def asking(peer: Accounts, keys: tuple[str, ...] = KEYS) -> AsyncIterator[Relay]:
    async with raw_peer(peer):
        channel = channels.channel(f"http://127.0.0.1:{peer.port}/v1", api_keys=keys)
        backend = RelayBackend({"vendor": channel}, EgressGuard(), NoDeepSeek())
        try:
            yield Relay(backend)
        finally:
            await backend.close()


async def test_the_app_does_not_notice_a_limited_key() -> None:
    """Another key takes over at once, over the same connection, and the first one rests."""
    peer = Accounts(a=refusal(429, extra="Retry-After: 30\r\n"))
    async with asking(peer) as relay:
        for _ in range(4):
            assert "vendor answer" in str(await relay.ask())
    assert peer.asked == ["a", "b", "b2", "b", "b2"]
    assert peer.connections == 1


async def test_a_wrong_key_is_told_loudly_and_once() -> None:
    """By its number, and without itself."""
    peer = Accounts(a=refusal(401, "Incorrect API key provided: sk-planted-a"))
    with structlog.testing.capture_logs() as logs:
        async with asking(peer) as relay:
            for _ in range(5):
                assert "vendor answer" in str(await relay.ask())
    [told] = [entry for entry in logs if entry["event"] == "key_refused"]
    assert (told["log_level"], told["channel"]) == ("error", "vendor")
    assert (told["key"], told["of"], told["status"]) == (1, 3, 401)
    assert "sk-planted" not in str(logs)
    assert peer.asked.count("a") == 1


async def test_each_key_is_tried_once_and_the_shortest_wait_is_told() -> None:
    """The next request finds out without asking anybody."""
    waits = [refusal(429, extra=f"Retry-After: {seconds}\r\n") for seconds in (30, 9, 60)]
    peer = Accounts(a=waits[0], b=waits[1], b2=waits[2])
    async with asking(peer) as relay:
        for _ in range(2):
            failed = await relay.ask()
            assert isinstance(failed, Failed)
            assert failed.kind is FailureKind.RATE_LIMITED
            assert failed.retry_after == pytest.approx(9, abs=0.5)
    assert peer.asked == ["a", "b", "b2"]


async def test_no_key_is_accepted() -> None:
    """That is a fault of the configuration, and nobody is asked again."""
    peer = Accounts(a=refusal(401), b=refusal(403), b2=refusal(401))
    async with asking(peer) as relay:
        kinds = [str(getattr(await relay.ask(), "kind", None)) for _ in range(2)]
    assert kinds == [FailureKind.UNAUTHORIZED, FailureKind.UNAUTHORIZED]
    assert peer.asked == ["a", "b", "b2"]


async def test_a_blocked_account_is_not_evaded_by_another_key() -> None:
    """What is not about the key is the target's failure, as with one key."""
    body = b'{"error":{"message":"no","code":"account_deactivated"}}'
    blocked = b"HTTP/1.1 403 X\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    peer = Accounts(a=blocked, b=refusal(500))
    async with asking(peer) as relay:
        kinds = [getattr(await relay.ask(), "kind", None) for _ in range(2)]
    assert kinds == [FailureKind.VENDOR_BLOCKED, FailureKind.SERVER_ERROR]
    assert peer.asked == ["a", "b"]


async def test_one_key_is_as_it_was() -> None:
    """Asked each time, with the vendor's own wait."""
    peer = Accounts(a=refusal(429, extra="Retry-After: 30\r\n"))
    async with asking(peer, KEYS[:1]) as relay:
        for _ in range(2):
            failed = await relay.ask()
            assert isinstance(failed, Failed)
            assert (failed.status, failed.retry_after) == (429, 30)
    assert peer.asked == ["a", "a"]


async def test_a_vendors_words_hold_none_of_the_keys() -> None:
    """Not the one that was used, nor another; one that begins as another does is whole."""
    peer = Accounts(**dict.fromkeys(("a", "b", "b2"), refusal(400, " ".join(KEYS))))
    async with asking(peer) as relay:
        for _ in KEYS:
            failed = await relay.ask()
            assert isinstance(failed, Failed)
            assert failed.message == "[key] [key] [key]"


async def test_cancelling_between_two_keys_leaves_nothing_open() -> None:
    """The refusal's body may be slow to come."""
    peer = Accounts(a=b"HTTP/1.1 429 X\r\nContent-Length: 99\r\n\r\n{")
    async with asking(peer) as relay:
        running = asyncio.create_task(relay.ask())
        while not peer.asked:  # noqa: ASYNC110 - the peer says it by what it has seen
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not relay.backend.pool._busy
