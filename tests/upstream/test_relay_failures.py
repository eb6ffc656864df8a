"""Each way in which a vendor fails, over real sockets, becomes the kind that the table names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway import __version__
from gateway.domain.events import Failed, FailureKind, Finished, FinishReason, Relayed, Started
from gateway.domain.events import Usage as Tokens

if TYPE_CHECKING:
    from tests.upstream.conftest import Bench, MakeBench

CASES = [
    ("stall", {}, FailureKind.FIRST_TOKEN_TIMEOUT, FailureKind.FIRST_TOKEN_TIMEOUT),
    ("stall_mid_stream", {}, FailureKind.IDLE_TIMEOUT, FailureKind.IDLE_TIMEOUT),
    ("break_off", {}, FailureKind.TRUNCATED, FailureKind.TRUNCATED),
    ("500", {}, FailureKind.SERVER_ERROR, FailureKind.SERVER_ERROR),
    ("503", {}, FailureKind.SERVER_ERROR, FailureKind.SERVER_ERROR),
    ("429", {}, FailureKind.RATE_LIMITED, FailureKind.RATE_LIMITED),
    ("401", {}, FailureKind.UNAUTHORIZED, FailureKind.UNAUTHORIZED),
    ("451", {}, FailureKind.VENDOR_BLOCKED, FailureKind.VENDOR_BLOCKED),
    ("400", {}, FailureKind.REQUEST_FAULT, FailureKind.REQUEST_FAULT),
    ("html", {}, FailureKind.MALFORMED, FailureKind.MALFORMED),
    ("empty", {}, FailureKind.MALFORMED, FailureKind.MALFORMED),
    ("error_event", {}, FailureKind.MALFORMED, FailureKind.STREAM_ERROR),
    ("broken_json", {}, FailureKind.MALFORMED, FailureKind.MALFORMED),
    (
        "other_model",
        {"model": "deepseek-chat"},
        FailureKind.ANSWERED_BY_DENIED,
        FailureKind.ANSWERED_BY_DENIED,
    ),
    ("raw", {"data": b""}, FailureKind.REFUSED, FailureKind.REFUSED),
    ("raw", {"data": b"not http\r\n\r\n"}, FailureKind.MALFORMED, FailureKind.MALFORMED),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("name", "options", "plain", "streamed"), CASES)
async def test_each_failure_is_told_apart(
    make_bench: MakeBench,
    name: str,
    options: dict[str, Any],
    plain: FailureKind,
    streamed: FailureKind,
    stream: bool,
) -> None:
    """A behaviour of the vendor is one kind of failure, and the relay makes one connection."""
    bench = make_bench(wait=0.3 if name.startswith("stall") else 10)
    bench.vendor.behave(name, **options)
    assert await bench.kind(stream=stream) is (streamed if stream else plain)
    assert len(bench.vendor.connections) == 1


async def test_a_dead_vendor_is_refused_and_comes_back(bench: Bench) -> None:
    """A closed port is a refused connection, and the next attempt after its return works."""
    bench.vendor.kill()
    assert await bench.kind() is FailureKind.REFUSED
    bench.vendor.revive()
    assert "vendor answer" in await bench.text()


async def test_tls_to_a_plain_port_is_a_tls_failure(make_bench: MakeBench) -> None:
    """A failed handshake is told apart from a refused connection."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await make_bench(scheme="https", port=port).kind() is FailureKind.TLS


async def test_a_name_that_does_not_resolve_is_refused(make_bench: MakeBench) -> None:
    """No DNS answer counts like no connection."""

    async def unknown(name: str, port: int) -> list[str]:
        raise OSError("no such name")

    assert await make_bench(host="vendor.test", resolve=unknown).kind() is FailureKind.REFUSED


async def test_a_whole_answer_is_relayed_under_the_name_asked_for(bench: Bench) -> None:
    """The app sees its own model name; the engine sees the vendor's, the usage and the end."""
    started, relayed, usage, finished = await bench.events()
    assert started == Started("gpt-4o-2024-08-06")
    assert isinstance(relayed, Relayed)
    assert b'"model": "gpt-4o"' in relayed.data
    assert relayed.text == "vendor answer in pieces"
    assert usage == Tokens(7, 4, 2)
    assert finished == Finished((FinishReason.STOP,))


async def test_what_the_vendor_gets_is_the_targets_model_and_only_our_headers(bench: Bench) -> None:
    """The body's model is the target's, the key goes in its header, and nothing else is told."""
    await bench.events()
    request = bench.vendor.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.json["model"] == "gpt-4o-mini"
    assert request.headers["authorization"] == "Bearer sk-planted-key"
    assert request.headers["openai-organization"] == "org-1"
    assert request.headers["user-agent"] == f"sovereign-gateway/{__version__}"
    assert set(request.headers) == {
        *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
        *("authorization", "openai-organization"),
    }


async def test_a_stream_ends_with_its_terminator_relayed(bench: Bench) -> None:
    """``[DONE]`` is part of the relayed bytes and ``Finished`` comes last."""
    assert (await bench.text(stream=True)).endswith("data: [DONE]\n\n")


async def test_only_the_terminator_is_missing(bench: Bench) -> None:
    """The vendor has said that the answer is complete: the app gets it so, and the vendor's flaw
    is told.
    """
    bench.vendor.behave("missing_done")
    events = await bench.events(stream=True)
    assert isinstance(events[-1], Finished)
    assert events[-1].flaw is not None
    assert events[-1].flaw.kind is FailureKind.TRUNCATED
    text = b"".join(e.data for e in events if isinstance(e, Relayed))
    assert text.count(b'"finish_reason": "stop"') == 1
    assert text.endswith(b"data: [DONE]\n\n")
    assert await bench.kind() is FailureKind.TRUNCATED


async def test_the_end_is_not_told_before_it_is_certain(bench: Bench) -> None:
    """A stream that breaks off in the middle has not told the app that it is over."""
    bench.vendor.behave("break_off", after=3)
    events = await bench.events(stream=True)
    assert b'finish_reason": "stop' not in b"".join(
        e.data for e in events if isinstance(e, Relayed)
    )


async def test_nothing_is_relayed_before_there_is_content(bench: Bench) -> None:
    """A stream that dies after its role chunk has sent the app nothing."""
    bench.vendor.behave("break_off", after=0)
    events = await bench.events(stream=True)
    assert not [event for event in events if isinstance(event, Relayed)]
    assert isinstance(events[-1], Failed)


async def test_retry_after_is_read(bench: Bench) -> None:
    """A rate limit carries the vendor's wait in seconds."""
    bench.vendor.behave("429", retry_after="17")
    assert (await bench.failure()).retry_after == 17


async def test_a_request_fault_keeps_the_vendors_words_but_no_key_or_address(bench: Bench) -> None:
    """The app learns what was wrong with its request, and nothing of the channel."""
    bench.vendor.behave(
        "400",
        message="bad for sk-planted-key at http://127.0.0.1/v1",
        param="top_p of sk-planted-key",
        code="odd at 127.0.0.1",
    )
    failure = await bench.failure()
    assert failure.message == "bad for [key] at http://[vendor]/v1"
    assert (failure.status, failure.code) == (400, "odd at [vendor]")
    assert failure.param == "top_p of [key]"


@pytest.mark.parametrize("date", ["Wed, 21 Oct 2015 07:28:99999999999999999999 GMT", "x", "1e999"])
async def test_no_retry_after_breaks_an_attempt(bench: Bench, date: str) -> None:
    """A header that is nonsense leaves a rate limit without a wait."""
    bench.vendor.behave("429", retry_after=date)
    failure = await bench.failure()
    assert (failure.kind, failure.retry_after) == (FailureKind.RATE_LIMITED, None)


async def test_an_event_stream_nobody_asked_for_is_not_waited_for(bench: Bench) -> None:
    """A plain request that gets an endless stream fails by its head."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    bench.vendor.behave("raw", data=head + b"Transfer-Encoding: chunked\r\n\r\n", keep=True)
    failure = await bench.failure()
    assert (failure.kind, failure.message) == (
        FailureKind.MALFORMED,
        "the answer is an event stream",
    )


async def test_refuse_is_a_closed_port(bench: Bench) -> None:
    """The simulator stops listening, and listens again with the next behaviour."""
    bench.vendor.behave("refuse")
    assert await bench.kind() is FailureKind.REFUSED
    bench.vendor.behave("answer")
    assert "vendor answer" in await bench.text()


async def test_a_blocked_region_is_known_by_its_code(bench: Bench) -> None:
    """A 401 with a region's code is a block, not a wrong key."""
    bench.vendor.behave("401", code="unsupported_country_region_territory")
    assert await bench.kind() is FailureKind.VENDOR_BLOCKED
