"""Responses that are kept: for how long, for whom, and what becomes of them when things go wrong.
Real files, and where it says so, other processes.
"""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from gateway.domain.kept import KeptResponse
from gateway.errors import ContextOverflow, InvalidRequest, Unavailable
from gateway.responses import store as stores
from gateway.responses.store import Limits, SqliteResponseStore

DAY = 86_400.0
LIMITS = Limits(keep=True, expire_after=30 * DAY, most=1 << 30)
HOSTILE = (
    "' OR 1=1 --",
    '"; DROP TABLE responses; --',
    "resp_%",
    "resp_\x00a",
    "\ud800".encode("utf-8", "replace").decode(),
    "",
    "x" * 100_000,
)


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def kept(id: str, previous: str | None = None, *, size: int = 0) -> KeptResponse:
    """With an input and an output that tell them apart."""
    item = msgspec.json.encode({"role": "user", "content": f"in {id}" + "x" * size})
    said = {"type": "message", "id": f"msg_{id}", "role": "assistant", "content": f"out {id}"}
    body = msgspec.json.encode({"id": id, "object": "response", "output": [said]})
    return KeptResponse(id, previous, 1_000_000, (item,), body)


def told(items: object) -> list[str]:
    assert isinstance(items, list)
    return [msgspec.json.decode(item)["content"].rstrip("x") for item in items]


async def not_found(store: SqliteResponseStore, owner: str, id: str) -> bool:
    with pytest.raises(InvalidRequest) as caught:
        await store.history(owner, id)
    error = caught.value
    assert (error.status, error.code) == (400, "previous_response_not_found")
    assert error.param == "previous_response_id"
    return await store.find(owner, id) is None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def store(folder: Path, clock: Clock) -> AsyncIterator[SqliteResponseStore]:
    opened = SqliteResponseStore(folder, LIMITS, clock)
    yield opened
    opened.close()


def modes(folder: Path) -> dict[str, int]:
    """The files that there are, with their permissions."""
    if not folder.exists():
        return {}
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


def databases(folder: Path) -> list[str]:
    return sorted(name for name in modes(folder) if name.endswith(".sqlite3"))


def remove(folder: Path) -> None:
    for file in folder.glob("responses-1.sqlite3*"):
        file.unlink()


def rows(folder: Path, number: int = 1) -> int:
    connection = sqlite3.connect(folder / f"responses-{number}.sqlite3")
    try:
        found: int = connection.execute("SELECT count(*) FROM responses").fetchone()[0]
        return found
    finally:
        connection.close()


async def test_what_is_kept_is_found_as_it_was(store: SqliteResponseStore) -> None:
    one = kept("resp_1")
    await store.keep("me", one)
    assert await store.find("me", "resp_1") == one


async def test_a_conversation_is_told_from_its_beginning(store: SqliteResponseStore) -> None:
    """Of each turn the input before the output; two may follow the same one."""
    await store.keep("me", kept("a"))
    await store.keep("me", kept("b", "a"))
    await store.keep("me", kept("c", "b"))
    await store.keep("me", kept("other", "a"))
    assert told(await store.history("me", "c")) == [
        *("in a", "out a", "in b", "out b", "in c", "out c"),
    ]
    assert told(await store.history("me", "other")) == ["in a", "out a", "in other", "out other"]


async def test_nobody_is_told_of_anothers(store: SqliteResponseStore) -> None:
    """Nor can anybody delete it, or go on from it; the same id may be two owners'."""
    await store.keep("me", kept("a"))
    assert await not_found(store, "you", "a")
    assert not await store.forget("you", "a")
    await store.keep("you", kept("b", "a"))
    assert await not_found(store, "you", "never")
    with pytest.raises(InvalidRequest, match="'b' not found"):
        await store.history("you", "b")
    await store.keep("you", kept("a", size=3))
    assert await store.find("me", "a") == kept("a")


async def test_what_is_deleted_is_gone_and_its_followers_have_no_beginning(
    folder: Path,
) -> None:
    """From the file too, not only from its index."""
    store = SqliteResponseStore(folder, LIMITS)
    await store.keep("me", kept("a"))
    await store.keep("me", kept("b", "a"))
    assert await store.forget("me", "a")
    assert not await store.forget("me", "a")
    assert await not_found(store, "me", "a")
    assert await store.find("me", "b") is not None
    with pytest.raises(InvalidRequest, match="'b' not found"):
        await store.history("me", "b")
    assert [one.id for one in await store.conversation("me", "b")] == ["b"]
    store.close()
    assert b"in a" not in (folder / "responses-1.sqlite3").read_bytes()


async def test_hostile_ids_are_only_ids(store: SqliteResponseStore) -> None:
    """Whatever stands in them, nothing is found, deleted or done by it."""
    await store.keep("me", kept("resp_1"))
    for id in HOSTILE:
        assert await not_found(store, "me", id)
        assert await not_found(store, id, "resp_1")
        assert not await store.forget("me", id)
        await store.keep(id, kept(id, "resp_1"))
        found = await store.find(id, id)
        assert found is not None
        assert found.id == id
    assert await store.find("me", "resp_1") == kept("resp_1")


async def test_what_has_expired_is_not_found_at_once_and_deleted_later(
    store: SqliteResponseStore, clock: Clock, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "BATCH", 2)
    for number in range(5):
        await store.keep("me", kept(f"old {number}"))
    clock.now += 10 * DAY
    await store.keep("me", kept("young"))
    clock.now += 20 * DAY - 1
    assert await store.find("me", "old 0") is not None
    clock.now += 1
    assert await not_found(store, "me", "old 0")
    assert not await store.forget("me", "old 0")
    assert rows(folder) == 6
    assert await store.sweep() == 5
    assert rows(folder) == 1
    assert await store.find("me", "young") is not None


async def test_a_conversation_that_goes_on_does_not_lose_its_beginning(
    store: SqliteResponseStore, clock: Clock
) -> None:
    """It expires when nobody has gone on with it for so long."""
    await store.keep("me", kept("0"))
    for turn in range(1, 8):
        clock.now += 20 * DAY
        await store.keep("me", kept(str(turn), str(turn - 1)))
    assert len(await store.history("me", "7")) == 16
    clock.now += 30 * DAY
    assert await not_found(store, "me", "7")
    assert await store.sweep() == 8


async def test_the_oldest_make_room(folder: Path, clock: Clock) -> None:
    """A conversation that goes on is as young as its last turn."""
    store = SqliteResponseStore(folder, Limits(True, 30 * DAY, 400_000), clock)
    await store.keep("me", kept("begun", size=1000))
    for number in range(8):
        clock.now += 2 * DAY
        await store.keep("me", kept(f"r{number}", size=40_000))
    await store.keep("me", kept("gone on with", "begun", size=1000))
    for number in range(8, 15):
        await store.keep("me", kept(f"r{number}", size=40_000))
    assert await not_found(store, "me", "r0")
    assert await store.find("me", "r14") is not None
    assert len(await store.history("me", "gone on with")) == 4
    assert (folder / "responses-1.sqlite3").stat().st_size < 500_000
    store.close()


async def test_one_that_is_too_large_is_not_kept(folder: Path, clock: Clock) -> None:
    """And costs no one else's place for longer than that."""
    store = SqliteResponseStore(folder, Limits(True, 30 * DAY, 200_000), clock)
    await store.keep("me", kept("huge", size=400_000))
    assert await not_found(store, "me", "huge")
    await store.keep("me", kept("small"))
    assert await store.find("me", "small") is not None
    store.close()


async def test_a_conversation_that_is_too_long_is_not_read(
    store: SqliteResponseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "MOST_HISTORY", 3_000)
    await store.keep("me", kept("a", size=2_000))
    assert len(await store.history("me", "a")) == 2
    await store.keep("me", kept("b", "a", size=2_000))
    with pytest.raises(ContextOverflow) as caught:
        await store.history("me", "b")
    assert caught.value.param == "previous_response_id"


async def test_nothing_is_kept_where_the_operator_says_so(
    store: SqliteResponseStore, folder: Path
) -> None:
    """Not even a file is made; what was kept before is not shown, and shown again afterwards."""
    store.limits = Limits(False, 30 * DAY, 1 << 30)
    await store.keep("me", kept("a"))
    with pytest.raises(InvalidRequest, match=r"responses\.keep"):
        await store.history("me", "a")
    assert await not_found(store, "me", "a")
    assert not await store.forget("me", "a")
    assert modes(folder) == {}
    store.limits = LIMITS
    await store.keep("me", kept("a"))
    store.limits = Limits(False, 30 * DAY, 1 << 30)
    assert await store.find("me", "a") is None
    store.limits = LIMITS
    assert await store.find("me", "a") is not None


async def test_only_the_gateways_user_can_read_it(store: SqliteResponseStore, folder: Path) -> None:
    await store.keep("me", kept("a"))
    assert modes(folder).keys() >= {"responses-1.sqlite3", "responses-1.sqlite3-wal"}
    assert set(modes(folder).values()) == {0o600}
    assert modes(folder.parent)["state"] == 0o700


def spoil_head(file: Path) -> None:
    """It is no database any more."""
    file.write_bytes(b"spoilt" * 5000)


def spoil_pages(file: Path) -> None:
    """It still begins as one."""
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)


def older(file: Path) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 7")
    connection.close()


def somebody_elses(file: Path) -> None:
    file.unlink()
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE responses (a)")
    connection.close()


@pytest.mark.parametrize("spoil", [spoil_head, spoil_pages, older, somebody_elses])
async def test_a_file_that_cannot_be_read_is_left_and_another_begun(
    folder: Path, clock: Clock, spoil: Callable[[Path], None]
) -> None:
    """At the start; nothing fails, but for what was kept in it."""
    before = SqliteResponseStore(folder, LIMITS, clock)
    await before.keep("me", kept("a"))
    before.close()
    spoil(folder / "responses-1.sqlite3")
    spoilt = (folder / "responses-1.sqlite3").read_bytes()
    store = SqliteResponseStore(folder, LIMITS, clock)
    assert await not_found(store, "me", "a")
    await store.keep("me", kept("b"))
    assert await store.find("me", "b") is not None
    store.close()
    assert rows(folder, 2) == 1
    if spoil is not older:
        assert (folder / "responses-1.sqlite3").read_bytes() == spoilt


async def test_damage_while_it_runs_is_noticed_by_all(folder: Path, clock: Clock) -> None:
    """Whoever finds it begins another file, which the others then use, too."""
    first, second = (SqliteResponseStore(folder, LIMITS, clock) for _ in range(2))
    for number in range(200):
        await first.keep("me", kept(f"r{number}", size=1000))
    assert await second.find("me", "r0") is not None
    first.close()
    second.close()
    first, second = (SqliteResponseStore(folder, LIMITS, clock) for _ in range(2))
    assert await first.find("me", "r0") is not None
    assert await second.find("me", "r0") is not None
    data = bytearray((folder / "responses-1.sqlite3").read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    (folder / "responses-1.sqlite3").write_bytes(data)
    await first.keep("me", kept("new"))
    assert await first.find("me", "new") is not None
    assert await second.find("me", "new") is not None
    await second.keep("me", kept("newer", "new"))
    assert len(await first.history("me", "newer")) == 4
    first.close()
    second.close()
    assert databases(folder) == ["responses-1.sqlite3", "responses-2.sqlite3"]


async def test_a_file_that_is_taken_away_is_begun_anew(
    store: SqliteResponseStore, folder: Path
) -> None:
    await store.keep("me", kept("a"))
    remove(folder)
    assert await not_found(store, "me", "a")
    await store.keep("me", kept("b"))
    assert await store.find("me", "b") is not None


async def test_a_file_that_another_process_will_not_let_go_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing hangs for ever, and an answer is not lost for it: it is said that it is not kept."""
    monkeypatch.setattr("gateway.responses.database.BUSY", 0.2)
    store = SqliteResponseStore(folder, LIMITS)
    await store.keep("me", kept("a"))
    holder = sqlite3.connect(folder / "responses-1.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    await asyncio.wait_for(store.keep("me", kept("b")), 5)
    assert "response_not_kept" in capsys.readouterr().out
    with pytest.raises(Unavailable) as caught:
        await store.forget("me", "a")
    assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
    assert await store.find("me", "b") is None
    holder.execute("COMMIT")
    holder.close()
    await store.keep("me", kept("b"))
    assert await store.find("me", "b") is not None
    store.close()


FULL = """
import asyncio, sys
from pathlib import Path
from gateway.domain.kept import KeptResponse
from gateway.responses.store import Limits, SqliteResponseStore

async def main():
    store = SqliteResponseStore(Path(sys.argv[1]), Limits(True, 60, 1 << 30))
    for number in range(40):
        body = b'{"output": []}' + b" " * 20_000
        await store.keep("me", KeptResponse(f"r{number}", None, 0, (), body))
    found = [await store.find("me", f"r{number}") for number in range(40)]
    print("found", sum(one is not None for one in found))
    store.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(("room", "least", "most"), [(0, 0, 0), (300_000, 1, 39)])
def test_a_full_disk_loses_what_is_new_and_nothing_else(
    folder: Path, room: int, least: int, most: int
) -> None:
    """Also from the start: a file that may not grow to be one is none."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
    )
    if room == 0:
        assert "responses that are kept cannot be read" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    assert "response_not_kept" in done.stdout
    found = int(done.stdout.rpartition("found ")[2])
    assert least <= found <= most


WRITES = """
import asyncio, sys
from pathlib import Path
from gateway.domain.kept import KeptResponse
from gateway.responses.store import Limits, SqliteResponseStore

async def main(folder, name):
    store = SqliteResponseStore(Path(folder), Limits(True, 3600, 1 << 30))
    before = None
    for number in range(50):
        id = f"{name}{number}"
        await store.keep("me", KeptResponse(id, before, 0, (b"1",), b'{"output": [2]}'))
        assert len(await store.history("me", id)) == 2 * (number + 1)
        before = id
    store.close()

asyncio.run(main(*sys.argv[1:]))
"""


def writing(folder: Path, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITES, str(folder), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


async def test_several_processes_share_it(store: SqliteResponseStore, folder: Path) -> None:
    """From its making on: none loses a row of its own, and each sees those of the others."""
    for process in [writing(folder, name) for name in "abc"]:
        output, _ = await asyncio.to_thread(process.communicate, timeout=60)
        assert (process.returncode, output) == (0, b"")
    for name in "abc":
        assert len(await store.history("me", f"{name}49")) == 100
    assert databases(folder) == ["responses-1.sqlite3"]


async def test_an_answer_is_kept_though_whoever_asked_has_gone(
    store: SqliteResponseStore,
) -> None:
    """Its conversation can be gone on with."""
    keeping = asyncio.create_task(store.keep("me", kept("a")))
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    assert await store.find("me", "a") is not None
