"""Strict YAML: what is taken, what is refused, and where."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.documents import MAX_BYTES, Mark, parse_document
from gateway.config.schema import Closed, Text, Whole, validate
from gateway.errors import DocumentError


def refused(text: str | bytes) -> str:
    raw = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(DocumentError) as caught:
        parse_document(raw, "x.yaml")
    return caught.value.message


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("false", False),
        ("NO", "NO"),
        ("yes", "yes"),
        ("off", "off"),
        ("~", None),
        ("null", None),
        ("2026-03-05", "2026-03-05"),
        ("12", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("<<", "<<"),
        ('"12"', "12"),
        ("'true'", "true"),
    ],
)
def test_scalars_follow_the_core_schema(word: str, value: object) -> None:
    """A plain scalar is what YAML 1.2 says, so that NO is a country and a date a string."""
    got = parse_document(f"a: {word}".encode(), "x").data["a"]
    assert got == value
    assert type(got) is type(value)


def test_positions_of_keys_and_values_count_from_one() -> None:
    """Every value and every key knows its line and column."""
    document = parse_document(b"a:\n  b: [x, {c: 1}]\n", "x")
    assert document.positions[("a", "b", 1, "c")] == Mark(2, 14)
    assert document.keys[("a", "b")] == Mark(2, 3)


def test_everything_beyond_plain_data_is_refused_at_once() -> None:
    """Alias, anchor, tag, duplicate key and a key that is no string are told together."""
    message = refused("a: &x 1\nb: *x\nc: !!str 5\na: 2\n3: x\nd: {~: 1}\n")
    assert "x.yaml:1:4: an anchor (&) is not allowed here" in message
    assert "x.yaml:2:4: an alias (*) is not allowed here" in message
    assert "x.yaml:3:4: an explicit tag (!) is not allowed here" in message
    assert "x.yaml:4:1: duplicate key 'a': first given on line 1" in message
    assert "x.yaml:5:1: expected a string as the key" in message
    assert "x.yaml:6:5: expected a string as the key" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1,\nb: 2\n", "x.yaml:3:1: not valid YAML: did not find expected ',' or ']'"),
        ("a: 'x\n", "x.yaml:2:1: not valid YAML: found unexpected end of stream"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2:1: a second document"),
        ("[" * 50_000, "x.yaml:1:33: nested too deeply: at most 32 levels"),
        ("a: 1\nb: \x00", "x.yaml:2:4: not valid YAML: the character U+0000 is not allowed"),
        (b"a: 1\nb: \xff\n", "x.yaml:2:4: not valid UTF-8"),
        ("? [a]\n: b\n", "x.yaml:1:3: expected a word as the key"),
        ("#" * (MAX_BYTES + 1), f"{MAX_BYTES + 1} bytes: a document has at most {MAX_BYTES}"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_a_position(text: str | bytes, expected: str) -> None:
    """Broken syntax, encoding, depth and size end in a DocumentError that says where."""
    assert expected in refused(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_data_or_a_document_error(raw: bytes) -> None:
    """Nothing but a DocumentError ever leaves the parser."""
    with contextlib.suppress(DocumentError):
        parse_document(raw, "x")


@pytest.mark.parametrize(
    "line",
    [
        "api_key: sk-live-0123456789abcdef, oops: [",
        "x: {token: abcdefgh, oops: [",
        "note: sk-live-0123456789abcdef, [",
    ],
)
def test_a_line_that_may_hold_a_key_is_masked(line: str) -> None:
    """The text of a line never shows what stands where a credential would."""
    message = refused(f"b: *x\n{line} *y\n? &z [\n")
    assert "0123456789" not in message
    assert "abcdefgh" not in message


class _Inner(Closed):
    name: Text
    size: Whole = 1


class _Outer(Closed):
    items: tuple[_Inner, ...]
    inner: _Inner | None = None


def test_a_schema_tells_every_mistake_with_the_nearest_word() -> None:
    """Unknown key, wrong type, missing key: all at once, each at its place."""
    document = parse_document(
        b"items:\n  - nam: x\n  - {name: 3, size: true}\ninner: []\n", "x.yaml"
    )
    with pytest.raises(DocumentError) as caught:
        validate(document, _Outer)
    assert caught.value.message == (
        "x.yaml:2:5: missing key 'name'\n      - nam: x\n        ^\n"
        "x.yaml:2:5: unknown key 'nam'\n      - nam: x\n        ^\n    did you mean 'name'?\n"
        "x.yaml:3:12: expected a string\n      - {name: 3, size: true}\n               ^\n"
        "x.yaml:3:21: expected a whole number\n      - {name: 3, size: true}\n"
        "                        ^\n"
        "x.yaml:4:8: expected a mapping\n    inner: []\n           ^"
    )


def test_an_empty_document_is_no_mapping() -> None:
    """A file with nothing in it is told so, not taken for a default."""
    with pytest.raises(DocumentError, match="expected a mapping at the top"):
        validate(parse_document(b"# nothing\n", "x"), _Outer)
