"""A replay says who would have been served by whom, and nothing else is changed than policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gateway.audit.record import AttemptRecord, JudgedTarget, Record
from gateway.domain.decision import Labels, Verdict
from gateway.domain.identity import SELF, Identity, Locality, Party, Role
from gateway.domain.target import Target
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import Match, PolicyDocument, Rule, vendor_rule
from gateway.readiness.simulate import DENIED, UNSERVED, Row, Simulation, simulate

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def cloud(vendor: str) -> Target:
    parties = (Party(Role.CHANNEL, vendor), Party(Role.DEVELOPER, vendor))
    return Target(vendor, "m", Identity(vendor, vendor, "m", (), Locality.CLOUD, parties))


OPENAI, MISTRAL = cloud("openai"), cloud("mistral")
LOCAL = Target(
    "local",
    "smollm2",
    Identity(SELF, "huggingface", "s", (), Locality.LOCAL, (Party(Role.CHANNEL, SELF),)),
)


def policy(*rules: Rule, **verdicts: str) -> Policy:
    lines = (vendor_rule(v, Verdict(verdict), "a") for v, verdict in verdicts.items())
    return compile_policy([PolicyDocument("a", rules=(*rules, *lines))])


OLD = policy(openai="allow", mistral="allow")
BAN = policy(openai="deny", mistral="allow")


def record(
    *targets: Target,
    served: Target | None = OPENAI,
    left_out: dict[str, str] | None = None,
    failed: tuple[str, ...] = (),
    minute: int = 0,
    **fields: Any,
) -> Record:
    """A request of the app ``shop`` as it is written down under the old policy."""
    at = NOW + timedelta(minutes=minute)
    labels = Labels(app="shop")
    judged = tuple(
        JudgedTarget.of(
            target,
            evaluate(OLD, target.id, target.identity, labels, at),
            (left_out or {}).get(target.id, ""),
        )
        for target in targets or (OPENAI, LOCAL)
    )
    attempts = [AttemptRecord(id, "server_error", 100_000, OLD.revision) for id in failed]
    if served is not None:
        attempts.append(AttemptRecord(served.id, "served", 100_000, OLD.revision))
    return Record(
        "r",
        at,
        "chat/completions",
        "gpt",
        labels=labels,
        policy=OLD.revision,
        targets=judged,
        attempts=attempts,
        served_by=served.id if served else None,
        **{"prompt_tokens": 100, "completion_tokens": 10, **fields},
    )


def replay(under: Policy, *records: Record, **more: Any) -> Simulation:
    return simulate(records, under, **{"last_resort": lambda _: False, **more})


def where(result: Simulation) -> dict[tuple[str, str], int]:
    return {(row.old, row.new): one.requests for row, one in result.rows.items()}


def test_under_the_policy_of_the_log_nothing_moves_and_all_is_decided_again() -> None:
    """The check that an auditor makes."""
    result = replay(OLD, record(), record(OPENAI, MISTRAL, LOCAL))
    assert where(result) == {("openai/m", "openai/m"): 2}
    assert (result.moved.requests, result.recomputed, result.differing) == (0, 2, [])


def test_a_record_that_was_tampered_with_is_told() -> None:
    """It says that another rule decided than its policy's."""
    forged = record()
    one = forged.targets[0]
    forged.targets = (msgspec.structs.replace(one, verdict=Verdict.DENY), *forged.targets[1:])
    assert replay(OLD, forged).differing == ["request r, openai/m"]
    assert replay(BAN, forged).recomputed == 0


def test_what_a_drill_took_away_is_there_again() -> None:
    """A replay is about policy, of which a drill is no part."""
    drilled = record(served=LOCAL, left_out={OPENAI.id: "drill"}, drill="d1")
    assert where(replay(OLD, drilled)) == {("local/smollm2", "openai/m"): 1}
    assert where(replay(BAN, drilled)) == {("local/smollm2", "local/smollm2"): 1}


def test_a_ban_moves_requests_to_the_next_target_and_tokens_to_local() -> None:
    """By minute, with the busiest one by the time that its work takes."""
    result = replay(
        BAN,
        record(),
        record(minute=1, prompt_tokens=5000),
        record(minute=1),
        record(OPENAI, MISTRAL, LOCAL, minute=3),
    )
    assert where(result) == {("openai/m", "local/smollm2"): 3, ("openai/m", "mistral/m"): 1}
    assert (result.moved.requests, result.denied.requests, result.minutes) == (4, 0, 3)
    assert dict(result.apps) == {True: 1}
    busiest = result.local["local/smollm2"].busiest(lambda work: float(work.tokens))
    assert (busiest.requests, busiest.prompt_tokens, busiest.completion_tokens) == (2, 5100, 20)
    assert result.rows[Row("shop", "gpt", "openai/m", "mistral/m")].tokens == 110


def test_with_nothing_else_a_request_would_be_denied() -> None:
    """And is counted as such; one that was denied before is no news."""
    denied = record(OPENAI, served=None, left_out={"openai/m": "policy"}, prompt_tokens=None)
    result = replay(BAN, record(OPENAI), denied)
    assert where(result) == {("openai/m", DENIED): 1, (DENIED, DENIED): 1}
    assert (result.denied.requests, result.without_tokens) == (1, 1)


def test_what_was_in_the_way_then_is_in_the_way_again() -> None:
    """A missing key and a failed attempt are no matter of policy."""
    no_key = record(OPENAI, MISTRAL, LOCAL, left_out={"mistral/m": "no_credentials"})
    failed = record(MISTRAL, OPENAI, LOCAL, failed=("mistral/m",))
    all_failed = record(OPENAI, served=None, failed=("openai/m",))
    result = replay(BAN, no_key, failed, all_failed)
    assert where(result) == {("openai/m", "local/smollm2"): 2, (UNSERVED, DENIED): 1}
    assert where(replay(OLD, failed)) == {("openai/m", "openai/m"): 1}
    assert where(replay(OLD, all_failed)) == {(UNSERVED, UNSERVED): 1}


def test_a_lifted_ban_does_not_bring_back_a_channel_without_a_key() -> None:
    """The record says only that policy left it out; the configuration knows of the key."""
    banned = record(OPENAI, LOCAL, served=LOCAL, left_out={"openai/m": "policy"})
    assert where(replay(OLD, banned)) == {("local/smollm2", "openai/m"): 1}
    lacking = replay(OLD, banned, without_credentials={"openai"})
    assert where(lacking) == {("local/smollm2", "local/smollm2"): 1}
    assert where(replay(OLD, record(), without_credentials={"openai"})) == {
        ("openai/m", "openai/m"): 1
    }


def test_a_risky_target_is_used_only_where_its_model_says_so() -> None:
    """As the plan of a request does it."""
    risky = policy(openai="risky")
    assert where(replay(risky, record(OPENAI))) == {("openai/m", DENIED): 1}
    resort = replay(risky, record(OPENAI), last_resort=lambda model: model == "gpt")
    assert where(resort) == {("openai/m", "openai/m"): 1}


def test_all_can_be_replayed_as_of_one_instant() -> None:
    """A rule that begins later than the log."""
    later = NOW + timedelta(days=9)
    ban = Rule("later", Match(vendor=frozenset({"openai"})), Verdict.DENY, start=later)
    dated = policy(ban, openai="allow")
    assert where(replay(dated, record())) == {("openai/m", "openai/m"): 1}
    assert where(replay(dated, record(), at=later)) == {("openai/m", "local/smollm2"): 1}


def test_what_the_gateway_asked_by_itself_is_not_replayed() -> None:
    """It is nobody's traffic, whatever it was for."""
    asked = [record(LOCAL, served=LOCAL, origin=why) for why in ("canary", "drill", "eval")]
    result = simulate([*asked, record()], BAN, last_resort=lambda _: False)
    assert result.total.requests == 1
    assert result.rows.keys() == {Row("shop", "gpt", "openai/m", "local/smollm2")}
