"""What came of a request beside what was to come: every difference as a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.house import Done, House
from tests.faults.row import CHAIN, FIRST, LOCAL, SECOND, Expect, Mode, Row, Step
from tests.simulators.openai_speech import USAGE


def problems(house: House, row: Row, mode: Mode, step: Step, done: Done) -> list[str]:
    """Empty where all is as expected."""
    places = _places(row, step.expect)
    targets = [house.target(row, mode, place) for place in places]
    expect, got = step.expect, done.got
    found = [*got.problems, *_record(expect, done, targets)]
    if expect.cancelled and done.opened > 0:
        found.append("the connection to the vendor is still open")
    if not expect.cancelled:
        found += _answer(row, expect, done, targets, places)
    times = step.times if step.at_once else 1
    wanted = (expect.requests[0] * times, expect.requests[1] * times)
    if done.requests != wanted:
        found.append(f"the simulators saw {done.requests} requests, not {wanted}")
    if SECOND in places[1:] and expect.sent and done.asked is not None:
        *_, turn = done.asked["messages"]
        if turn["role"] != "assistant" or not expect.sent.startswith(turn["content"]):
            found.append(f"the second was not asked to go on: {turn}")
    return found


def attempts(done: Done) -> str:
    """The attempts on one line."""
    return " → ".join(attempt["outcome"] for attempt in done.record.get("attempts", ())) or "none"


def _places(row: Row, expect: Expect) -> tuple[str, ...]:
    """Where each attempt went; what is not said follows the chain, and begins it anew."""
    if expect.at:
        return (*expect.at, *CHAIN[CHAIN.index(expect.at[-1]) + 1 :])[: len(expect.attempts)]
    return tuple(row.chain[n % len(row.chain)] for n in range(len(expect.attempts)))


def _answer(
    row: Row, expect: Expect, done: Done, targets: list[str], places: tuple[str, ...]
) -> Iterator[str]:
    got = done.got
    yield from _same("status", got.status, expect.status)
    yield from _same("error code", got.code, expect.code)
    yield from _same("ended in an error event", got.broken, expect.broken)
    if expect.text is not None:
        yield from _same("text", got.text, expect.text)
    elif not got.text.startswith(expect.sent) or len(got.text) <= len(expect.sent):
        yield f"text: {got.text!r}, not more than {expect.sent!r}"
    if expect.wait is not None:
        low, high = expect.wait
        if not low <= int(got.headers.get("retry-after", -1)) <= high:
            yield f"retry-after: {got.headers.get('retry-after')}, not {low} to {high}"
    if expect.status != 200:
        return
    # The head of a stream is that of the target which began it.
    begun = 0 if expect.sent or expect.broken else -1
    yield from _same("served by", got.headers.get("x-gateway-served-by"), targets[begun])
    yield from _same("failover", got.headers.get("x-gateway-failover"), expect.failover)
    locality = "local" if places[begun] == LOCAL else "cloud"
    if row.vendor == "self" and places[begun] == FIRST:
        locality = "sovereign"
    yield from _same("locality", got.headers.get("x-gateway-locality"), locality)
    if got.usage is not None:
        prompt, completion, total = got.usage
        yield from _same("usage's total", total, prompt + completion)
        counted = (done.record.get("prompt_tokens"), done.record.get("completion_tokens"))
        yield from _same("tokens of the record", counted, (prompt, completion))
        if places[-1] != LOCAL and not expect.sent:
            told = (USAGE["prompt_tokens"], USAGE["completion_tokens"])
            yield from _same("tokens", (prompt, completion), told)
        if expect.sent and completion <= (expect.sent.count(" ") + 1):
            yield f"{completion} tokens, as if what came before the seam were none"


def _record(expect: Expect, done: Done, targets: list[str]) -> Iterator[str]:
    record = done.record
    if not record:
        yield "no audit record"
        return
    made = [(one["target"], one["outcome"]) for one in record["attempts"]]
    yield from _same("attempts", made, list(zip(targets, expect.attempts, strict=True)))
    outcome = "cancelled" if expect.cancelled else "broken" if expect.broken else "served"
    if expect.status == 200:
        yield from _same("outcome of the record", record["outcome"], outcome)
    if outcome == "served" and expect.status == 200:
        yield from _same("the record's target", record["served_by"], targets[-1])
    if expect.sent and not expect.broken:
        seams = [one.get("seam") for one in record["attempts"][:-1]]
        sent = seams[-1]["byte"] if seams and seams[-1] else None
        yield from _same("bytes before the seam", sent, len(expect.sent.encode()))


def _same(what: str, got: object, wanted: object) -> Iterator[str]:
    if got != wanted:
        yield f"{what}: {got!r}, not {wanted!r}"
