"""What requests and attempts are called in OpenTelemetry: its semantic conventions for generative
AI and for HTTP servers, and names of our own (``gateway.…``) for what those do not know. Pure.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/. Nothing that an app or a vendor wrote
is an attribute of a metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from gateway.audit.record import AttemptRecord, Record
from gateway.domain.call import Api
from gateway.domain.identity import Role

Attributes: TypeAlias = dict[str, str | int | float | bool]

_OPERATIONS: Mapping[str, str] = {
    Api.CHAT: "chat",
    Api.MESSAGES: "chat",
    Api.RESPONSES: "chat",
    Api.COMPLETIONS: "text_completion",
    Api.EMBEDDINGS: "embeddings",
}
_PROVIDERS: Mapping[str, str] = {
    "amazon": "aws.bedrock",
    "google": "gcp.gen_ai",
    "ibm": "ibm.watsonx.ai",
    "microsoft": "azure.ai.inference",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
"""Vendors that the conventions have another word for than our catalog."""


def operation(record: Record) -> str:
    return _OPERATIONS.get(record.api, record.api)


def attempt_name(record: Record, attempt: AttemptRecord) -> str:
    return f"{operation(record)} {_model(attempt)}"


def attempt_attributes(record: Record, attempt: AttemptRecord) -> Attributes:
    """Of the metrics of an attempt, and of its span among others."""
    found: Attributes = {
        "gen_ai.operation.name": operation(record),
        "gen_ai.provider.name": _provider(record, attempt.target),
        "gen_ai.request.model": _model(attempt),
    }
    if attempt.outcome != "served":
        found["error.type"] = attempt.outcome
    return found


def attempt_span(record: Record, attempt: AttemptRecord) -> Attributes:
    return attempt_attributes(record, attempt) | _known(
        {
            "gen_ai.response.model": attempt.model,
            "gen_ai.usage.input_tokens": attempt.prompt_tokens,
            "gen_ai.usage.output_tokens": attempt.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": attempt.cached_tokens,
            "gen_ai.request.stream": record.stream,
            "http.response.status_code": attempt.status,
            "gateway.target": attempt.target,
            "gateway.policy.revision": attempt.revision,
            "gateway.seam.byte": None if attempt.seam is None else attempt.seam.byte,
        }
    )


def request_attributes(record: Record, model: str, outcome: str) -> Attributes:
    """Of the metrics of a request, and of its span among others. ``model`` is the configured name
    or pattern, ``outcome`` of few values.
    """
    found: Attributes = {"gen_ai.operation.name": operation(record), "gen_ai.request.model": model}
    if record.served_by is not None:
        found["gen_ai.provider.name"] = _provider(record, record.served_by)
        found["gen_ai.response.model"] = record.served_by.partition("/")[2]
    if outcome != "served":
        found["error.type"] = outcome
    return found


def request_span(record: Record, model: str, outcome: str) -> Attributes:
    labels = record.labels
    return request_attributes(record, model, outcome) | _known(
        {
            "http.request.method": "POST",
            "http.route": f"/v1/{record.api}",
            "http.response.status_code": record.status,
            "gen_ai.request.stream": record.stream,
            "gen_ai.usage.input_tokens": record.prompt_tokens,
            "gen_ai.usage.output_tokens": record.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
            "gen_ai.usage.reasoning.output_tokens": record.reasoning_tokens,
            "gateway.request.id": record.id,
            "gateway.key": record.key,
            "gateway.team": labels.team,
            "gateway.app": labels.app,
            "gateway.outcome": outcome,
            "gateway.target": record.served_by,
            "gateway.locality": record.locality,
            "gateway.failover": record.failover,
            "gateway.policy.revision": record.policy,
        }
    )


def _provider(record: Record, target: str) -> str:
    """The vendor that runs the channel."""
    vendors = (
        party.vendor
        for judged in record.targets
        if judged.target == target
        for party in judged.parties
        if party.role is Role.CHANNEL
    )
    vendor = next(vendors, target.partition("/")[0])
    return _PROVIDERS.get(vendor, vendor)


def _model(attempt: AttemptRecord) -> str:
    return attempt.target.partition("/")[2]


def _known(found: Mapping[str, str | int | float | bool | None]) -> Attributes:
    return {
        name: str(value) if isinstance(value, str) else value
        for name, value in found.items()
        if value is not None and value != ""
    }
