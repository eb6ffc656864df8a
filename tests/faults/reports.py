"""Rows that are the field's own reports on other gateways, by the name of the report."""

from __future__ import annotations

from tests.faults.row import (
    LOCAL,
    SECOND,
    Expect,
    Row,
    Step,
    broken,
    course,
    does,
    goes_on,
    left_out,
    local,
    row,
    second,
    served,
)

ANSWER = does("answer")
TWENTY = tuple(f" word{n}" for n in range(20))
_SENT = "".join(TWENTY)
_LONG = (*TWENTY, " and", " more", " of", " them")


def _after_twenty(name: str, kind: str, behaviour: str, **options: object) -> Row:
    return row(
        f"{name} after 20 tokens",
        does(behaviour, words=_LONG, after=20, **options),
        stream=goes_on(kind, _SENT),
        fields={"max_tokens": 64},
        says="LiteLLM 40404",
    )


REPORTS: tuple[Row, ...] = (
    course(
        "a banned model does not skip its fallbacks",
        Step(ANSWER, left_out("policy")),
        Step(ANSWER, Expect(
            ("server_error", "served"), at=(SECOND, LOCAL), failover="policy", text=None,
            requests=(0, 1),
        ), second=does(503)),
        vendor="deepseek",
        says="LiteLLM 36665",
    ),
    course(
        "a vendor's own block does not skip the fallbacks",
        Step(does(403, code="account_deactivated"), local("vendor_blocked", "server_error"),
             second=does(503)),
        says="LiteLLM 36665",
    ),
    _after_twenty("cut", "truncated", "break_off"),
    _after_twenty("stalled", "idle_timeout", "stall_mid_stream"),
    _after_twenty("one bad event", "malformed", "broken_event"),
    _after_twenty("an error", "stream_error", "error_event"),
    course(
        "plain and streamed requests fail over alike",
        Step(does(500), second("server_error")),
        Step(does(502), local("server_error", "server_error"), second=does(500)),
        Step(ANSWER, Expect()),
        says="LiteLLM 25843",
    ),
    row(
        "continuation: false is kept in mid-stream",
        does("break_off"),
        plain=second("truncated"),
        stream=broken("truncated"),
        model="continuation: false",
        says="LiteLLM 19077",
    ),
    course(
        "resting again keeps the longer rest",
        Step(
            # Both are under way when the long rest begins; the short one comes after it.
            does("in_turn", ways=[
                ("429", {"retry_after": "1", "delay": 0.3}), ("429", {"retry_after": "60"}),
            ]),
            Expect(("rate_limited", "served"), failover="rate_limited", requests=(1, 1)),
            times=2,
            at_once=True,
        ),
        Step(ANSWER, left_out("resting"), pause=1.3),
        says="LiteLLM 40130",
    ),
    course(
        "our own server's 503 reaches the cloud",
        Step(ANSWER, served()),
        Step(does(503), second("server_error")),
        Step(does(503), local("server_error", "server_error"), second=does(503)),
        vendor="self",
        first="locality: sovereign",
        says="agentgateway 1087",
    ),
)  # fmt: skip
