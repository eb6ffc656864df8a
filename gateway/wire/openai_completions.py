"""Plain completions of the OpenAI dialect: from a body to what is asked for.

Sources: the published OpenAPI document of the OpenAI API, ``POST /completions``; for what vLLM's
server takes beside, ``openai_parameters``.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.domain.call import Completion
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_parameters import (
    ENDLESS,
    Parameters,
    Prompts,
    Ranges,
    check,
    includes_usage,
    needs,
    prompts,
    read,
    sampling,
    session,
    shape,
    stops,
)
from gateway.wire.whole import Whole

MOST_TOKENS = 16
"""Of an answer, where the app does not say."""
MOST_ANSWERS = 2048
"""That one request may ask for, all its prompts together."""


class _Body(Parameters, kw_only=True):
    prompt: Prompts | None = None
    best_of: Whole | None = None
    echo: bool | None = None
    logprobs: Whole | None = None
    suffix: str | None = None


class CompletionRequest(msgspec.Struct, frozen=True):
    """A parsed body: what the engine needs beside the bytes themselves. ``session`` is by what the
    app says which requests begin alike.
    """

    model: str
    stream: bool
    include_usage: bool
    completion: Completion
    needs: frozenset[Capability]
    session: str | None


_decoder = msgspec.json.Decoder(_Body)
_RANGES = Ranges((("max_tokens", 0, ENDLESS), ("best_of", 0, 20), ("logprobs", 0, 5)))
BODY = _Body
BOUNDS = _RANGES.all
"""For whoever documents it, as is ``BODY``."""


def parse(body: bytes) -> CompletionRequest:
    """Read the body of a completion. Raises ``InvalidRequest`` that names the parameter."""
    parsed = read(_decoder, body)
    check(parsed, _RANGES)
    given = prompts("" if parsed.prompt is None else parsed.prompt, "prompt")
    _check_choices(parsed, len(given))
    completion = Completion(
        prompts=given,
        suffix=parsed.suffix,
        echo=bool(parsed.echo),
        sampling=sampling(parsed),
        max_tokens=MOST_TOKENS if parsed.max_tokens is None else parsed.max_tokens,
        stop=stops(parsed),
        shape=shape(parsed),
        logprobs=parsed.logprobs,
        choices=parsed.n or 1,
    )
    return CompletionRequest(
        model=parsed.model,
        stream=bool(parsed.stream),
        include_usage=includes_usage(parsed),
        completion=completion,
        needs=frozenset(_needs(parsed)),
        session=session(parsed),
    )


def _check_choices(body: _Body, prompts: int) -> None:
    choices, best_of = body.n or 1, body.best_of
    if best_of is not None and 0 < best_of < choices:
        raise InvalidRequest(
            f"'best_of' is {best_of}: it must be at least 'n', which is {choices}.",
            param="best_of",
        )
    if body.stream and _chooses(body):
        raise InvalidRequest(
            "'best_of' cannot be streamed: the best answer is known when all are complete.",
            param="best_of",
        )
    if prompts * max(choices, best_of or 1) > MOST_ANSWERS:
        raise InvalidRequest(
            f"{prompts} prompts with 'n' {choices} are more than {MOST_ANSWERS} answers.",
            param="prompt",
        )


def _chooses(body: _Body) -> bool:
    """Whether more answers are to be made than are wanted."""
    return (body.best_of or 1) > (body.n or 1)


def _needs(body: _Body) -> Iterator[Capability]:
    yield Capability.COMPLETIONS
    yield from needs(body)
    if body.logprobs is not None:
        yield Capability.LOGPROBS
        if body.echo:
            yield Capability.PROMPT_LOGPROBS
    if body.suffix is not None:
        yield Capability.INFILL
    if _chooses(body):
        yield Capability.BEST_OF
