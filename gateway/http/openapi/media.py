"""What is passed on as it is: moderations, audio, images, rerank, in the OpenAI dialect. Of a body
only the model, and the form that the answer comes in, is read here; the rest is the vendor's.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.http.openapi.operation import EVENTS, FORM, JSON, OF_OPENAI, OPENAI, Operation
from gateway.http.openapi.schemas import (
    ANYTHING,
    BOOLEAN,
    NUMBER,
    STRING,
    Schema,
    event,
    listed,
    maybe,
    record,
)

_PASSED = "Other parameters are passed on as they are, under the vendor's rules for them. "
_MODEL: Schema = {"type": "string", "minLength": 1, "description": "A configured name."}
_USER: Schema = {"description": "Keeps a user's requests on the same of equal targets."}
_STREAM: Schema = {**maybe(BOOLEAN), "description": "Whether the answer comes as events."}
_FORMAT: Schema = {"description": "The form of the answer."}
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
_FORM_STREAM: Schema = {"enum": ["true", "false"], "description": _STREAM["description"]}
_EVENT: Schema = {"type": "object"}
_IMAGES = record(
    {"created": NUMBER, "data": listed({"type": "object"}), "usage": ANYTHING},
    optional=("created", "usage"),
)


def _json(properties: Mapping[str, Schema], *, named: bool = True) -> Schema:
    common = {"model": _MODEL if named else maybe(_MODEL), "user": _USER}
    every = {**common, **properties}
    return record(every, optional=[name for name in every if not (named and name == "model")])


def _form(properties: Mapping[str, Schema]) -> Schema:
    every = {"model": _MODEL, "user": STRING, "response_format": STRING, **properties}
    return record(every, optional=[name for name in every if name != "model"])


def _passed(
    path: str,
    id: str,
    summary: str,
    content: Mapping[str, Schema],
    answers: Mapping[str, Schema],
    text: str = "",
) -> Operation:
    return Operation(
        method="post",
        path=f"/v1/{path}",
        id=id,
        summary=summary,
        text=_PASSED + text,
        answers=answers,
        dialect=OPENAI,
        statuses=OF_OPENAI,
        content=content,
    )


_SPOKEN: Mapping[str, Schema] = {
    JSON: record({"text": STRING}),
    "text/plain": STRING,
    "text/*": STRING,
}

MEDIA: tuple[Operation, ...] = (
    _passed(
        "moderations",
        "createModeration",
        "Whether something may be shown",
        {JSON: _json({"input": ANYTHING}, named=False)},
        {JSON: record({"results": listed({"type": "object"})})},
        "Where no model is named, `omni-moderation-latest` is asked for.",
    ),
    _passed(
        "audio/speech",
        "createSpeech",
        "Read a text aloud",
        {
            JSON: _json(
                {"input": ANYTHING, "voice": ANYTHING, "response_format": _FORMAT}
                | {"stream_format": ANYTHING, "stream": _STREAM}
            )
        },
        {"audio/*": {}, "application/octet-stream": {}, EVENTS: event(_EVENT, named=True)},
        "Sound is passed on as it comes; one that breaks off has no end.",
    ),
    _passed(
        "audio/transcriptions",
        "createTranscription",
        "Write down what is said",
        {FORM: _form({"file": _FILE, "language": STRING, "stream": _FORM_STREAM})},
        {**_SPOKEN, EVENTS: event(_EVENT, named=True)},
    ),
    _passed(
        "audio/translations",
        "createTranslation",
        "Write down in English what is said",
        {FORM: _form({"file": _FILE, "prompt": STRING})},
        _SPOKEN,
    ),
    _passed(
        "images/generations",
        "createImage",
        "Draw what is described",
        {
            JSON: _json(
                {"prompt": ANYTHING, "n": ANYTHING, "size": ANYTHING}
                | {"response_format": _FORMAT, "stream": _STREAM}
            )
        },
        {JSON: _IMAGES, EVENTS: event(_EVENT, named=True)},
    ),
    _passed(
        "images/edits",
        "createImageEdit",
        "Change pictures as is described",
        {
            FORM: _form({"image": _FILE, "prompt": STRING, "stream": _FORM_STREAM}),
            JSON: _json({"images": ANYTHING, "prompt": ANYTHING, "stream": _STREAM}),
        },
        {JSON: _IMAGES, EVENTS: event(_EVENT, named=True)},
    ),
    _passed(
        "images/variations",
        "createImageVariation",
        "Draw a picture again, in another way",
        {FORM: _form({"image": _FILE, "n": STRING, "size": STRING})},
        {JSON: _IMAGES},
    ),
    _passed(
        "rerank",
        "rerank",
        "Put texts in the order of how well they answer a question",
        {JSON: _json({"query": ANYTHING, "documents": ANYTHING, "top_n": ANYTHING})},
        {JSON: record({"results": ANYTHING, "data": ANYTHING}, optional=("results", "data"))},
        "As the APIs of Cohere and Jina have it.",
    ),
)
