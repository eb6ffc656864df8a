"""The one tree of errors.

::

    GatewayError
    ├── RequestError                 400  the caller's request is at fault
    │   ├── InvalidRequest           400  invalid_json, invalid_type, missing_field, …
    │   ├── CapabilityMissing        400  no target of this model can do what is asked
    │   ├── ContextOverflow          400  the prompt is longer than the model's context
    │   ├── BodyTooLarge             413
    │   │   └── BodyUnread           413  and the rest of it is not waited for
    │   ├── BodyLate                 408  and the rest of it is not waited for
    │   ├── UnsupportedMedia         415  a form where JSON is wanted, or the other way round
    │   ├── UnsupportedEncoding      415  of the body, by Content-Encoding
    │   ├── ModelNotFound            404
    │   ├── ResponseNotFound         404
    │   ├── RouteNotFound            404
    │   ├── NotThere                 404  what an operator names
    │   └── MethodNotAllowed         405
    ├── Unauthenticated              401  no key, or none that opens anything
    │   └── TooManyWrongKeys         429  from one peer; carries ``retry_after``
    ├── Forbidden                    403  the key is not for this
    ├── Refused                      409  what an operator asks cannot be done as things stand
    ├── Misdirected                  421  the ``Host`` is none of this gateway's
    ├── RateLimited                  429  the key has asked more than it may, for now
    ├── BudgetSpent                  429  the key's month has cost what it may
    ├── PolicyDenied                 451  policy leaves no target
    ├── Unavailable                  503  nothing healthy is left; carries ``retry_after``
    │   ├── DeadlinePassed           503  ``server.deadline`` is over
    │   └── AuditUnavailable         503  nothing can be recorded, and nothing else may be done
    ├── VendorFault                  ···  the vendor's own 4xx, handed back to the caller
    ├── InternalFault                500
    └── StartupError                 ···  the process cannot start or a command cannot go on
        ├── DocumentError            ···  problems in configuration or policy, with positions
        ├── SignatureError           ···  a policy is not signed as it must be, or a key is no key
        ├── ModelFileError           ···  a GGUF file is missing, altered or malformed
        └── StateError               ···  a file of our own state cannot be read or written

What a *target* does wrong is no exception but a ``Failed`` event (``gateway.domain.events``): the
failover table decides what follows from it, and only what is left in the end becomes an error here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_WAIT = 60.0
"""Seconds that an app's SDK may be told to wait: it would do so while its user looks on."""


class GatewayError(Exception):
    """An error with what a caller must know of it.

    ``status`` is the HTTP status; ``type`` and ``code`` are those of the OpenAI envelope;
    ``param`` names the offending parameter; ``retry_after`` is in seconds. ``passes`` says that it
    may be over by itself.
    """

    status = 500
    type = "api_error"
    code: str | None = None
    passes = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code

    @property
    def again(self) -> bool:
        """Whether the same request is worth being sent again, by an SDK and without being asked:
        only where it is known when, and that is soon. A defect of the gateway would be met again,
        and a deadline that has passed is as long the next time.
        """
        return self.passes and self.retry_after is not None and self.retry_after <= LONGEST_WAIT


class RequestError(GatewayError):
    """The request itself is at fault; no other target may be tried."""

    status = 400
    type = "invalid_request_error"


class InvalidRequest(RequestError):
    """The body does not parse or breaks the API's schema."""

    code = "invalid_value"


class CapabilityMissing(RequestError):
    """No target that is left can do what the request needs."""

    code = "unsupported_parameter"


class ContextOverflow(RequestError):
    """The prompt and the answer asked for do not fit the model's context."""

    code = "context_length_exceeded"


class BodyTooLarge(RequestError):
    """The body is over ``server.max_body_mb``."""

    status = 413
    code = "request_too_large"


class BodyUnread(BodyTooLarge):
    """As above, and the rest of the body is not read: the connection cannot go on."""


class BodyLate(RequestError):
    """The rest of the body did not come within ``seconds``, and is not waited for."""

    status = 408
    code = "request_timeout"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The body did not come within {seconds:g} s.")


class UnsupportedMedia(RequestError):
    """The body is of another content type than the API takes."""

    status = 415
    code = "unsupported_media_type"


class UnsupportedEncoding(RequestError):
    """The body is encoded in a way that is not read."""

    status = 415
    code = "unsupported_encoding"


class ModelNotFound(RequestError):
    """The model name is not configured."""

    status = 404
    code = "model_not_found"


class ResponseNotFound(RequestError):
    """No response of that id is kept for whoever asks."""

    status = 404


class RouteNotFound(RequestError):
    """No such path."""

    status = 404
    code = "unknown_url"


class NotThere(RequestError):
    """No vendor, key, operator or local model of that name."""

    status = 404
    code = "not_found"


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class Unauthenticated(GatewayError):
    """The request shows no key, or none that opens anything."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class TooManyWrongKeys(Unauthenticated):
    """One peer has presented so many wrong keys that it is told no more of them for a while."""

    status = 429
    code = "too_many_wrong_keys"
    passes = True


class Forbidden(GatewayError):
    """The key is good, and not for this."""

    status = 403
    type = "permission_error"
    code = "not_permitted"


class RateLimited(GatewayError):
    """The key asks for more than it may, for now: more ``requests`` or ``tokens`` (``unit``)."""

    status = 429
    code = "rate_limit_exceeded"
    passes = True

    def __init__(self, message: str, *, unit: str, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.type = unit


class BudgetSpent(GatewayError):
    """What the key may cost in a month is spent, or would be with this request."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"


class Refused(GatewayError):
    """What an operator asks for cannot be done as things stand. The message says why."""

    status = 409
    type = "refused"
    code = "refused"


class Misdirected(GatewayError):
    """Operators' paths answer only to names that are this gateway's, so that no page on the web
    comes near them by a name of its own.
    """

    status = 421
    type = "invalid_request_error"
    code = "unknown_host"


class PolicyDenied(GatewayError):
    """Policy leaves no target. The message names vendor, rule, reason and reference."""

    status = 451
    type = "policy_denied"
    code = "vendor_blocked"


class Unavailable(GatewayError):
    """Nothing healthy is left, or the local queue is full."""

    status = 503
    type = "service_unavailable"
    code = "no_healthy_target"
    passes = True


class DeadlinePassed(Unavailable):
    """No answer within ``seconds``, with whatever was tried."""

    code = "deadline"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"No answer within {seconds:g} s (server.deadline).")


class AuditUnavailable(Unavailable):
    """The audit log cannot be written, and ``audit.on_failure`` is ``refuse``."""

    code = "audit_unavailable"


class VendorFault(GatewayError):
    """A vendor's own verdict on the request (400, 404, 413, 422), handed back."""

    type = "invalid_request_error"

    def __init__(
        self, message: str, *, status: int, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.status = status


class InternalFault(GatewayError):
    """A defect of the gateway. Its message never says more than the request id."""

    code = "internal_error"


class StartupError(GatewayError):
    """The process cannot start, or a command cannot go on. The message says what to do."""

    type = "configuration_error"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a document: where it is, what was expected, and the nearest known word.

    ``line`` and ``column`` count from 1; ``text`` is the line itself without its newline.
    """

    file: str
    line: int
    column: int
    message: str
    text: str = ""
    hint: str = ""

    def __str__(self) -> str:
        parts = [f"{self.file}:{self.line}:{self.column}: {self.message}"]
        if self.text:
            parts.append(f"    {self.text}")
            parts.append("    " + " " * (self.column - 1) + "^")
        if self.hint:
            parts.append(f"    {self.hint}")
        return "\n".join(parts)


class DocumentError(StartupError):
    """A configuration, policy or manifest with all its mistakes at once."""

    code = "invalid_document"

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a DocumentError needs at least one problem")
        ordered = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column)))
        super().__init__("\n".join(str(problem) for problem in ordered))
        self.problems = ordered


class SignatureError(StartupError):
    """A policy is not signed as it must be, or a key for it is none."""

    code = "policy_signature"


class ModelFileError(StartupError):
    """A GGUF file is missing, altered or malformed."""

    code = "invalid_model_file"


class StateError(StartupError):
    """A file of the gateway's own state cannot be read or written."""

    code = "state_unavailable"
