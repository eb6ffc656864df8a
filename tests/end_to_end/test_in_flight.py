"""A ban that comes while a vendor is answering: the answer ends, or is cut, as the policy says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest

from tests.end_to_end.running import POLICY, RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

CUT = f"{POLICY}in_flight: cut\n"
PATIENT = {
    f"{wait}_timeout: 20": f"{wait}_timeout: 60" for wait in ("first_token", "answer", "idle")
}
WORDS = tuple(f" word{n}" for n in range(12))


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


def patient(vendor: VendorSimulator) -> str:
    text = configuration(vendor.url, models="  only-local: {targets: [local/smollm2]}")
    for short, long in PATIENT.items():
        text = text.replace(short, long)
    return text


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator
) -> Iterator[RunningGateway]:
    """One that waits long for its vendor, so that only a ban can end an answer."""
    folder = tmp_path_factory.mktemp("gateway")
    with RunningGateway(folder, patient(vendor), policy=CUT) as running:
        yield running


@pytest.fixture(autouse=True)
def as_it_was(gateway: RunningGateway) -> Iterator[None]:
    policy = gateway.revisions()
    yield
    (gateway.policies / "10-vendors.yaml").write_text(CUT)
    (gateway.policies / "90-toggles.yaml").unlink(missing_ok=True)
    gateway.back_to(policy)


@contextmanager
def asking(
    gateway: RunningGateway, vendor: VendorSimulator, **fields: Any
) -> Iterator[Future[Any]]:
    """A plain request that has reached the vendor."""
    before = len(vendor.requests)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(gateway.ask, **fields)
        until(lambda: len(vendor.requests) > before)
        yield asked


def ban(gateway: RunningGateway) -> None:
    done = gateway.run("ban", "openai", "--reason", "drill")
    assert done.returncode == 0, done.stderr


def test_a_plain_answer_that_is_waited_for_comes_from_the_next_target(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """The app sees one good answer; the record says that policy cut the first attempt."""
    vendor.behave("stall")
    with asking(gateway, vendor) as asked:
        ban(gateway)
        status, body, headers = asked.result(30)
    assert status == 200, body
    assert headers["x-gateway-served-by"] == "local/smollm2"
    assert headers["x-gateway-failover"] == "policy"
    record = gateway.last_record()
    assert [(a["target"], a["outcome"]) for a in record["attempts"]] == [
        ("openai/gpt-4o", "policy_cut"),
        ("local/smollm2", "served"),
    ]
    assert record["policy"] == headers["x-gateway-policy"]
    until(lambda: vendor.open == 0)


def test_with_nothing_left_the_app_hears_of_the_ban(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """Not that a target is unhealthy: 451, with the rule."""
    vendor.behave("stall")
    with asking(gateway, vendor, model="only-cloud") as asked:
        ban(gateway)
        status, body, _ = asked.result(30)
    assert (status, body["error"]["code"]) == (451, "vendor_blocked")
    assert "denied by rule ban-openai" in body["error"]["message"]


def streamed(
    gateway: RunningGateway, pieces: list[str], model: str = "gpt-4o", **fields: Any
) -> str:
    """Read a stream into ``pieces``; how it ended."""
    stream = gateway.sdk.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Count from one to a thousand."}],
        max_tokens=60,
        temperature=0,
        stream=True,
        extra_body=fields,
    )
    try:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                pieces.append(chunk.choices[0].delta.content)
    except openai.APIError as error:
        return str(error.code or repr(error.__cause__ or error))
    return "finished"


def stream_under_a_ban(gateway: RunningGateway, vendor: VendorSimulator) -> tuple[str, list[str]]:
    """How a stream ended that was banned once its first words had come, and what came. The vendor
    says the rest when the ban is in force.
    """
    rest = threading.Event()
    vendor.behave("answer", words=WORDS, ahead=4, released=rest)
    pieces: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(streamed, gateway, pieces)
        try:
            until(lambda: pieces)
            ban(gateway)
        finally:
            rest.set()
        return reading.result(30), pieces


def test_a_stream_is_cut_and_another_target_goes_on(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """What had been sent stays, and local goes on with it; the vendor's connection is closed."""
    ended, pieces = stream_under_a_ban(gateway, vendor)
    assert ended == "finished"
    until(lambda: vendor.open == 0)
    record = gateway.last_record()
    cut, rest = record["attempts"]
    sent = pieces[: cut["seam"]["token"]]
    assert 0 < len(sent) < len(WORDS)
    assert sent == list(WORDS[: len(sent)])
    assert (record["outcome"], record["served_by"]) == ("served", "local/smollm2")
    assert (cut["outcome"], rest["outcome"]) == ("policy_cut", "served")
    assert cut["seam"] == {"byte": len("".join(sent)), "token": len(sent)}
    assert record["sent_characters"] == len("".join(pieces))


def test_a_stream_is_let_to_its_end_where_policy_says_finish(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """The default: whole, from the vendor; the next request does not reach it."""
    with gateway.another_policy():
        (gateway.policies / "10-vendors.yaml").write_text(POLICY)
    ended, pieces = stream_under_a_ban(gateway, vendor)
    assert (ended, pieces) == ("finished", list(WORDS))
    before = len(vendor.requests)
    assert gateway.ask()[2]["x-gateway-served-by"] == "local/smollm2"
    assert len(vendor.requests) == before


def test_a_rule_that_begins_by_its_date_cuts_too(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """The policy means nobody yet, and the request is on its way: the date passes."""
    vendor.behave("stall")
    with asking(gateway, vendor) as asked:
        begins = datetime.now(UTC) + timedelta(seconds=3)
        rule = (
            "rules:\n  - {id: from-now-on, match: {vendor: [openai]}, verdict: deny, "
            f"from: {begins.isoformat()}}}\n"
        )
        (gateway.policies / "10-vendors.yaml").write_text(CUT + rule)
        status, _, headers = asked.result(30)
    assert status == 200
    assert headers["x-gateway-failover"] == "policy"
    assert timedelta(0) <= datetime.now(UTC) - begins < timedelta(seconds=20)


def test_a_stream_without_content_yet_comes_from_the_next_target(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """Its role had come from the vendor; the app sees one whole stream all the same."""
    vendor.behave("stall_mid_stream", after=0)
    before = len(vendor.requests)
    pieces: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(streamed, gateway, pieces)
        until(lambda: len(vendor.requests) > before)
        ban(gateway)
        assert reading.result(60) == "finished"
    assert pieces
    record = gateway.last_record()
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["policy_cut", "served"]
    until(lambda: vendor.open == 0)
    assert len(vendor.requests) == before + 1


def test_weights_that_are_banned_stop_in_the_midst_of_an_answer(gateway: RunningGateway) -> None:
    """A local target is cut as a vendor's is."""
    pieces: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        endless = {"ignore_eos": True, "max_tokens": 1500}
        reading = pool.submit(streamed, gateway, pieces, "only-local", **endless)
        until(lambda: pieces)
        (gateway.policies / "10-vendors.yaml").write_text(
            f"{CUT}rules:\n  - {{id: no-weights, match: {{vendor: [huggingface], "
            "roles: [weights]}, verdict: deny}\n"
        )
        assert reading.result(30) == "stream_interrupted"
    record = gateway.last_record()
    assert (record["outcome"], record["attempts"][0]["outcome"]) == ("broken", "policy_cut")


def test_every_worker_process_cuts_what_it_runs(
    tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator
) -> None:
    """Eight answers that are waited for in two processes: all come from the next target."""
    vendor.behave("stall")
    before = len(vendor.requests)
    folder = tmp_path_factory.mktemp("two")
    flags = ("--workers", "2")
    with (
        RunningGateway(folder, patient(vendor), policy=CUT, flags=flags) as two,
        ThreadPoolExecutor(8) as pool,
    ):
        asked = [pool.submit(two.ask) for _ in range(8)]
        until(lambda: len(vendor.requests) >= before + 8)
        ban(two)
        answers = [one.result(60) for one in asked]
    assert {headers["x-gateway-failover"] for _, _, headers in answers} == {"policy"}
    assert {status for status, _, _ in answers} == {200}
    until(lambda: vendor.open == 0)
    assert len(vendor.requests) == before + 8


def test_who_is_not_meant_by_the_rule_is_not_cut(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """A rule for another team changes nothing for this caller's answer."""
    answer = threading.Event()
    vendor.behave("answer", released=answer)
    with asking(gateway, vendor) as asked:
        try:
            with gateway.another_policy():
                (gateway.policies / "10-vendors.yaml").write_text(
                    f"{CUT}rules:\n  - {{id: red-team, match: {{vendor: [openai]}}, "
                    "verdict: deny, when: {team: [red]}}\n"
                )
        finally:
            answer.set()
        status, _, headers = asked.result(30)
    assert (status, headers["x-gateway-served-by"]) == (200, "openai/gpt-4o")
