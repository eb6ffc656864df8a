"""Lines of the log as events of the Open Cybersecurity Schema Framework, version 1.8.0
(https://schema.ocsf.io/1.8.0), profiles ``trace`` and ``ai_operation``.

A request is API Activity (6003); who comes in or is refused, Authentication (3002); a gateway that
starts or stops, Application Lifecycle (6002); all other events are Entity Management (3004). What
OCSF has no place for stands in ``unmapped``, under the names that it has in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from gateway import __version__
from gateway.audit.happening import Happening
from gateway.audit.reader import Event, Line, Request
from gateway.audit.record import AttemptRecord, JudgedTarget, Record
from gateway.audit.sentence import deciding

VERSION = "1.8.0"
_PRODUCT = {"name": "Sovereign Gateway", "vendor_name": "Sovereign Gateway", "version": __version__}
_SERVICE = {"name": "Sovereign Gateway"}
_INFORMATIONAL, _LOW = 1, 2
_SUCCESS, _FAILURE, _OTHER = 1, 2, 99

_CLASSES = {
    6003: (6, "Application Activity", "API Activity"),
    6002: (6, "Application Activity", "Application Lifecycle"),
    3002: (3, "Identity & Access Management", "Authentication"),
    3004: (3, "Identity & Access Management", "Entity Management"),
}
_LOGINS = {
    "login": (1, "Logon", _SUCCESS),
    "refused": (1, "Logon", _FAILURE),
    "logout": (2, "Logoff", _SUCCESS),
}
_LIFE = {"started": (3, "Start"), "stopped": (4, "Stop")}
_CHANGES = {
    "created": (1, "Create", _SUCCESS),
    "read": (2, "Read", _SUCCESS),
    "changed": (3, "Update", _SUCCESS),
    "rotated": (3, "Update", _SUCCESS),
    "refused": (3, "Update", _FAILURE),
    "deleted": (4, "Delete", _SUCCESS),
    "revoked": (4, "Delete", _SUCCESS),
    "unbanned": (8, "Enable", _SUCCESS),
    "banned": (9, "Disable", _SUCCESS),
    "loaded": (10, "Activate", _SUCCESS),
    "failed": (10, "Activate", _FAILURE),
    "unloaded": (11, "Deactivate", _SUCCESS),
    "crashed": (11, "Deactivate", _FAILURE),
}
_LOST = frozenset({"torn", "shortened", "lost", "incomplete", "unclean_end"})
"""What is no good news of the log itself."""
_ENTITIES = {"policy": (5, "Policy"), "operator": (2, "User")}
_MAPPED = frozenset(
    {"id", "at", "api", "model", "client_request_id", "traceparent", "key", "labels", "targets"}
    | {"outcome", "status", "served_by", "prompt_tokens", "completion_tokens"}
)


def event(line: Line) -> dict[str, Any] | None:
    """What a line is in OCSF; ``None`` of a checkpoint and of what is no line."""
    if isinstance(line, Request):
        return _of_request(line.seq, line.record)
    if isinstance(line, Event):
        return _of_event(line.seq, line.happening)
    return None


def _of_request(seq: int, record: Record) -> dict[str, Any]:
    status, word = _status(record)
    told = _base(6003, 1, "Create", record.at, seq, record.id) | {
        "severity_id": _INFORMATIONAL if status == _SUCCESS else _LOW,
        "status_id": status,
        "status": word,
        "status_code": record.outcome,
        "actor": _actor(record),
        "api": {
            "operation": record.api,
            "service": _SERVICE,
            "request": {"uid": record.id},
            "response": _given(code=record.status),
        },
        "src_endpoint": {"svc_name": record.labels.app or "unknown"},
        "resources": [_resource(judged, record.attempts) for judged in record.targets],
        "unmapped": _unmapped(record),
    }
    told["metadata"] |= {"profiles": ["ai_operation", "trace"]}
    if record.client_request_id is not None:
        told["metadata"]["correlation_uid"] = record.client_request_id
    if record.status is not None:
        told["http_response"] = {"code": record.status, "latency": record.duration_us // 1000}
    judged = deciding(record)
    if judged is not None:
        told["status_detail"] = _why(judged)
    if judged is not None and judged.target == record.served_by:
        told["dst_endpoint"] = {"svc_name": judged.channel}
        told["ai_model"] = {"ai_provider": judged.developer, "name": judged.model}
    if record.prompt_tokens is not None or record.completion_tokens is not None:
        told["message_context"] = _tokens(record)
    if record.traceparent is not None:
        told["trace"] = {"uid": record.traceparent.split("-")[1]}
    return told


def _of_event(seq: int, happened: Happening) -> dict[str, Any]:
    about, _, what = happened.event.partition(".")
    if about in ("operator", "key") and what in _LOGINS:
        activity, name, status = _LOGINS[what]
        told = _base(3002, activity, name, happened.at, seq, str(seq)) | {
            "user": {"name": "unknown" if status == _FAILURE else happened.actor},
            "service": _SERVICE,
            **_given(status_detail=happened.reason),
        }
        if status == _FAILURE and happened.subject:
            told["src_endpoint"] = {"ip": happened.subject}
    elif about == "gateway" and what in _LIFE:
        status = _SUCCESS
        told = _base(6002, *_LIFE[what], happened.at, seq, str(seq)) | {"app": _PRODUCT}
    else:
        other = (99, what, _FAILURE if about == "audit" and what in _LOST else _SUCCESS)
        activity, name, status = _CHANGES.get(what, other)
        told = _base(3004, activity, name, happened.at, seq, str(seq)) | {
            "entity": _entity(about, happened),
            "actor": {"user": {"name": happened.actor}},
            **_given(comment=happened.reason),
        }
    told["metadata"]["event_code"] = happened.event
    return told | {
        "severity_id": _INFORMATIONAL if status == _SUCCESS else _LOW,
        "status_id": status,
        "status": "Success" if status == _SUCCESS else "Failure",
        "message": _message(happened),
        "unmapped": {"actor": happened.actor, "detail": dict(happened.detail)},
    }


def _base(
    uid: int, activity: int, name: str, at: datetime, seq: int, event_uid: str
) -> dict[str, Any]:
    """What every event has. Times are milliseconds since 1970."""
    category, category_name, class_name = _CLASSES[uid]
    return {
        "activity_id": activity,
        "activity_name": name,
        "category_uid": category,
        "category_name": category_name,
        "class_uid": uid,
        "class_name": class_name,
        "type_uid": uid * 100 + activity,
        "type_name": f"{class_name}: {name}",
        "time": int(at.timestamp() * 1000),
        "metadata": {
            "version": VERSION,
            "product": _PRODUCT,
            "uid": event_uid,
            "log_name": "audit",
            "sequence": seq,
            "original_time": at.isoformat(),
        },
    }


def _status(record: Record) -> tuple[int, str]:
    if record.outcome == "served":
        return _SUCCESS, "Success"
    if record.outcome == "cancelled":
        return _OTHER, "cancelled"
    return _FAILURE, "Failure"


def _actor(record: Record) -> dict[str, Any]:
    """A key is a service's account; without keys it is not known who asked."""
    labels = record.labels
    user: dict[str, Any] = {"name": "anonymous", "type_id": 0}
    if record.key is not None:
        user = {"uid": record.key, "type_id": 4, "type": "Service"}
    if labels.team is not None:
        user["groups"] = [{"name": labels.team}]
    return {"user": user, **_given(app_name=labels.app)}


def _resource(judged: JudgedTarget, attempts: list[AttemptRecord]) -> dict[str, Any]:
    """A target: what was done to it, or that it was only looked at."""
    tried = any(attempt.target == judged.target for attempt in attempts)
    role, name = (1, "Target") if tried else (4, "Related")
    return {
        "uid": judged.target,
        "name": judged.model,
        "namespace": judged.channel,
        "type": "AI model",
        "role_id": role,
        "role": name,
        "data": msgspec.to_builtins(judged),
        **_given(region=judged.region),
    }


def _tokens(record: Record) -> dict[str, Any]:
    prompt, completion = record.prompt_tokens or 0, record.completion_tokens or 0
    return {
        "ai_role_id": 2,
        "ai_role": "Assistant",
        "service": _SERVICE,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _unmapped(record: Record) -> dict[str, Any]:
    labels = _full(msgspec.to_builtins(record.labels, order="sorted"))
    labels = {name: value for name, value in labels.items() if name not in ("team", "app")}
    rest = _full(msgspec.to_builtins(record, order="sorted"))
    rest = {name: value for name, value in rest.items() if name not in _MAPPED}
    return rest | ({"labels": labels} if labels else {})


def _entity(about: str, happened: Happening) -> dict[str, Any]:
    id, type = _ENTITIES.get(about, (99, about))
    name = happened.subject or about
    more: dict[str, Any] = {}
    if id == 5:
        more = {"policy": {"name": name}}
    elif id == 2:
        more = {"user": {"name": name}}
    return {"name": name, "type_id": id, "type": type, "data": dict(happened.detail), **more}


def _message(happened: Happening) -> str:
    reason = f": {happened.reason}" if happened.reason else ""
    return f"{happened.event} {happened.subject}".strip() + f" by {happened.actor}{reason}"


def _why(judged: JudgedTarget) -> str:
    reason = f": {judged.reason}" if judged.reason else ""
    return f"{judged.verdict.value} {judged.target} by {judged.rule}{reason}"


def _given(**fields: Any) -> dict[str, Any]:
    return _full(fields)


def _full(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}
