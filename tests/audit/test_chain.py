"""Lines are in the canonical form of RFC 8785, and each holds the one before."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.audit.chain import (
    GREATEST,
    NOTHING,
    Head,
    Kind,
    canonical,
    digest,
    fault,
    head,
    line,
    link,
    signed_part,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-GREATEST, GREATEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)
AT = "2026-03-01T12:00:00Z"


@given(st.dictionaries(TEXT, PLAIN))
@example({"every character up to DEL": "".join(map(chr, range(0x80)))})
@example({"line ends": "\u2028\u2029\x85", "quotes": '"\\/', "beyond": "\U0001f600\uffff\ue000"})
@example({"\U0001f600": 1, "\ue000": 2, "a": {"\ufb33": 1, "\U00010000": 2}})
@example({"f": [0.0, -0.0, 1.0, 1e21, 1e20, 123456.7, 1e-6, 1e-7, 5e-324, -1.5e300, 21.5]})
@example({"greatest": GREATEST, "least": -GREATEST, "long text": ":1234567890123456"})
def test_the_form_is_that_of_rfc_8785(fields: dict[str, Any]) -> None:
    assert canonical(fields) == rfc8785.dumps(fields)


@pytest.mark.parametrize(
    ("given_", "written"),
    [
        ({"n": 10**20}, b'{"n":9007199254740991}'),
        ({"n": [-(10**20)]}, b'{"n":[-9007199254740991]}'),
        ({"half \ud83d": "\udc00 and \ud83d\ude00"}, '{"half �":"� and 😀"}'.encode()),
        ({"n": [1.5, float("inf"), float("nan")]}, b'{"n":[1.5,null,null]}'),
        ({"n": [float("inf")]}, b'{"n":[null]}'),
        ({"yes": True, "n": 10**17}, b'{"n":9007199254740991,"yes":true}'),
    ],
)
def test_what_json_cannot_carry_is_mended(given_: dict[str, Any], written: bytes) -> None:
    assert canonical(given_) == written


@given(st.lists(st.dictionaries(TEXT, PLAIN), min_size=1, max_size=5), st.data())
def test_lines_follow_each_other_and_nothing_else_does(
    all_fields: list[dict[str, Any]], data: st.DataObject
) -> None:
    before, lines = Head(), []
    for fields in all_fields:
        written, after = line(before, Kind.EVENT, {**fields, "at": AT})
        assert fault(before, written) is None
        assert after == head(written) == Head(before.seq + 1, digest(written))
        assert b"\n" not in written
        lines.append((before, written))
        before = after
    where, whole = data.draw(st.sampled_from(lines))
    at = data.draw(st.integers(0, len(whole) - 1))
    altered = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 127))]) + whole[at + 1 :]
    behind, _ = line(Head(where.seq + 1, digest(whole)), Kind.EVENT, {"at": AT})
    assert fault(Head(where.seq + 1, digest(altered)), behind) == (
        f"the line before (number {where.seq + 1}) is not the one that this was written behind"
    )


def test_what_stands_in_a_line() -> None:
    first, at_one = line(Head(), Kind.REQUEST, {"at": AT, "id": "a"})
    assert first == (
        b'{"at":"2026-03-01T12:00:00Z","id":"a","kind":"request",'
        b'"prev":"' + NOTHING.encode() + b'","seq":1}'
    )
    second, _ = line(at_one, Kind.EVENT, {"at": AT})
    assert json.loads(second)["prev"] == hashlib.sha256(first).hexdigest()
    assert link(second).kind is Kind.EVENT


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (b"", "it is no line of a log: Input data was truncated"),
        (b"\xff", "it is no line of a log: JSON is malformed"),
        (b'{"kind":"\xff"}', "it is no line of a log: "),
        (b'{"at":"","kind":"event","prev":"","seq":3}', "its number is 3, and 2 should follow"),
        (
            b'{"at":"","kind":"event","prev":"","seq":2}',
            "the line before (number 1) is not the one that this was written behind",
        ),
        (b'{"at":"","kind":"other","prev":"","seq":2}', "it is no line of a log: Invalid enum"),
    ],
)
def test_why_a_line_does_not_follow(written: bytes, reason: str) -> None:
    assert (fault(Head(1, NOTHING), written) or "").startswith(reason)


def test_a_signature_is_over_all_else_of_its_line() -> None:
    plain, _ = line(Head(), Kind.CHECKPOINT, {"at": AT, "key": "k"})
    signed, _ = line(Head(), Kind.CHECKPOINT, {"at": AT, "key": "k", "signature": "s"})
    assert signed_part(signed) == plain
