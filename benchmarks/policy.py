"""How long a decision takes: 200 vendors, 1,000 rules, a request with five targets.

    python benchmarks/policy.py

Prints medians of several rounds. `met` is a target that the policy has decided about before (all
requests but the first after a reload), `new` one that it has not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.domain.decision import Labels, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.policy.compile import Policy, compile_policy
from gateway.policy.evaluate import evaluate
from gateway.policy.rules import (
    DesignationMatch,
    Match,
    PolicyDocument,
    Rule,
    Waiver,
    When,
    vendor_rule,
)
from gateway.vendors.designations import Designation, Status, StatusChange

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
VENDORS = [f"vendor-{number}" for number in range(200)]
COUNTRIES = ["US", "FR", "DE", "CN", "CA", "GB", "JP", "KR"]


def rules() -> list[Rule]:
    """200 lines of ``vendors:`` and 800 general rules of all kinds."""
    verdicts = [Verdict.ALLOW, Verdict.ALLOW, Verdict.RISKY, Verdict.DENY]
    made = [vendor_rule(v, verdicts[i % 4], "a.yaml:1") for i, v in enumerate(VENDORS)]
    for number in range(800):
        vendor = frozenset({VENDORS[number % 200], VENDORS[(number * 7) % 200]})
        match = [
            Match(vendor=vendor),
            Match(vendor=vendor, locality=frozenset({Locality.CLOUD})),
            Match(vendor=vendor, model=(f"model-{number}-*",)),
            Match(jurisdiction=frozenset({COUNTRIES[number % 8]})),
            Match(channel=frozenset({VENDORS[number % 200]})),
            Match(model=(f"model-{number}*", f"*/model-{number}")),
            Match(designation=DesignationMatch(scope=frozenset({f"scope-{number % 20}"}))),
            Match(locality=frozenset({Locality.SOVEREIGN})),
        ][number % 8]
        when = When(team=frozenset({f"team-{number % 30}"})) if number % 3 else When()
        made.append(
            Rule(
                f"rule-{number:04}",
                match,
                Verdict.DENY if number % 5 else Verdict.RISKY,
                when,
                start=NOW - DAY if number % 2 else None,
                end=NOW + DAY if number % 4 == 1 else None,
                waivable=number % 10 == 0,
            )
        )
    return made


def policy() -> Policy:
    waivers = tuple(
        Waiver(f"W-{n}", f"rule-{n * 10:04}", VENDORS[n], "o", "a", "r", NOW - DAY, NOW + DAY)
        for n in range(40)
    )
    facts = [
        Designation(
            f"fact-{n}",
            VENDORS[n],
            "an agency",
            frozenset({f"scope-{n % 20}"}),
            (StatusChange(NOW - DAY, Status.ANNOUNCED), StatusChange(NOW, Status.IN_FORCE)),
            "https://example.org/",
            NOW.date(),
        )
        for n in range(60)
    ]
    return compile_policy([PolicyDocument("a.yaml", rules=tuple(rules()), waivers=waivers)], facts)


def identity(number: int) -> Identity:
    channel, developer = VENDORS[number * 3], VENDORS[number * 5 + 1]
    parties = (
        Party(Role.CHANNEL, channel, frozenset({"US"})),
        Party(Role.DEVELOPER, developer, frozenset({COUNTRIES[number % 8]})),
        Party(Role.LINEAGE, VENDORS[number + 50], frozenset({"US"})),
    )
    model = f"model-{number}"
    return Identity(channel, developer, model, (VENDORS[number + 50],), Locality.CLOUD, parties)


def timed(step: Callable[[], object], times: int, rounds: int = 15) -> str:
    """Median and range over the rounds, in microseconds a call."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            step()
        taken.append((time.perf_counter() - began) / times * 1e6)
    return f"{statistics.median(taken):8.1f} µs  ({min(taken):.1f} to {max(taken):.1f})"


def main() -> None:
    began = time.perf_counter()
    compiled = policy()
    seconds = time.perf_counter() - began
    targets = [(f"channel-{n}/model-{n}", identity(n)) for n in range(5)]
    who = Labels(team="team-3", app="app", data_class="cui", tags=frozenset({"batch"}))

    def request() -> None:
        for target, behind in targets:
            evaluate(compiled, target, behind, who, NOW)

    strangers = iter(range(10**9))

    def first_requests() -> None:
        number = next(strangers)
        for target, behind in targets:
            evaluate(compiled, f"{target}-{number}", behind, who, NOW)

    print(f"{len(compiled.rules)} rules, compiled in {seconds * 1e3:.1f} ms")
    print(f"five targets, met  {timed(request, 2000)}")
    print(f"five targets, new  {timed(first_requests, 50)}")


if __name__ == "__main__":
    main()
