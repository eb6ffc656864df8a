"""One file, and several processes that share it: also one that is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.access.account import Ask, Refusal, Used, Why
from gateway.access.balances import Balance, balances
from gateway.access.bucket import left
from gateway.access.keys import Limits
from gateway.access.layout import FILE
from gateway.access.ledger import Held, Ledger
from gateway.access.months import Calendar
from gateway.errors import StateError
from tests.waiting import until

MINUTE = 60_000_000
PROCESS = """\
import sys, time
from pathlib import Path
from gateway.access.account import Ask, Refusal, Used
from gateway.access.keys import Limits
from gateway.access.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]))
limits = Limits(*(int(word) or None for word in sys.argv[2].split(",")))
"""
HOLDING = """
held = [ledger.admit("k", limits, Ask(5, 5, cost=10))[0] for _ in range(3)]
print(*(type(one).__name__ for one in held), flush=True)
time.sleep(60)
"""
STORMING = """
got = 0
print("ready", flush=True)
sys.stdin.readline()
began = last = time.monotonic()
while last < began + 2:
    last = time.monotonic()
    held, _ = ledger.admit("k", limits, Ask(1, 1, cost=2))
    if not isinstance(held, Refusal):
        ledger.settle(held, Used(1, 2, 2))
        got += 1
print(got, began, last, time.monotonic(), flush=True)
"""
TAKING = """
with ledger._mutex:
    print("taken", flush=True)
    time.sleep(60)
"""
LOOPING = """
print("ready", flush=True)
while True:
    held, _ = ledger.admit("k", limits, Ask(1, 1, cost=1))
    assert not isinstance(held, Refusal), held
    ledger.settle(held, Used(1, 2, 1))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / FILE


@contextmanager
def process(file: Path, limits: str, then: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROCESS + then, str(file), limits]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def used(file: Path, key: str = "k") -> Balance:
    return balances(file, [key], datetime.now(UTC))[key]


def test_two_processes_share_one_limit(file: Path) -> None:
    """What both admit in two seconds is one bucket and what flowed in meanwhile, and no more."""
    with process(file, "600,0,0,0", STORMING) as one, process(file, "600,0,0,0", STORMING) as other:
        for running in (one, other):
            assert line(running) == "ready"
        for running in (one, other):
            assert running.stdin is not None
            running.stdin.write("\n")
            running.stdin.flush()
        told = [[float(word) for word in line(running).split()] for running in (one, other)]
    got, began, last, ended = zip(*told, strict=True)
    admitted = int(sum(got))
    # Ten a second between the first that was asked for and the last.
    assert int(10 * (max(last) - min(began))) - 1 <= admitted - 600
    assert admitted - 600 <= 10 * (max(ended) - min(began)) + 1
    balance = used(file)
    assert balance.months[0].used == Used(admitted, 2 * admitted, 2 * admitted)
    assert (balance.running, balance.reserved) == (0, 0)


def test_what_a_killed_process_held_is_given_back(file: Path) -> None:
    """Its requests run no more; what was reserved for them counts as spent."""
    limits = Limits(concurrent=3, budget=1000)
    ledger = Ledger(file)
    with process(file, "0,0,3,1000", HOLDING) as other:
        assert line(other) == "Held Held Held"
        refused, _ = ledger.admit("k", limits, Ask(1, 1, cost=1))
        assert isinstance(refused, Refusal)
        assert refused.why is Why.CONCURRENT
        assert used(file).running == 3
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    held, _ = ledger.admit("k", limits, Ask(1, 1, cost=1))
    assert isinstance(held, Held)
    balance = used(file)
    assert (balance.running, balance.reserved) == (1, 1)
    assert balance.months[0].used == Used(3, 0, 30)


def test_a_budget_is_not_held_by_who_is_no_more(file: Path) -> None:
    ledger = Ledger(file)
    with process(file, "0,0,0,35", HOLDING) as other:
        assert line(other) == "Held Held Held"
    refused, _ = ledger.admit("k", Limits(budget=35), Ask(1, 1, cost=6))
    assert isinstance(refused, Refusal)
    assert used(file).reserved == 0
    assert isinstance(ledger.admit("k", Limits(budget=35), Ask(1, 1, cost=5))[0], Held)


def test_who_comes_after_a_killed_process_buries_it(file: Path) -> None:
    with process(file, "0,0,0,0", HOLDING) as first:
        assert line(first) == "Held Held Held"
    Ledger(file)
    assert used(file).running == 0
    assert used(file).months[0].used.cost == 30


@pytest.mark.parametrize("number", range(8))
def test_killed_at_any_instant_it_leaves_an_account_that_is_whole(file: Path, number: int) -> None:
    """It had one request at a time: so much may be told wrong, and nothing is locked for ever."""
    with process(file, "0,0,1,0", LOOPING) as other:
        assert line(other) == "ready"
        until(lambda: any(month.used.requests > 10 for month in used(file).months))
        time.sleep(0.013 * number)
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
    ledger = Ledger(file)
    held, _ = ledger.admit("k", Limits(concurrent=1), Ask(1, 1))
    assert isinstance(held, Held)
    ledger.settle(held, Used(1))
    found = used(file)
    assert (found.running, found.reserved) == (0, 0)
    requests, tokens, cost = (
        getattr(found.months[0].used, n) for n in ("requests", "tokens", "cost")
    )
    assert requests > 10
    # Without tokens are the request of above, the one that the process held, and one half told.
    assert abs(2 * requests - tokens) <= 6
    assert abs(requests - cost) <= 2


def test_the_mutex_of_a_killed_process_is_free_again(file: Path) -> None:
    ledger = Ledger(file)
    with process(file, "0,0,0,0", TAKING) as other:
        assert line(other) == "taken"
    for _ in range(3):
        held, _ = ledger.admit("k", Limits(), Ask(1, 1))
        assert isinstance(held, Held)
        ledger.settle(held, Used(1))
    # So it is to whoever joins while others live, who leaves it as it is.
    assert isinstance(Ledger(file).admit("k", Limits(), Ask(1, 1))[0], Held)


def test_what_a_mutex_was_before_the_machine_stopped_is_forgotten(file: Path) -> None:
    """Whoever had it then is nobody now, or another: the file says that it is taken."""
    with process(file, "0,0,0,0", TAKING) as other:
        assert line(other) == "taken"
        taken = file.read_bytes()
    Ledger(file).close()
    file.write_bytes(taken)
    held, _ = Ledger(file).admit("k", Limits(), Ask(1, 1))
    assert isinstance(held, Held)


def test_spending_outlives_every_process(file: Path) -> None:
    for _ in range(2):
        ledger = Ledger(file)
        held, _ = ledger.admit("k", Limits(), Ask(1, 1))
        assert isinstance(held, Held)
        ledger.settle(held, Used(1, 7, 500))
        ledger.close()
    assert used(file).months[0].used == Used(2, 14, 1000)
    refused, _ = Ledger(file).admit("k", Limits(budget=1000), Ask(1, 1, cost=1))
    assert isinstance(refused, Refusal)


def test_another_month_begins_with_nothing_and_the_one_before_is_told(file: Path) -> None:
    day = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    clock = [day.timestamp()]
    ledger = Ledger(file, today=lambda: clock[0])
    limits = Limits(budget=100)
    held, _ = ledger.admit("k", limits, Ask(1, 1, cost=90))
    assert isinstance(held, Held)
    ledger.settle(held, Used(1, 2, 90))
    assert isinstance(ledger.admit("k", limits, Ask(1, 1, cost=90))[0], Refusal)
    clock[0] += 1
    assert isinstance(ledger.admit("k", limits, Ask(1, 1, cost=90))[0], Held)
    # A clock that is put back finds what it left.
    clock[0] -= 1
    assert isinstance(ledger.admit("k", limits, Ask(1, 1, cost=90))[0], Refusal)
    told = balances(file, ["k"], datetime(2026, 12, 1, tzinfo=UTC))["k"]
    assert [(month.name, month.used.cost) for month in told.months] == [("2026-11", 90)]
    assert balances(file, ["k"], datetime(2027, 12, 1, tzinfo=UTC))["k"].months == ()


@pytest.mark.parametrize(
    ("written", "month"),
    [("2026-11-30T23:59:59", 11), ("2026-12-01T00:00:00", 12), ("2027-01-01T00:00:00", 13)],
)
def test_a_month_is_one_of_utc(written: str, month: int) -> None:
    at = datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()
    assert Calendar(lambda: at).month() == 2026 * 12 + month - 1


def test_keys_have_accounts_of_their_own_and_the_file_grows(file: Path) -> None:
    """More than there was room for at first: also in the process that did not make the room."""
    one, other = Ledger(file), Ledger(file)
    limits = Limits(requests_per_minute=1)
    for number in range(600):
        assert isinstance(one.admit(f"k{number}", limits, Ask(0, 0))[0], Held)
    for number in (0, 299, 599):
        assert isinstance(other.admit(f"k{number}", limits, Ask(0, 0))[0], Refusal)
    # Room is made on the disk before it is written to: to find none then would end a process.
    assert file.stat().st_blocks * 512 >= file.stat().st_size
    # It still lives, as all can see: what it holds is not given back.
    with process(file, "0,0,1,0", HOLDING) as third:
        assert line(third) == "Held Refusal Refusal"
    refused, _ = other.admit("k0", Limits(concurrent=1), Ask(0, 0))
    assert isinstance(refused, Refusal)


def test_rates_that_no_word_can_hold_never_come_to_bear(file: Path) -> None:
    ledger = Ledger(file)
    limits = Limits(requests_per_minute=10**18, tokens_per_minute=10**18)
    held, rooms = ledger.admit("k", limits, Ask(10, 10))
    assert isinstance(held, Held)
    ledger.settle(held, Used(1, 10**30, 10**30))
    assert left(rooms.tokens) == 10**10 - 20
    assert used(file).months[0].used.cost == 1 << 62


def test_a_machine_that_starts_anew_closes_nothing(file: Path) -> None:
    """Its clock begins at 0 again."""
    limits = Limits(requests_per_minute=60)
    clock = [10**14]
    before = Ledger(file, now=lambda: clock[0])
    for _ in range(60):
        assert isinstance(before.admit("k", limits, Ask(0, 0))[0], Held)
    before.close()
    clock[0] = 5
    after = Ledger(file, now=lambda: clock[0])
    assert isinstance(after.admit("k", limits, Ask(0, 0))[0], Refusal)
    clock[0] += MINUTE // 60
    assert isinstance(after.admit("k", limits, Ask(0, 0))[0], Held)


def test_another_file_of_that_name_is_told_and_left_alone(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"something else altogether")
    with pytest.raises(StateError, match="move the file away"):
        Ledger(file)
    assert file.read_bytes() == b"something else altogether"
    assert used(file) == Balance((), 0, 0)


def test_nobody_waits_long(file: Path) -> None:
    """A request's way through the ledger takes microseconds, also where two processes want it."""
    limits = Limits(10**9, 10**9, 10**6, 10**15)
    ledger = Ledger(file)
    with process(file, "1000000000,1000000000,0,0", LOOPING) as other:
        assert line(other) == "ready"
        times = []
        for _ in range(2000):
            began = time.perf_counter()
            held, _ = ledger.admit("k", limits, Ask(1, 1, cost=1))
            assert isinstance(held, Held)
            ledger.settle(held, Used(1, 2, 1))
            times.append(time.perf_counter() - began)
    assert sorted(times)[1000] < 0.001


def test_balances_can_be_read_while_others_write(file: Path) -> None:
    ledger = Ledger(file)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            held, _ = ledger.admit("k", Limits(), Ask(1, 1))
            assert isinstance(held, Held)
            ledger.settle(held, Used(1, 2, 3))

    writing = threading.Thread(target=write)
    writing.start()
    try:
        seen = [used(file).months[0].used.requests for _ in range(50) if used(file).months]
    finally:
        stop.set()
        writing.join()
    assert seen == sorted(seen)
    assert used(tmp := file.with_name("none"), "k") == Balance((), 0, 0)
    assert not tmp.exists()
