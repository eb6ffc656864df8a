"""What the page says of how things are, and how traffic is drawn."""

from __future__ import annotations

import pytest

from gateway.http.console.board import Level, Logged, headline, logged, problems
from gateway.http.console.chart import HEIGHT, chart
from gateway.http.seen import PolicyInForce, ProcessState, Standing, Status
from gateway.http.state import AuditState, ConfigurationState, SovereignState
from tests.console import recorded
from tests.console.recorded import AT, REVISION, model, target, vendor

LOCAL = target("local/smollm2", "local", 1)
FIRST = target("openai/gpt-4o", "cloud", 1)
DENIED = target("openai/gpt-4o", "cloud", None)


def test_all_is_well() -> None:
    said = headline([vendor("openai", Standing.ALLOWED)], [model("gpt-4o", FIRST)])
    assert said.said == "Every model is served by its first choice"
    assert said.beside == "No vendor is banned"
    assert not said.lost


def test_what_is_served_by_another_is_counted() -> None:
    models = [model("gpt-4o", DENIED, LOCAL), model("*", LOCAL)]
    said = headline([vendor("openai", Standing.BANNED, title="OpenAI")], models)
    assert said.said == "Every model is served, 1 of 2 not by first choice"
    assert said.beside == "Banned: OpenAI"


def test_what_is_served_by_nothing_comes_first() -> None:
    names = [f"m{number}" for number in range(6)]
    models = [model("gpt-4o", DENIED, LOCAL), *(model(name, DENIED) for name in names)]
    vendors = [vendor("openai", Standing.BANNED), vendor("mistral", Standing.RISKY)]
    said = headline(vendors, models)
    assert said.said == "Nothing serves m0, m1, m2, m3 and 2 more"
    assert said.beside == "Not by first choice: gpt-4o; banned: Openai; risky: Mistral"
    assert said.lost


def test_a_gateway_without_models_says_so() -> None:
    assert headline([], []).said == "No model is configured"


def _said(status: Status, policy: PolicyInForce, **local: object) -> list[tuple[str, str, str]]:
    found = problems(status, policy, [recorded.local_model(**local)])
    return [(problem.level, problem.what, problem.detail) for problem in found]


def test_a_healthy_gateway_has_no_problem() -> None:
    assert _said(recorded.status(), recorded.in_force()) == []


def test_every_problem_is_told_with_what_it_says_of_itself() -> None:
    process = ProcessState(
        pid=412, policy="f" * 64, configuration="c", problem=None, configuration_problem=None
    )
    server = SovereignState(
        channel="lab", standing="down", detail="connection refused", models=None, seen=AT
    )
    status = recorded.status(
        configuration=ConfigurationState(
            revision="c", loaded_at=AT, problem="gateway.yaml:3:1: no", restart=["server.port"]
        ),
        processes=[process],
        sovereign=[server],
        audit=AuditState(problem="No space left", waiting=1200, lost=1, contents_lost=0),
        background={"keys": "OSError: see the log"},
        offline=True,
    )
    policy = recorded.in_force(problem="10.yaml:4:3: unknown vendor", mode="shadow")
    said = _said(status, policy, state="failed", detail="exit status -9")
    kept = REVISION[:12]
    assert said == [
        (Level.WRONG, f"The newest policy is not in force: {kept} still is", policy.problem),
        (Level.WRONG, "The newest configuration is not in force", "gateway.yaml:3:1: no"),
        (Level.WRONG, "The audit log cannot be written", "No space left; 1,200 records waiting"),
        (
            Level.WRONG,
            "1 record of the audit log lost",
            "Since this process started: there was no room for them.",
        ),
        (
            Level.WRONG,
            "Work in the background has failed: keys",
            "OSError: see the log",
        ),
        (Level.WRONG, "Process 412 still has policy ffffffffffff", "It does not say why."),
        (Level.WRONG, "The local model smollm2 has failed", "exit status -9"),
        (Level.WRONG, "Our own server lab is down", "connection refused"),
        (
            Level.WRONG,
            "The policy is in shadow mode",
            "Verdicts are recorded and nothing is held back: a ban sends nothing elsewhere.",
        ),
        (
            Level.ODD,
            "The gateway is offline because its configuration says so",
            "Only local and sovereign targets serve.",
        ),
        (Level.ODD, "Changes of the configuration wait for a restart", "server.port"),
    ]


@pytest.mark.parametrize("state", ["starting", "ready", "unloaded", "stopped"])
def test_a_model_that_is_wanted_so_is_no_problem(state: str) -> None:
    assert _said(recorded.status(), recorded.in_force(), state=state) == []


def test_bars_are_stacked_and_the_highest_fills_the_box() -> None:
    drawn = chart(recorded.traffic())
    assert drawn.top == 16
    assert drawn.width == 150
    assert drawn.totals == {"cloud": 129, "sovereign": 16, "local": 39, "refused": 4, "failed": 3}
    highest = drawn.bars[13]
    assert [(piece.place, piece.count) for piece in highest.pieces] == [
        ("sovereign", 1),
        ("local", 13),
        ("refused", 2),
    ]
    for bar in drawn.bars:
        bottom = HEIGHT
        for piece in bar.pieces:
            assert piece.y + piece.height == pytest.approx(bottom, abs=0.02)
            bottom = piece.y
    assert highest.pieces[-1].y == pytest.approx(0, abs=0.02)


def test_no_traffic_is_an_empty_box() -> None:
    drawn = chart(recorded.traffic().model_copy(update={"moments": []}))
    assert (drawn.bars, drawn.top, drawn.width) == ([], 1, 10)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({}, Logged("", "", "cancelled", "", "")),
        (
            {"kind": "request", "seq": 7, "at": "T", "model": "m", "outcome": "served"},
            Logged("T", "7", "served", "m", ""),
        ),
        (
            {"kind": "request", "model": "m", "outcome": "served", "served_by": "local/x"},
            Logged("", "", "served", "m", "by local/x"),
        ),
        (
            {"kind": "event", "event": "ban", "subject": "openai", "actor": "a", "reason": "r"},
            Logged("", "", "ban", "openai", "by a: r"),
        ),
        (
            {"kind": "event", "event": "start", "reason": "r"},
            Logged("", "", "start", "", "r"),
        ),
        (
            {"kind": "event", "event": "policy.changed", "subject": "0f" * 32},
            Logged("", "", "policy.changed", "0f0f0f0f0f0f", ""),
        ),
        ({"kind": "checkpoint", "key": "9f86"}, Logged("", "", "checkpoint", "9f86", "signed")),
    ],
)
def test_lines_of_the_log_are_told_in_a_few_words(line: dict[str, object], said: Logged) -> None:
    assert logged(line) == said
