"""Rows about what a vendor says: statuses, errors within an answer, answers that are none, and
what is remembered of each.
"""

from __future__ import annotations

from tests.faults.row import (
    FIRST,
    Does,
    Expect,
    Row,
    Step,
    broken,
    course,
    does,
    goes_on,
    left_out,
    local,
    refused,
    row,
    second,
    served,
    with_wait,
)

ANSWER = does("answer")
REGION = "unsupported_country_region_territory"
_LIMITED = ("rate_limited", "resting")
_BLOCKED = ("vendor_blocked", "vendor_blocked")


def _then(first: Does, kind: str, afterwards: str) -> tuple[Step, ...]:
    """The first target fails so, and well as it is afterwards it is left alone for that reason."""
    return (
        Step(first, second(kind)),
        Step(ANSWER, left_out(afterwards)),
        Step(ANSWER, left_out(afterwards)),
    )


def _breaker(first: Does, expect: Expect) -> tuple[Step, ...]:
    """Five in a row open the breaker."""
    return (Step(first, expect, times=5), Step(ANSWER, left_out("breaker_open"), times=2))


STATUSES: tuple[Row, ...] = (
    *(
        row(f"answers {status}", does(status), second("server_error"))
        for status in (500, 502, 503, 504, 529, 408)
    ),
    row("both answer 503", does(503), local("server_error", "server_error"), then=does(503)),
    course(
        "a burst of four 5xx",
        Step(does("burst", status=503, times=4), second("server_error"), times=4),
        Step(ANSWER, served()),
    ),
    course("five 503 open the breaker", *_breaker(does(503), second("server_error"))),
    course("429 with Retry-After in seconds", *_then(does(429, retry_after="60"), *_LIMITED)),
    course("429 with Retry-After as a date", *_then(does(429, retry_after_in=60), *_LIMITED)),
    course("429 without Retry-After", *_then(does(429), *_LIMITED)),
    course(
        "429 with Retry-After in milliseconds, and after that",
        Step(does(429, retry_after_ms="700"), second("rate_limited")),
        Step(ANSWER, left_out("resting")),
        Step(ANSWER, served(), pause=1.0),
    ),
    course(
        "429 is no failure that the breaker counts",
        Step(does(429, retry_after_ms="1"), second("rate_limited"), times=6),
        Step(ANSWER, served(), pause=0.1),
    ),
    course("401", *_then(does(401), "unauthorized", "misconfigured")),
    course("403", *_then(does(403), "unauthorized", "misconfigured")),
    course("403 that blocks the region", *_then(does(403, code=REGION), *_BLOCKED)),
    course(
        "403 that blocks the account",
        *_then(does(403, code="account_deactivated"), *_BLOCKED),
    ),
    course("402", *_then(does(402), *_BLOCKED)),
    course("451", *_then(does(451), *_BLOCKED)),
    row("400 goes back", does(400), refused(400, "invalid_value", "request_fault")),
    row("404 goes back", does(404), refused(404, "model_not_found", "request_fault")),
    row("413 goes back", does(413), refused(413, "", "request_fault")),
    row("422 goes back", does(422), refused(422, "", "request_fault")),
    row(
        "400 for a context that is too short",
        does(400, code="context_length_exceeded"),
        second("context_overflow"),
    ),
)  # fmt: skip

ANSWERS: tuple[Row, ...] = (
    *(
        row(
            f"an error in the answer, {shape}",
            does("error_event", shape=shape),
            plain=second("malformed"),
            stream=goes_on("malformed" if shape == "response.failed" else "stream_error"),
            says=says,
        )
        for shape, says in (
            ("openai", ""),
            ("text", ""),
            ("status", "LiteLLM 26913"),
            ("code", ""),
            ("openrouter", ""),
            ("response.failed", "LiteLLM 36768"),
        )
    ),
    *(
        row(
            f"an error before any content, {shape}",
            does("error_event", shape=shape, after=0),
            stream=second("malformed" if shape == "response.failed" else "stream_error"),
            says=says,
        )
        for shape, says in (
            ("openai", "Bifrost 5395"),
            ("text", ""),
            ("status", ""),
            ("openrouter", ""),
            ("response.failed", "LiteLLM 36768"),
        )
    ),
    row(
        "one broken event in a stream that goes on",
        does("broken_event"),
        plain=second("malformed"),
        stream=goes_on("malformed"),
    ),
    row(
        "a broken event before any content",
        does("broken_event", after=0),
        stream=second("malformed"),
    ),
    row("no choices", does("no_choices"), second("malformed")),
    row("usage twice", does("usage_twice"), served()),
    row("the answer names a banned model", does("other_model"), second("answered_by_denied")),
    row(
        "a stream names a banned model later",
        does("other_model", late=True),
        stream=goes_on("answered_by_denied"),
    ),
    row(
        "half a call of a function, then cut: nobody can go on",
        does("break_off", content={"tool_calls": [
            {"index": 0, "id": "call_1", "type": "function",
             "function": {"name": "f", "arguments": "{"}}
        ]}, after=0),
        stream=broken("truncated", ""),
    ),
    row(
        "several answers at once: nobody can go on",
        does("break_off"),
        stream=broken("truncated"),
        fields={"n": 2},
    ),
)  # fmt: skip

_ALONE = (FIRST,)
_NONE = "no_healthy_target"
_TWICE = refused(503, _NONE, "server_error", "server_error", requests=(2, 0))

LEFT: tuple[Row, ...] = (
    row("nobody else, and it refuses", does("refuse"), refused(
        503, _NONE, "refused", "refused", requests=(0, 0)
    ), chain=_ALONE),
    row("nobody else, and it breaks off", does("break_off"), stream=Expect(
        # It is asked once more, and goes on with its own answer; then there is an end to it.
        ("truncated", "truncated"), at=(FIRST, FIRST), code="stream_interrupted", broken=True,
        sent="vendor answer", text="vendor answer" * 2, requests=(2, 0),
    ), chain=_ALONE),
    course("nobody else, and it is banned", Step(ANSWER, refused(
        451, "vendor_blocked", requests=(0, 0)
    )), chain=_ALONE, vendor="deepseek"),
    course(
        "nobody else, and it limits the rate",
        Step(does(429, retry_after="60"), with_wait(refused(503, _NONE, "rate_limited"), 55, 60)),
        Step(ANSWER, with_wait(refused(503, _NONE, requests=(0, 0)), 50, 60), times=3),
        chain=_ALONE,
    ),
    course(
        "nobody else, and it fails five times",
        Step(does(503), _TWICE, times=2),
        Step(does(503), refused(503, _NONE, "server_error")),
        Step(ANSWER, with_wait(refused(503, _NONE, requests=(0, 0)), 20, 36), times=3),
        chain=_ALONE,
        says="LiteLLM 40405",
    ),
    course("the app goes away", Step(
        does("answer", words=("word ",) * 40, pause=0.1),
        Expect(("cancelled",), text="", cancelled=True), leaves=True,
    ), Step(ANSWER, served())),
)  # fmt: skip
