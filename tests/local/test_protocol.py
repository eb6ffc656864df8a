"""Frames between serving process and worker, in pieces of any size."""

from __future__ import annotations

import pytest

from gateway.domain.call import (
    Chat,
    Completion,
    Embedding,
    Message,
    Sampling,
    Shape,
    ShapeKind,
    Tool,
    ToolChoice,
    Tools,
)
from gateway.domain.events import Likely, Scored
from gateway.domain.target import Capability
from gateway.local.abilities import Abilities, ChatAbilities, Thinks, Told
from gateway.local.layout import Layout, Share
from gateway.local.protocol import (
    Accepted,
    Cancel,
    Complete,
    Count,
    Counted,
    Done,
    Embed,
    Generate,
    Hello,
    Ping,
    Pong,
    Reason,
    RefusalKind,
    Refused,
    Reply,
    Request,
    Text,
    Vectors,
    encode,
    reply_decoder,
    request_decoder,
)
from gateway.local.reader import PieceKind
from gateway.processes.frames import MAX_FRAME, ProtocolError

REQUESTS: list[Request] = [
    Generate(
        1,
        Chat(
            (Message("user", "grüß dich"),),
            Sampling(temperature=0.0, seed=3, logit_bias=((5, -1.5),)),
            5,
            ("a",),
            tools=Tools((Tool("f"),), ToolChoice.REQUIRED, "f"),
            shape=Shape(ShapeKind.JSON_SCHEMA, "{}"),
        ),
        app="t/a",
        within=2.5,
    ),
    Complete(
        2, Completion(("a", (1, 2)), "b", echo=True, shape=Shape(ShapeKind.CHOICE, "[]"), choices=2)
    ),
    Embed(3, Embedding(("a", (1, 2)), 64), "t/a", 2.5),
    Count(Generate(4, Chat((Message("user", "a"),)))),
    Count(Complete(5, Completion(((7,),)))),
    Cancel(1),
    Ping(),
]
REPLIES: list[Reply] = [
    Hello(
        "smollm2",
        4096,
        8,
        77,
        Layout(31, 1 << 30, (Share("CUDA0", 12, 1 << 20),), "why"),
        Abilities(
            (Capability.TOOLS,), ChatAbilities(("user",), True, Told.NATIVE, Thinks.SWITCHED)
        ),
    ),
    Accepted(1, 30),
    Text(1, "é"),
    Text(1, "f", PieceKind.CALL, 2),
    Text(1, "x", scores=(Scored(b"x", -0.5, (Likely(b"x", -0.5),)),)),
    Done(1, (Reason.LENGTH, Reason.STOP), 30, 5),
    Vectors(3, (b"\x00\x01", b"\xff")),
    Counted(4, 17),
    Refused(2, RefusalKind.BUSY, "full", 2.5),
    Pong(3, 8, 120.5),
]


@pytest.mark.parametrize("size", [1, 3, 7, 1 << 20])
def test_any_pieces(size: int) -> None:
    """What is fed one byte at a time comes out as what is fed whole."""
    requests = b"".join(map(encode, REQUESTS))
    replies = b"".join(map(encode, REPLIES))
    worker, client = request_decoder(), reply_decoder()
    got = [m for at in range(0, len(requests), size) for m in worker.feed(requests[at : at + size])]
    assert got == REQUESTS
    back = [m for at in range(0, len(replies), size) for m in client.feed(replies[at : at + size])]
    assert back == REPLIES
    assert worker.pending == client.pending == 0


def test_too_long_a_frame_is_refused_by_its_length() -> None:
    """Nothing is collected for a frame over the limit."""
    with pytest.raises(ProtocolError, match="over the limit"):
        list(request_decoder().feed((MAX_FRAME + 1).to_bytes(4, "big")))


@pytest.mark.parametrize("body", [b"\xc1", b"\x80", encode(REPLIES[0])[4:]])
def test_other_messages_are_refused(body: bytes) -> None:
    """No msgpack, no tag, or the other side's message: an error of the protocol."""
    with pytest.raises(ProtocolError, match="not a message"):
        list(request_decoder().feed(len(body).to_bytes(4, "big") + body))


def test_a_number_that_the_protocol_does_not_have() -> None:
    """Whoever asked with it is told, and nothing was sent."""
    sampling = Sampling(top_k=1 << 64)
    with pytest.raises(ProtocolError, match="64 bits"):
        encode(Generate(1, Chat(messages=(), sampling=sampling)))
