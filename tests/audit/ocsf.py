"""What OCSF 1.8.0 says of the classes that are written, as JSON Schema: taken by hand from what is
published (https://schema.ocsf.io/1.8.0). Attributes that the log has nothing for are left out, so
that whatever is written under a name that is not here fails.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
WHOLE: Schema = {"type": "integer"}
ANY: Schema = {}


def thing(required: tuple[str, ...] = (), one_of: tuple[str, ...] = (), **all_: Schema) -> Schema:
    """An object: what it must have, what it must have one of, and all that it can have."""
    found: Schema = {"type": "object", "properties": all_, "additionalProperties": False}
    found["required"] = list(required)
    if one_of:
        found["anyOf"] = [{"required": [name]} for name in one_of]
    return found


def among(*values: object) -> Schema:
    return {"enum": list(values)}


SERVICE = thing(one_of=("name", "uid"), name=TEXT, uid=TEXT, version=TEXT)
GROUP = thing(one_of=("name", "uid"), name=TEXT, uid=TEXT, type=TEXT)
USER = thing(
    one_of=("account", "name", "uid"),
    name=TEXT,
    uid=TEXT,
    type=TEXT,
    type_id=among(0, 1, 2, 3, 4, 99),
    groups={"type": "array", "items": GROUP},
)
ACTOR = thing(one_of=("user", "app_name"), user=USER, app_name=TEXT, app_uid=TEXT)
ENDPOINT = thing(
    one_of=("ip", "uid", "name", "hostname", "svc_name"),
    ip=TEXT,
    uid=TEXT,
    name=TEXT,
    hostname=TEXT,
    svc_name=TEXT,
)
PRODUCT = thing(one_of=("name", "uid"), name=TEXT, uid=TEXT, vendor_name=TEXT, version=TEXT)
METADATA = thing(
    required=("product", "version"),
    product=PRODUCT,
    version=among("1.8.0"),
    uid=TEXT,
    correlation_uid=TEXT,
    event_code=TEXT,
    log_name=TEXT,
    original_time=TEXT,
    profiles={"type": "array", "items": among("ai_operation", "trace")},
    sequence=WHOLE,
)
API = thing(
    required=("operation",),
    operation=TEXT,
    service=SERVICE,
    request=thing(required=("uid",), uid=TEXT),
    response=thing(code=WHOLE, error=TEXT, message=TEXT),
)
RESOURCE = thing(
    one_of=("name", "uid"),
    name=TEXT,
    uid=TEXT,
    namespace=TEXT,
    type=TEXT,
    region=TEXT,
    role=TEXT,
    role_id=among(0, 1, 2, 3, 4, 99),
    data=ANY,
)
ENTITY = thing(
    one_of=("name", "uid", "policy", "user"),
    name=TEXT,
    uid=TEXT,
    type=TEXT,
    type_id=among(0, 1, 2, 3, 4, 5, 6, 7, 99),
    data=ANY,
    policy=thing(one_of=("name", "type", "uid"), name=TEXT, uid=TEXT),
    user=USER,
)
AI_MODEL = thing(required=("ai_provider", "name"), ai_provider=TEXT, name=TEXT, uid=TEXT)
MESSAGE_CONTEXT = thing(
    one_of=("application", "service"),
    service=SERVICE,
    ai_role=TEXT,
    ai_role_id=among(0, 1, 2, 3, 4, 5, 6, 99),
    prompt_tokens=WHOLE,
    completion_tokens=WHOLE,
    total_tokens=WHOLE,
)

REQUIRED = (
    "activity_id",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "time",
    "type_uid",
)


def event_class(
    uid: int,
    category: int,
    name: str,
    activities: dict[int, str],
    required: tuple[str, ...],
    one_of: tuple[str, ...] = (),
    **all_: Schema,
) -> Schema:
    """A class of events. Of an activity that the class does not name (99), ``activity_name`` says
    what it is.
    """
    known = {**activities, 0: "Unknown"}
    return thing(
        required=(*REQUIRED, *required),
        one_of=one_of,
        activity_id=among(*known, 99),
        activity_name=TEXT,
        category_uid=among(category),
        category_name=TEXT,
        class_uid=among(uid),
        class_name=among(name),
        type_uid=among(*(uid * 100 + activity for activity in (*known, 99))),
        type_name=TEXT,
        severity_id=among(0, 1, 2, 3, 4, 5, 6, 99),
        status_id=among(0, 1, 2, 99),
        status=TEXT,
        status_code=TEXT,
        status_detail=TEXT,
        message=TEXT,
        time={"type": "integer", "minimum": 10**12, "maximum": 10**13},
        metadata=METADATA,
        unmapped={"type": "object"},
        **all_,
    )


CLASSES: dict[int, Schema] = {
    6003: event_class(
        *(6003, 6, "API Activity"),
        {1: "Create", 2: "Read", 3: "Update", 4: "Delete"},
        ("actor", "api", "src_endpoint"),
        actor=ACTOR,
        api=API,
        src_endpoint=ENDPOINT,
        dst_endpoint=ENDPOINT,
        http_response=thing(required=("code",), code=WHOLE, latency=WHOLE, status=TEXT),
        resources={"type": "array", "items": RESOURCE},
        ai_model=AI_MODEL,
        message_context=MESSAGE_CONTEXT,
        trace=thing(required=("uid",), uid={"type": "string", "pattern": "^[0-9a-f]{32}$"}),
    ),
    6002: event_class(
        *(6002, 6, "Application Lifecycle"),
        {1: "Install", 2: "Remove", 3: "Start", 4: "Stop", 5: "Restart", 6: "Enable", 7: "Disable"}
        | {8: "Update"},
        ("app",),
        app=PRODUCT,
    ),
    3002: event_class(
        *(3002, 3, "Authentication"),
        {1: "Logon", 2: "Logoff", 3: "Authentication Ticket", 4: "Service Ticket Request"}
        | {5: "Service Ticket Renew", 6: "Preauth", 7: "Account Switch"},
        ("user",),
        ("service", "dst_endpoint"),
        user=USER,
        service=SERVICE,
        dst_endpoint=ENDPOINT,
        actor=ACTOR,
        src_endpoint=ENDPOINT,
    ),
    3004: event_class(
        *(3004, 3, "Entity Management"),
        {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 5: "Move", 6: "Enroll", 7: "Unenroll"}
        | {
            8: "Enable",
            9: "Disable",
            10: "Activate",
            11: "Deactivate",
            12: "Suspend",
            13: "Resume",
        },
        ("entity",),
        entity=ENTITY,
        actor=ACTOR,
        comment=TEXT,
    ),
}
