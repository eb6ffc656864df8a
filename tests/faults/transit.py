"""Rows about the way: connections that are not made, end, stall, or carry what is no answer."""

from __future__ import annotations

from tests.faults.row import (
    Expect,
    Row,
    Step,
    course,
    does,
    goes_on,
    local,
    row,
    second,
    served,
)

ANSWER = does("answer")
ACCENTS = "le café crème brûlée déjà"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"

CONNECTIONS: tuple[Row, ...] = (
    row("all is well", ANSWER, served()),
    row("refuses the connection", does("refuse"), second("refused", unseen=True)),
    row("both refuse", does("refuse"), Expect(
        ("refused", "refused", "served"), failover="refused", text=None, requests=(0, 0)
    ), then=does("refuse")),
    row("accepts nobody", does("deaf"), second("connect_timeout", unseen=True)),
    row("the name is not known", ANSWER, second("refused", unseen=True), via="nobody"),
    row("a good certificate", ANSWER, served(), via="tls"),
    row("a certificate for another name", ANSWER, second("tls", unseen=True), via="wrong_name"),
    row("an expired certificate", ANSWER, second("tls", unseen=True), via="expired"),
    row("stalls in the TLS handshake", ANSWER, second("connect_timeout", unseen=True),
        via="no_tls"),
    row("resets what it accepts", does("reset", at="accept"), second("refused", unseen=True)),
    row("resets after the request", does("reset", at="request"), second("refused")),
    row("hangs up after the request", does("hang_up", at="request"), second("refused")),
    row("resets after the head", does("reset", at="head"), second("truncated")),
    row("hangs up after the head", does("hang_up", at="head"), second("truncated")),
    row("resets after the role", does("reset", at="opening"), second("truncated")),
    course(
        "closes right after each answer",
        Step(does("close_after"), served(), times=3),
    ),
    course(
        "closes after each answer, and says so",
        Step(does("close_after", told=True), served(), times=3),
    ),
    course(
        "closes a kept connection on the next request: one transparent retry",
        Step(ANSWER, served()),
        # The simulator sees both: the one that it drops, and its repetition.
        Step(
            does("in_turn", ways=[("raw", {"data": b""}), ("answer", {})]),
            Expect(requests=(2, 0)),
        ),
    ),
)  # fmt: skip

STALLS: tuple[Row, ...] = (
    row("stalls after the request", does("stall"), second("first_token_timeout")),
    row("stalls after the head", does("stall", at="head"), second("first_token_timeout")),
    row(
        "stalls after the role",
        does("stall", at="opening"),
        plain=second("first_token_timeout"),
        stream=second("idle_timeout"),
    ),
    row(
        "stalls in the middle",
        does("stall", at="content"),
        plain=second("idle_timeout"),
        stream=goes_on("idle_timeout"),
    ),
    row(
        "stalls before the terminator",
        does("stall", at="terminator"),
        plain=second("idle_timeout"),
        # It has said that the answer is complete: the app need not wait for another.
        stream=served(),
    ),
    row("both stall", does("stall"), local("first_token_timeout", "first_token_timeout"),
        then=does("stall")),
    row("one byte at a time", does("drip", words=("a", "b")), served("ab")),
    row("endless and says nothing", does("endless"), second("first_token_timeout")),
    row(
        "endless comments in place of a stream",
        does("endless", comments=True),
        stream=second("first_token_timeout"),
    ),
)  # fmt: skip

BODIES: tuple[Row, ...] = (
    row(
        "breaks off in the middle",
        does("break_off"),
        plain=second("truncated"),
        stream=goes_on("truncated"),
    ),
    row(
        "hangs up in the middle",
        does("hang_up", at="content"),
        plain=second("truncated"),
        stream=goes_on("truncated"),
        says="Portkey 1797",
    ),
    row(
        "both break off: the local model goes on",
        does("break_off"),
        plain=local("truncated", "truncated"),
        stream=Expect(
            ("truncated", "truncated", "served"),
            sent="vendor answervendor answer",
            text=None,
            requests=(1, 1),
        ),
        then=does("break_off"),
    ),
    row(
        "half a chunk, then cut",
        does("half_chunk"),
        plain=second("truncated"),
        stream=goes_on("truncated"),
    ),
    row(
        "half a character, then cut",
        does("half_character", words=("le ", "café", " crème")),
        plain=second("truncated"),
        stream=goes_on("truncated", "le "),
    ),
    row("characters split over chunks", does("split_characters"), served(ACCENTS)),
    row(
        "the terminator is missing",
        does("missing_done"),
        plain=second("truncated"),
        stream=served(),
    ),
    row("the last chunk is missing", does("missing_end"), plain=second("truncated"),
        stream=served()),
    row(
        "terminator and last chunk are missing",
        does("missing_both"),
        plain=second("truncated"),
        stream=served(),
    ),
    row("says more bytes than there are", does("wrong_length", by=9), plain=second("truncated"),
        stream=served()),
    row("says fewer bytes than there are", does("wrong_length", by=-9), plain=second("malformed"),
        stream=served()),
    row("a page in place of an answer", does("html"), second("malformed")),
    row("both give a page", does("html"), local("malformed", "malformed"), then=does("html")),
    row("an empty body", does("empty"), second("malformed")),
    row("a gzip bomb", does("gzip_bomb"), second("malformed")),
    row("a header of 5 MB", does("big_header"), second("malformed")),
    row("no HTTP at all", does("raw", data=b"SSH-2.0-OpenSSH_9.2\r\n"), second("malformed")),
    row(
        "a status that is no number",
        does("raw", data=b"HTTP/1.1 fail Oops\r\ncontent-length: 0\r\n\r\n"),
        second("malformed"),
        says="LiteLLM 26913",
    ),
    row(
        "two lengths",
        does("raw", data=_HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        second("malformed"),
    ),
    row(
        "redirects",
        does("raw", data=b"HTTP/1.1 307 X\r\nlocation: /v2\r\ncontent-length: 0\r\n\r\n"),
        second("malformed"),
    ),
)  # fmt: skip
