"""Each error that an app can get: what its SDK raises, and whether it asks again."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import (
    AuditUnavailable,
    BodyLate,
    BodyTooLarge,
    BodyUnread,
    BudgetSpent,
    CapabilityMissing,
    ContextOverflow,
    DeadlinePassed,
    Forbidden,
    GatewayError,
    InternalFault,
    InvalidRequest,
    MethodNotAllowed,
    Misdirected,
    ModelNotFound,
    NotThere,
    PolicyDenied,
    RateLimited,
    Refused,
    ResponseNotFound,
    RouteNotFound,
    TooManyWrongKeys,
    Unauthenticated,
    Unavailable,
    UnsupportedEncoding,
    UnsupportedMedia,
    VendorFault,
)

OPERATORS = frozenset({Misdirected, NotThere, Refused, TooManyWrongKeys})
"""Errors of the operators' paths alone, which no SDK asks."""


@dataclass(frozen=True, slots=True)
class Cause:
    """``openai`` and ``anthropic`` name the exceptions of the official SDKs; ``again`` says whether
    they send the same request again by themselves.
    """

    words: str
    error: GatewayError
    openai: str
    anthropic: str
    again: bool = False


_SOON = "nothing healthy is left, and something may be within 60 s"
CAUSES = (
    Cause(
        "no key, or a bad one", Unauthenticated("x"), "AuthenticationError", "AuthenticationError"
    ),
    Cause(
        "a key that is not for this",
        Forbidden("x"),
        "PermissionDeniedError",
        "PermissionDeniedError",
    ),
    Cause("bad body", InvalidRequest("x", param="n"), "BadRequestError", "BadRequestError"),
    Cause(
        "no target that is left can do it",
        CapabilityMissing("x", param="audio"),
        "BadRequestError",
        "BadRequestError",
    ),
    Cause("the prompt is too long", ContextOverflow("x"), "BadRequestError", "BadRequestError"),
    Cause("the body is too large", BodyTooLarge("x"), "APIStatusError", "ContentTooLargeError"),
    Cause(
        "the body is far too large, and is not read to its end",
        BodyUnread("x"),
        "APIStatusError",
        "ContentTooLargeError",
    ),
    Cause("the body does not come", BodyLate(600), "APIStatusError", "RequestTimeoutError"),
    Cause(
        "the body is of another media type",
        UnsupportedMedia("x"),
        "APIStatusError",
        "APIStatusError",
    ),
    Cause(
        "the body is encoded in another way",
        UnsupportedEncoding("x"),
        "APIStatusError",
        "APIStatusError",
    ),
    Cause("unknown model", ModelNotFound("x"), "NotFoundError", "NotFoundError"),
    Cause("a response that is not kept", ResponseNotFound("x"), "NotFoundError", "NotFoundError"),
    Cause("unknown path", RouteNotFound("x"), "NotFoundError", "NotFoundError"),
    Cause("wrong method", MethodNotAllowed("x"), "APIStatusError", "APIStatusError"),
    Cause(
        "the key may use no more for now, and may again within 60 s",
        RateLimited("x", unit="tokens", retry_after=7.5),
        "RateLimitError",
        "RateLimitError",
        again=True,
    ),
    Cause(
        "the key has used so much more than it may that it has to wait for longer",
        RateLimited("x", unit="tokens", retry_after=300.0),
        "RateLimitError",
        "RateLimitError",
    ),
    Cause(
        "the request could use more tokens than the key may in a minute",
        RateLimited("x", unit="tokens"),
        "RateLimitError",
        "RateLimitError",
    ),
    Cause("the key's budget is spent", BudgetSpent("x"), "RateLimitError", "RateLimitError"),
    Cause("policy leaves nothing", PolicyDenied("x"), "APIStatusError", "APIStatusError"),
    Cause(
        _SOON,
        Unavailable("x", retry_after=1.0),
        "InternalServerError",
        "OverloadedError",
        again=True,
    ),
    Cause(
        "the local queue is full, for up to 60 s",
        Unavailable("x", code="queue_full", retry_after=4.2),
        "InternalServerError",
        "OverloadedError",
        again=True,
    ),
    Cause(
        "nothing healthy is left for longer than that",
        Unavailable("x", retry_after=300.0),
        "InternalServerError",
        "OverloadedError",
    ),
    Cause(
        "no channel has its key",
        Unavailable("x", code="no_credentials"),
        "InternalServerError",
        "OverloadedError",
    ),
    Cause(
        "the audit log cannot be written, and nothing is to be answered without",
        AuditUnavailable("x", retry_after=5.0),
        "InternalServerError",
        "OverloadedError",
        again=True,
    ),
    Cause(
        "the deadline has passed",
        DeadlinePassed(600),
        "InternalServerError",
        "OverloadedError",
    ),
    *(
        Cause(
            f"the vendor's own verdict on the request: {status}",
            VendorFault("x", status=status),
            openai,
            anthropic,
        )
        for status, openai, anthropic in (
            (400, "BadRequestError", "BadRequestError"),
            (404, "NotFoundError", "NotFoundError"),
            (413, "APIStatusError", "ContentTooLargeError"),
            (422, "UnprocessableEntityError", "UnprocessableEntityError"),
        )
    ),
    Cause(
        "a defect of the gateway", InternalFault("x"), "InternalServerError", "InternalServerError"
    ),
)
