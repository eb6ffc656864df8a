"""Requests of the OpenAI dialect of which nothing is understood but which model is asked for, and
in what form the answer comes: moderations, audio, images, rerank. From a body, JSON or a form, to
that.

Sources: the published OpenAPI document of the OpenAI API; for ``/rerank`` the APIs of Cohere and
Jina, and vLLM's server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.domain.call import Api, Passing
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest, UnsupportedMedia
from gateway.wire.multipart import MalformedForm, Part, boundary_of, is_form, parts

NEEDS: Mapping[Api, Capability] = {
    Api.MODERATIONS: Capability.MODERATIONS,
    Api.SPEECH: Capability.SPEECH,
    Api.TRANSCRIPTIONS: Capability.TRANSCRIPTION,
    Api.TRANSLATIONS: Capability.TRANSCRIPTION,
    Api.IMAGES: Capability.IMAGE_GENERATION,
    Api.IMAGE_EDITS: Capability.IMAGE_GENERATION,
    Api.IMAGE_VARIATIONS: Capability.IMAGE_GENERATION,
    Api.RERANK: Capability.RERANK,
}
"""What each of these APIs needs of a target."""
FORMS = frozenset({Api.TRANSCRIPTIONS, Api.TRANSLATIONS, Api.IMAGE_EDITS, Api.IMAGE_VARIATIONS})
UNNAMED: Mapping[Api, str] = {Api.MODERATIONS: "omni-moderation-latest"}
"""The model that an API takes where none is named. Those of images had one that is no more."""
_EITHER = frozenset({Api.IMAGE_EDITS})
"""Forms that may be JSON as well."""
_OBJECTS = frozenset({"json", "verbose_json", "diarized_json"})
"""Formats of a transcription that are JSON: ``text``, ``srt`` and ``vtt`` are not, nor those of
other servers.
"""
_MOST_FIELD = 1000
_READ = frozenset({"model", "stream", "response_format", "user"})
"""Fields that are read, of which each may be there once only."""
_WORDS = {"true": True, "1": True, "false": False, "0": False, "": False}
_STEPS = re.compile(r"[\[\].]+")


class _Body(msgspec.Struct):
    """Other parameters pass through untouched."""

    model: Any = None
    stream: Any = None
    response_format: Any = None
    user: Any = None
    svg: Any = None


@dataclass(frozen=True, slots=True)
class PassingRequest:
    """``named`` says whether the app named the model itself."""

    model: str
    named: bool
    stream: bool
    task: Passing
    session: str | None


_decoder = msgspec.json.Decoder(_Body)


def parse(api: Api, body: bytes, content_type: bytes) -> PassingRequest:
    """Read a request. Raises ``InvalidRequest`` that names the parameter, ``UnsupportedMedia``."""
    form = is_form(content_type)
    if form and api not in FORMS:
        raise UnsupportedMedia(f"/v1/{api} takes JSON and no form: send application/json.")
    if not form and api in FORMS:
        said = content_type.partition(b";")[0].strip().lower()
        if api not in _EITHER or said != b"application/json":
            raise UnsupportedMedia(f"/v1/{api} takes a form: send multipart/form-data.")
    return _parse_form(api, body, content_type) if form else _parse_json(api, body)


def _parse_json(api: Api, body: bytes) -> PassingRequest:
    try:
        parsed = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error}. Send one JSON object.", code="invalid_json"
        ) from None
    if parsed.model is not None and not isinstance(parsed.model, str):
        raise InvalidRequest(
            "Invalid 'model': expected a name.", param="model", code="invalid_type"
        )
    if parsed.stream is not None and not isinstance(parsed.stream, bool):
        raise InvalidRequest(
            "Invalid 'stream': expected true or false.", param="stream", code="invalid_type"
        )
    if isinstance(parsed.svg, dict) and any(name.lower() == "model" for name in parsed.svg):
        raise _second_model("svg.model")
    return _request(api, parsed.model, bool(parsed.stream), parsed.response_format, parsed.user)


def _parse_form(api: Api, body: bytes, content_type: bytes) -> PassingRequest:
    try:
        boundary = boundary_of(content_type)
        found = _fields(body, boundary)
    except MalformedForm as error:
        raise InvalidRequest(
            f"The form is malformed: {error}.", param=error.field, code="invalid_form"
        ) from None
    model = found.get("model")
    words = {name: _text(body, part) for name, part in found.items()}
    stream = _WORDS.get(words.get("stream", "").lower())
    if stream is None:
        raise InvalidRequest("Invalid 'stream': expected true or false.", param="stream")
    # Where the app named no model, the target's goes first.
    start = len(boundary) + len("--\r\n")
    place = (start, start) if model is None else (model.start, model.end)
    task = Passing(boundary=boundary, place=place)
    return _request(
        api, words.get("model"), stream, words.get("response_format"), words.get("user"), task
    )


def _fields(body: bytes, boundary: str) -> dict[str, Part]:
    """Those that are read."""
    found: dict[str, Part] = {}
    for part in parts(body, boundary):
        name = part.name.lower()
        if name != "model" and "model" in _STEPS.split(name):
            raise _second_model(part.name)
        if name not in _READ:
            continue
        if name != part.name:
            raise InvalidRequest(f"Write '{part.name}' as '{name}'.", param=part.name)
        if name in found:
            raise InvalidRequest(
                f"The form has '{name}' more than once.", param=name, code="duplicate_parameter"
            )
        if part.file or part.kind not in (None, b"text/plain"):
            raise InvalidRequest(f"'{name}' must be plain text, not a file.", param=name)
        found[name] = part
    return found


def _text(body: bytes, part: Part) -> str:
    if part.end - part.value > _MOST_FIELD:
        raise InvalidRequest(f"'{part.name}' is too long.", param=part.name)
    try:
        return body[part.value : part.end].decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"'{part.name}' is not UTF-8.", param=part.name) from None


def _second_model(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{name}' names a second model, which policy cannot judge: leave it out.",
        param=name,
        code="unsupported_parameter",
    )


def _request(
    api: Api,
    model: str | None,
    stream: bool,
    format: object,
    user: object,
    form: Passing | None = None,
) -> PassingRequest:
    if model == "":
        raise InvalidRequest("'model' must not be empty.", param="model")
    wanted = model or UNNAMED.get(api)
    if wanted is None:
        raise InvalidRequest(
            "Missing required parameter: 'model'.",
            param="model",
            code="missing_required_parameter",
        )
    spoken = api in (Api.TRANSCRIPTIONS, Api.TRANSLATIONS)
    task = form or Passing()
    return PassingRequest(
        model=wanted,
        named=model is not None,
        # Bytes of sound are passed on as they come, too.
        stream=stream or api is Api.SPEECH,
        task=Passing(task.boundary, task.place, text=spoken and _is_text(format)),
        session=user if isinstance(user, str) and user else None,
    )


def _is_text(format: object) -> bool:
    return isinstance(format, str) and format not in _OBJECTS
