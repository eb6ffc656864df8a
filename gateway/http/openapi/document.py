"""The document itself: the data plane's operations from their table, what operators and probes ask
as FastAPI knows it, and what all answers have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.http.openapi.answers import SCHEMAS
from gateway.http.openapi.operation import (
    ANTHROPIC,
    EITHER,
    EVENTS,
    JSON,
    OPENAI,
    OPERATORS,
    Body,
    Operation,
)
from gateway.http.openapi.operations import OPERATIONS
from gateway.http.openapi.schemas import STRING, Schema, limit, read_off, ref

_ABOUT = """\
An OpenAI-compatible gateway that routes by vendor policy and fails over to local models. Apps keep
their SDK and change its base URL: the OpenAI dialect is under `/v1`, the Anthropic dialect's base
URL has no `/v1`.

Either dialect takes a key as `Authorization: Bearer` or as `x-api-key`; two different ones in a
request are a 400. A gateway for which no key was ever made answers programs on its own machine, and
nobody else. Where its key permits it, a request may say of itself `x-gateway-team`,
`x-gateway-app`, `x-gateway-environment`, `x-gateway-data-class` and `x-gateway-tags` (several, with
commas): they can only make policy stricter.

Bodies may be compressed (`Content-Encoding: gzip`, `deflate` or `zstd`). `HEAD` is answered where
`GET` is, `OPTIONS` everywhere. An `x-request-id` or `x-client-request-id` of up to 128 letters,
digits, `.`, `_` and `-` is told back and written into the audit record."""

_WHY: Mapping[int, str] = {
    400: "The request is at fault, or asks for what no target can do: the message says what.",
    401: "No key is shown, or none that opens anything.",
    403: "The key is good, and not for this.",
    404: "The model, or the path, is not configured, or not for this key.",
    408: "The body did not come in time.",
    413: "The body is over `server.max_body_mb`, as it is sent or as it is meant.",
    415: "The body's `Content-Encoding` is not read (`Accept-Encoding` says which are), or it is a "
    "form where JSON is wanted, or the other way round.",
    422: "A vendor's own verdict on the request.",
    429: "The key may use no more for now (`rate_limit_exceeded`), or for this month "
    "(`insufficient_quota`).",
    451: "Policy leaves no target: the message names vendor, rule, reason and reference.",
    500: "A defect of the gateway. The message holds nothing but the request's id.",
    503: "No healthy target is left, a queue is full, or the deadline has passed.",
    529: "No healthy target is left, a queue is full, or the deadline has passed.",
}
_ERRORS: Mapping[str, Schema] = {
    OPENAI: ref("OpenAIError"),
    ANTHROPIC: ref("AnthropicError"),
    EITHER: {"anyOf": [ref("OpenAIError"), ref("AnthropicError")]},
    OPERATORS: ref("OperatorsError"),
}
_HEADERS: Mapping[str, str] = {
    "x-gateway-request-id": "The id of the audit record.",
    "x-request-id": "The same in the OpenAI dialect, or what the app called the request.",
    "request-id": "The same in the Anthropic dialect.",
    "x-gateway-served-by": "The target that answered.",
    "x-gateway-locality": "`local`, `sovereign` or `cloud`.",
    "x-gateway-policy": "The revision of the policy that decided.",
    "x-gateway-failover": "Why the first choice did not answer; absent where it did.",
    "retry-after": "Seconds; absent where waiting does not help.",
    "retry-after-ms": "The same in milliseconds.",
    "www-authenticate": "How to show a key.",
    "x-should-retry": "Whether the same request is worth being sent again: `true` or `false`.",
    "x-ratelimit-limit-requests": "Requests that the key may make in a minute, if it has a limit.",
    "x-ratelimit-limit-tokens": "Tokens that the key may use in a minute, if it has a limit.",
    "x-ratelimit-remaining-requests": "How many of them are left.",
    "x-ratelimit-remaining-tokens": "How many of them are left, with what this request could use "
    "taken off.",
    "x-ratelimit-reset-requests": "The time until all of them are there again, as `6m0s`.",
    "x-ratelimit-reset-tokens": "The time until all of them are there again, as `20ms`.",
    "anthropic-ratelimit-requests-limit": "The same as `x-ratelimit-limit-requests`.",
    "anthropic-ratelimit-requests-remaining": "The same as `x-ratelimit-remaining-requests`.",
    "anthropic-ratelimit-requests-reset": "When all of them are there again (RFC 3339).",
    "anthropic-ratelimit-tokens-limit": "The same as `x-ratelimit-limit-tokens`.",
    "anthropic-ratelimit-tokens-remaining": "The same as `x-ratelimit-remaining-tokens`.",
    "anthropic-ratelimit-tokens-reset": "When all of them are there again (RFC 3339).",
}
_RATES = tuple(
    f"x-ratelimit-{what}-{unit}"
    for what in ("limit", "remaining", "reset")
    for unit in ("requests", "tokens")
)
_OF_LIMITS = {
    OPENAI: _RATES,
    EITHER: (),
    ANTHROPIC: (
        *_RATES,
        *(
            f"anthropic-ratelimit-{unit}-{what}"
            for unit in ("requests", "tokens")
            for what in ("limit", "remaining", "reset")
        ),
    ),
}
_ON_ALL = ("x-gateway-request-id",)
_OF_DIALECT = {OPENAI: ("x-request-id",), ANTHROPIC: ("request-id",), EITHER: (), OPERATORS: ()}
_OF_TARGET = ("x-gateway-served-by", "x-gateway-locality", "x-gateway-policy")
_SOMETIMES = ("x-gateway-failover",)
_AGAIN = ("retry-after", "retry-after-ms", "x-should-retry")
_OF_STATUS = {401: ("www-authenticate",), 429: _AGAIN, 503: _AGAIN, 529: _AGAIN}


def document(app: FastAPI) -> dict[str, Any]:
    """An OpenAPI document of an app: of 3.2, the first version that can describe events."""
    found = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.2.0",
        description=_ABOUT,
        routes=app.routes,
    )
    components = found.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    for item in found["paths"].values():
        for operation in item.values():
            if OPERATORS in operation.get("tags", ()):
                _of_operators(operation)
            else:
                _complete(operation)
    for operation in OPERATIONS:
        found["paths"].setdefault(operation.path, {})[operation.method] = _written(operation)
        if operation.body is not None:
            components.update(_body(operation.body))
    components.update(SCHEMAS)
    found["components"] |= {
        "headers": {
            name: {"description": text, "required": name in _ON_ALL, "schema": STRING}
            for name, text in _HEADERS.items()
        },
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            "operator": {
                "type": "http",
                "scheme": "bearer",
                "description": "An operator's key, or the credential of the gateway's machine.",
            },
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "gateway_session",
                "description": "Of `POST /admin/session`. What changes something takes "
                "`x-gateway-csrf` beside it, and a page of the gateway itself.",
            },
        },
    }
    found["security"] = [{}, {"bearer": []}, {"key": []}]
    return found


def of_paths(whole: Mapping[str, Any], there: Callable[[str], bool]) -> Mapping[str, Any]:
    """What of a document is about paths that are ``there``."""
    paths = {path: item for path, item in whole["paths"].items() if there(path)}
    if len(paths) == len(whole["paths"]):
        return whole
    components = whole["components"]
    waiting, used = [*references(paths)], set[str]()
    while waiting:
        reference = waiting.pop()
        if reference not in used:
            used.add(reference)
            kind, _, name = reference.removeprefix("#/components/").partition("/")
            waiting += references(components[kind][name])
    kept = {
        kind: {
            name: one
            for name, one in named.items()
            if kind == "securitySchemes" or f"#/components/{kind}/{name}" in used
        }
        for kind, named in components.items()
    }
    return {**whole, "paths": paths, "components": kept}


def references(part: object) -> Iterator[str]:
    """Every ``$ref`` within."""
    if isinstance(part, Mapping):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inside in part.values():
            yield from references(inside)
    elif isinstance(part, list):
        for inside in part:
            yield from references(inside)


def _of_operators(operation: dict[str, Any]) -> None:
    """As ``_complete``, for the operators' API: it has one way of telling errors."""
    answers = operation["responses"]
    answers.pop("422", None)
    for status, why in ((400, _WHY[400]), (500, _WHY[500])):
        answers[str(status)] = {"description": why}
    if "requestBody" in operation:
        answers["413"] = {"description": "The body is larger than what operators have to say."}
        answers["408"] = {"description": _WHY[408]}
        answers["415"] = {"description": _WHY[415]}
    for status, answer in answers.items():
        names = [*_ON_ALL, *(("retry-after",) if status == "429" else ())]
        answer["headers"] = _headers(names)
        if int(status) >= 400:
            answer["content"] = {JSON: {"schema": _ERRORS[OPERATORS]}}
    operation["security"] = [] if operation.pop("x-anybody", False) else [*_OF_OPERATORS]


_OF_OPERATORS: tuple[dict[str, list[str]], ...] = ({"operator": []}, {"session": []})


def _complete(operation: dict[str, Any]) -> None:
    """What FastAPI does not know: errors are in a dialect, and no answer is without its id."""
    answers = operation["responses"]
    if answers.pop("422", None) is not None:
        answers["400"] = _error(400, EITHER)
    if "404" in answers:
        answers["404"] = _error(404, EITHER)
    answers["500"] = _error(500, EITHER)
    for status, answer in answers.items():
        if int(status) >= 400:
            answer.setdefault("content", {JSON: {"schema": _ERRORS[EITHER]}})
    for answer in answers.values():
        answer["headers"] = _headers(_ON_ALL)


def _written(operation: Operation) -> dict[str, Any]:
    always = (*_ON_ALL, *_OF_DIALECT[operation.dialect])
    headers = _headers(always)
    if operation.asks:
        headers |= _headers((*_OF_TARGET, *_SOMETIMES, *_OF_LIMITS[operation.dialect]))
    content = {
        kind: {"itemSchema" if kind == EVENTS else "schema": schema}
        for kind, schema in operation.answers.items()
    }
    answers: dict[str, Any] = {}
    if content:
        answers["200"] = {"description": "The answer.", "headers": headers, "content": content}
    for status in operation.statuses:
        answers[str(status)] = _error(status, operation.dialect)
    written: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": ["models" if operation.dialect == EITHER else operation.dialect],
        "responses": answers,
    }
    if operation.text:
        written["description"] = operation.text
    if operation.parameters:
        written["parameters"] = [*operation.parameters]
    content = {kind: {"schema": schema} for kind, schema in operation.content.items()}
    if operation.body is not None:
        body = operation.body
        examples = {name: {"value": value} for name, value in body.examples.items()}
        content[JSON] = {"schema": ref(body.name), "examples": examples}
    if content:
        written["requestBody"] = {"required": True, "content": content}
    return written


def _error(status: int, dialect: str) -> dict[str, Any]:
    names = [*_ON_ALL, *_OF_DIALECT[dialect]]
    headers = _headers((*names, *_OF_STATUS.get(status, ())))
    if status == 429:
        headers |= _headers(_OF_LIMITS[dialect])
    content = {JSON: {"schema": _ERRORS[dialect]}}
    return {"description": _WHY[status], "headers": headers, "content": content}


def _headers(names: Any) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _body(body: Body) -> Iterator[tuple[str, Schema]]:
    """The schemas of a body: its own, and those within it."""
    (_, schema), *others = read_off(body.struct, body.name).items()
    for name, text in body.means.items():
        schema["properties"][name] = {**schema["properties"][name], "description": text}
    limit(schema, body.ranges)
    for name, form in body.required.items():
        schema["properties"][name] |= form
    schema["required"] = sorted({*schema.get("required", ()), *body.required})
    yield body.name, schema
    yield from others
