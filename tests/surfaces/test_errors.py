"""Errors as the official SDKs take them: the exception that they raise, and whether they ask again.
Their own code decides here, on the very bytes and headers that the gateway sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from gateway import errors
from gateway.errors import GatewayError, RequestError, StartupError, Unavailable
from gateway.http.anthropic import AnthropicManners
from gateway.http.asgi import send_error
from gateway.http.exchange import Manners
from gateway.http.openai import OpenAIManners
from tests.surfaces.errors import CAUSES, OPERATORS, Cause

httpx = pytest.importorskip(openai.APIStatusError.__init__.__globals__["httpx2"].__name__)
"""The HTTP library of the SDKs that are installed."""


async def answered(manners: Manners, error: GatewayError) -> Any:
    """The response to an error, as a client gets it."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await send_error(send, manners, error, "r1", manners.ids("r1"))
    head, body = sent
    request = httpx.Request("POST", "http://gateway/v1/x")
    return httpx.Response(
        head["status"], headers=head["headers"], content=body["body"], request=request
    )


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.words)
async def test_the_openai_sdk(cause: Cause) -> None:
    response = await answered(OpenAIManners(), cause.error)
    async with openai.AsyncOpenAI(api_key="k", base_url="http://gateway/v1") as client:
        raised = client._make_status_error_from_response(response)
        assert type(raised) is getattr(openai, cause.openai)
        assert (raised.status_code, raised.type) == (cause.error.status, cause.error.type)
        assert (raised.code, raised.param) == (cause.error.code, cause.error.param)
        assert client._should_retry(response) is cause.again
        _waits(cause, client._parse_retry_after_header(response.headers))


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.words)
async def test_the_anthropic_sdk(cause: Cause) -> None:
    response = await answered(AnthropicManners(), cause.error)
    async with anthropic.AsyncAnthropic(api_key="k", base_url="http://gateway") as client:
        raised = client._make_status_error_from_response(response)
        expected = getattr(anthropic, cause.anthropic, None)
        assert type(raised) is (expected or getattr(anthropic._exceptions, cause.anthropic))
        assert raised.request_id == "r1"
        assert client._should_retry(response) is cause.again
        _waits(cause, client._parse_retry_after_header(response.headers))


def _waits(cause: Cause, seconds: float | None) -> None:
    """An SDK that asks again waits exactly as long as it is told, and it is always told."""
    assert seconds == cause.error.retry_after
    assert not cause.again or seconds is not None


def test_no_error_is_left_out() -> None:
    """What an app can get has a row, whatever class is added to the tree."""
    placed = {type(cause.error) for cause in CAUSES}
    assert set(_concrete(GatewayError)) - OPERATORS == placed


def _concrete(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    # What commands say to who gives them, no app can get.
    if kind is StartupError or kind.__module__.startswith("gateway.cli."):
        return
    below = kind.__subclasses__()
    if kind not in (GatewayError, RequestError):
        yield kind
    for each in below:
        yield from _concrete(each)


@pytest.mark.parametrize(("wait", "again"), [(60.0, True), (60.1, False)])
def test_how_long_an_sdk_is_told_to_wait(wait: float, again: bool) -> None:
    """No longer than anybody looks on: one of the SDKs would wait for hours."""
    assert Unavailable("x", retry_after=wait).again is again
    assert errors.LONGEST_WAIT == 60.0
