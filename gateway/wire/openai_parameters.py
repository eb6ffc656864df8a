"""What bodies of the OpenAI dialect's APIs have in common: reading them, plain texts and tokens,
the parameters of sampling and of an answer's shape, and what each mistake in one is told.

Sources: the published OpenAPI document of the OpenAI API, ``POST /chat/completions``, ``POST
/completions`` and ``POST /embeddings``. ``top_k``, ``min_p``, ``repetition_penalty``,
``ignore_eos`` and ``structured_outputs`` are as in vLLM's server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

import msgspec

from gateway.domain.call import Prompt, Sampling, Shape, ShapeKind
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.whole import Whole

NULL = msgspec.Raw(b"null")
MOST_STOPS = 4
ENDLESS = float("inf")
EFFORTS = {"xhigh": "high", "max": "high"}
"""Efforts that chat templates do not know, and the nearest that they do."""

Range = tuple[str, float, float]
"""A parameter with its least and its most."""
Prompts: TypeAlias = str | list[str | Whole | list[Whole]]
"""A text, texts, the tokens of one, or those of several."""
_FORMATS = {"json_object": Capability.JSON_OBJECT, "json_schema": Capability.JSON_SCHEMA}
_B = TypeVar("_B")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Schema(msgspec.Struct):
    schema: msgspec.Raw = NULL
    strict: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: str
    json_schema: _Schema | None = None


class _StructuredOutputs(msgspec.Struct):
    json: msgspec.Raw = NULL
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None


class Parameters(msgspec.Struct, kw_only=True):
    """What the gateway must know of a body, whatever it asks to be gone on from. Other parameters
    pass through untouched.
    """

    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Whole | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: Whole | None = None
    stop: str | list[str] | None = None
    n: Whole | None = None
    response_format: _ResponseFormat | None = None
    structured_outputs: _StructuredOutputs | None = None
    logit_bias: dict[str, float] | None = None
    ignore_eos: bool | None = None
    prompt_cache_key: Any = None
    user: Any = None


RANGES: tuple[Range, ...] = (
    ("temperature", 0.0, 2.0),
    ("top_p", 0.0, 1.0),
    ("presence_penalty", -2.0, 2.0),
    ("frequency_penalty", -2.0, 2.0),
    ("n", 1, 128),
    ("top_k", -1, ENDLESS),
    ("min_p", 0.0, 1.0),
    ("repetition_penalty", 0.01, 100.0),
)


def read(decoder: msgspec.json.Decoder[_B], body: bytes) -> _B:
    """A body as it stands. Raises ``InvalidRequest`` that names the parameter."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error}. Send one JSON object.", code="invalid_json"
        ) from None


def invalid(text: str) -> InvalidRequest:
    """msgspec ends its message with ``- at `$.path```: that path is the parameter."""
    message, _, path = text.partition(" - at `$")
    param = path.rstrip("`").lstrip(".") or None
    code = "invalid_type"
    if message.startswith("Object missing required field"):
        field = message.split("`")[1]
        param = f"{param}.{field}" if param else field
        message, code = f"Missing required parameter: '{param}'", "missing_required_parameter"
    elif param:
        message = f"Invalid '{param}': {message}"
    return InvalidRequest(f"{message}.", param=param, code=code)


def says(*names: str) -> Callable[[Parameters], bool]:
    """Whether a body says anything of these parameters: most say little, and are asked at once."""
    values, nothing = attrgetter(*names), (None,) * len(names)
    return lambda body: values(body) != nothing


class Ranges:
    """Those of a body's parameters: what is common to all, and ``further`` ones of its own."""

    def __init__(self, further: Iterable[Range] = ()) -> None:
        self.all = (*RANGES, *further)
        self._says = says(*[name for name, _, _ in self.all])

    def check(self, body: Parameters) -> None:
        """Raises ``InvalidRequest`` for what is out of its range."""
        if self._says(body):
            check_ranges(body, self.all)


def check(body: Parameters, ranges: Ranges) -> None:
    """Raises ``InvalidRequest`` for what is out of its range, or stands beside what it needs."""
    check_model(body.model)
    ranges.check(body)
    if isinstance(body.stop, list) and len(body.stop) > MOST_STOPS:
        raise InvalidRequest(f"'stop' holds more than {MOST_STOPS} sequences.", param="stop")
    if body.stream_options is not None and not body.stream:
        raise InvalidRequest(
            "'stream_options' is only allowed with 'stream': true.", param="stream_options"
        )


def check_model(model: str) -> None:
    if not model:
        raise InvalidRequest("'model' must not be empty.", param="model")


def check_ranges(body: object, ranges: Iterable[Range]) -> None:
    for name, low, high in ranges:
        value = getattr(body, name)
        if value is not None and not low <= value <= high:
            bound = f"at least {low:g}" if high == ENDLESS else f"from {low:g} to {high:g}"
            raise InvalidRequest(f"'{name}' is {value:g}: it must be {bound}.", param=name)


def needs(body: Parameters) -> Iterator[Capability]:
    """What a target must be able to do for it."""
    if body.response_format is not None and body.response_format.type != "text":
        yield _FORMATS.get(body.response_format.type, Capability.OTHER_FORMATS)
    if body.structured_outputs is not None:
        yield Capability.STRUCTURED_OUTPUTS
    if body.logit_bias:
        yield Capability.LOGIT_BIAS
    if (body.n or 1) > 1:
        yield Capability.SEVERAL_CHOICES


def session(body: Parameters) -> str | None:
    """By what the app says which requests begin alike."""
    return _text(body.prompt_cache_key) or _text(body.user)


def _text(given: object) -> str | None:
    return given if isinstance(given, str) and given else None


def prompts(given: Prompts, param: str) -> tuple[Prompt, ...]:
    """Each by itself. Raises ``InvalidRequest`` where they are mixed, or there is none."""
    if isinstance(given, str):
        return (given,)
    if not given:
        raise InvalidRequest(f"'{param}' is an empty array.", param=param, code="empty_array")
    kind = type(given[0])
    for place, one in enumerate(given):
        if type(one) is not kind:
            raise InvalidRequest(
                f"Invalid '{param}[{place}]': all of '{param}' must be strings, or all tokens, or "
                "all arrays of tokens.",
                param=f"{param}[{place}]",
                code="invalid_type",
            )
    if kind is int:
        return (tuple(one for one in given if isinstance(one, int)),)
    return tuple(tuple(one) if isinstance(one, list) else str(one) for one in given)


def includes_usage(body: Parameters) -> bool:
    return bool(body.stream_options and body.stream_options.include_usage)


def stops(body: Parameters) -> tuple[str, ...]:
    if body.stop is None:
        return ()
    given = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return tuple(text for text in given if text)


_SAMPLED = says(
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "top_k", "min_p"),
    *("repetition_penalty", "logit_bias", "ignore_eos"),
)
_USUAL = Sampling()


def sampling(body: Parameters) -> Sampling:
    if not _SAMPLED(body):
        return _USUAL
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        seed=body.seed,
        top_k=body.top_k,
        min_p=body.min_p,
        repeat_penalty=body.repetition_penalty or 1.0,
        logit_bias=tuple(_bias(body.logit_bias or {})),
        ignore_end=bool(body.ignore_eos),
    )


def _bias(given: dict[str, float]) -> Iterator[tuple[int, float]]:
    for token, add in given.items():
        if not token.isdecimal() or not -100 <= add <= 100:
            raise InvalidRequest(
                "'logit_bias' maps token ids to numbers from -100 to 100.", param="logit_bias"
            )
        yield int(token), add


def shape(body: Parameters) -> Shape | None:
    asked, wanted = body.response_format, body.structured_outputs
    if asked is not None and asked.type == "json_object":
        return Shape(ShapeKind.JSON_OBJECT)
    if asked is not None and asked.type == "json_schema":
        if asked.json_schema is None or bytes(asked.json_schema.schema) == b"null":
            raise InvalidRequest(
                "'response_format' of type json_schema needs 'json_schema.schema'.",
                param="response_format.json_schema.schema",
                code="missing_required_parameter",
            )
        schema = bytes(asked.json_schema.schema).decode()
        return Shape(ShapeKind.JSON_SCHEMA, schema, bool(asked.json_schema.strict))
    return None if wanted is None else _structured(wanted)


def _structured(wanted: _StructuredOutputs) -> Shape:
    if bytes(wanted.json) != b"null":
        return Shape(ShapeKind.JSON_SCHEMA, bytes(wanted.json).decode())
    if wanted.choice:
        return Shape(ShapeKind.CHOICE, msgspec.json.encode(wanted.choice).decode())
    if wanted.regex is not None:
        return Shape(ShapeKind.REGEX, wanted.regex)
    if wanted.grammar is not None:
        return Shape(ShapeKind.GRAMMAR, wanted.grammar)
    raise InvalidRequest(
        "'structured_outputs' holds none of json, choice, regex and grammar.",
        param="structured_outputs",
    )


def thinking(variables: dict[str, Any], effort: str) -> None:
    """Add how much a model should think to the variables for its chat template, where they do not
    say it themselves.
    """
    variables.setdefault("reasoning_effort", EFFORTS.get(effort, effort))
    if effort in ("none", "minimal"):
        variables.setdefault("enable_thinking", False)
