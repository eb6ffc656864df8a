"""The functions that serve, timed on policies, targets and catalogs of any size."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.policy.made import catalog, policy_files
from gateway.config.documents import parse_document
from gateway.config.policy_files import PolicyLoader
from gateway.config.policy_rules import policy_document
from gateway.config.policy_schema import PolicyFile
from gateway.config.schema import validate
from gateway.config.shipped import load_catalog
from gateway.config.sources import POLICIES, Sources
from gateway.domain.decision import Labels
from gateway.domain.identity import ChannelFacts
from gateway.domain.target import Target
from gateway.errors import StartupError
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.diff import diff
from gateway.policy.evaluate import evaluate
from gateway.vendors.catalog import Catalog
from gateway.vendors.resolve import resolve
from tests.vendors.price_map import Row, channel, rows

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WHO = Labels(team="bench", app="checkout", environment="prod", data_class="public")
MODELS = ("gpt-4o", "o3-mini", "gpt-4.1", "gpt-4o-mini", "gpt-5")
OPENAI = ChannelFacts("openai", "openai", "openai")
ROUNDS = 5


def timed(step: Callable[[], object], seconds: float) -> list[float]:
    """Microseconds of a call, of each round: in all, as many calls as are made in that time."""
    found = []
    for _ in range(ROUNDS):
        calls, began = 0, time.perf_counter()
        while (taken := time.perf_counter() - began) < seconds / ROUNDS or not calls:
            step()
            calls += 1
        found.append(taken / calls * 1e6)
    return found


def targets(count: int) -> list[Target]:
    """Targets of one channel, each with a model of another name."""
    known = load_catalog()
    names = [f"{MODELS[number % len(MODELS)]}-{number}" for number in range(count)]
    return [Target("openai", name, resolve(name, OPENAI, known)) for name in names]


def loading(files: dict[str, str]) -> Callable[[], Policy]:
    """Loads the policy of these files, as a gateway does."""
    known = load_catalog()
    loader = PolicyLoader(known, lambda target: resolve(target, OPENAI, known))
    raw = {f"{POLICIES}/{name}": text.encode() for name, text in files.items()}
    return lambda: loader.load(Sources(Path("policies"), Path("designations")), raw)


def loaded(files: dict[str, str]) -> Policy:
    return loading(files)()


def load_steps(files: dict[str, str]) -> tuple[Policy, dict[str, float]]:
    """The policy of these files; milliseconds of each step of loading it, and of all together."""
    began = time.perf_counter()
    documents = [parse_document(text.encode(), name) for name, text in files.items()]
    parsed = time.perf_counter()
    written = [policy_document(one, validate(one, PolicyFile)) for one in documents]
    validated = time.perf_counter()
    compile_policy(written)
    compiled = time.perf_counter()
    load = loading(files)
    ready = time.perf_counter()
    policy = load()
    return policy, {
        "parse_ms": (parsed - began) * 1e3,
        "validate_ms": (validated - parsed) * 1e3,
        "compile_ms": (compiled - validated) * 1e3,
        "load_ms": (time.perf_counter() - ready) * 1e3,
    }


def decide(policy: Policy, asked: Sequence[Target], seconds: float) -> list[float]:
    """Microseconds of a decision on targets that the policy has decided about before."""
    turn = itertools.cycle(asked)
    for target in asked:
        evaluate(policy, target.id, target.identity, WHO, NOW)

    def step() -> None:
        target = next(turn)
        evaluate(policy, target.id, target.identity, WHO, NOW)

    return timed(step, seconds)


def decide_first(policy: Policy, seconds: float) -> list[float]:
    """Microseconds of the first decision on a target after a policy was loaded."""
    target = targets(1)[0]
    numbers = itertools.count()

    def step() -> None:
        evaluate(policy, f"openai/{next(numbers)}", target.identity, WHO, NOW)

    return timed(step, seconds)


def compare(old: Policy, count: int, asked: Sequence[Target], seconds: float) -> dict[str, Any]:
    """Milliseconds of telling, of one target, what a ban changes for whom: the median of as many
    of the targets as there is time for, or the code of why it was refused.
    """
    new = loaded(policy_files(count, serves="deny"))
    taken: list[float] = []
    began = time.perf_counter()
    for target in asked:
        at = time.perf_counter()
        try:
            diff(old, new, [target], NOW - timedelta(days=1))
        except StartupError as error:
            return {"refused": error.code}
        taken.append((time.perf_counter() - at) * 1e3)
        if time.perf_counter() - began > seconds:
            break
    return {"diff_ms": statistics.median(taken)}


def compare_all(policies: tuple[Policy, Policy], asked: Sequence[Target]) -> float:
    """Milliseconds of the same over all targets at once."""
    began = time.perf_counter()
    changes = diff(*policies, asked, NOW)
    taken = (time.perf_counter() - began) * 1e3
    assert sum(len(change.targets) for change in changes) >= len(asked)
    return taken


def resolve_ids(known: Catalog, ids: Sequence[Row]) -> list[float]:
    """Microseconds of telling who is behind each of the ids, ascending."""
    found = []
    for row in ids:
        facts = channel(row.provider, known)
        name = row.id.removeprefix(f"{facts.name}/")
        each = []
        for _ in range(3):
            began = time.perf_counter()
            resolve(name, facts, known)
            each.append((time.perf_counter() - began) * 1e6)
        found.append(statistics.median(each))
    return sorted(found)


def resolve_rows(counts: Sequence[int], step: int) -> list[dict[str, Any]]:
    """What resolving takes as the families of the catalog grow, from the shipped ones on, over
    every so manyth id of litellm's map.
    """
    made = []
    ids = rows()[::step]
    for known in (catalog(count) for count in counts):
        taken = resolve_ids(known, ids)
        made.append(
            {
                "families": len(known.families),
                "ids": len(taken),
                "resolve_us": statistics.median(taken),
                "resolve_p99_us": taken[int(0.99 * (len(taken) - 1))],
            }
        )
    return made
