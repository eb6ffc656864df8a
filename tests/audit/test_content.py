"""Sealed content, and the HMAC of prompts."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.content import MAGIC, Contents, generate, private_key, recipient, seal, unseal
from gateway.audit.prompts import MEMBERS, prompt_hmac
from gateway.errors import StateError

KEY = b"0123456789abcdef0123456789abcdef"
AT = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)


@given(st.binary(), st.lists(st.binary()))
def test_what_is_sealed_opens_again(request: bytes, answer: list[bytes]) -> None:
    pem, public = generate()
    key = recipient(public, Path())
    line = b'{"id":"a","at":"2026-03-01T00:00:00Z","request":%d,"answer":0}\n' % len(request)
    found = unseal(private_key(pem), seal(key, line + request + b"".join(answer)))
    assert (found.request, found.answer) == (request, b"".join(answer))


def test_what_was_altered_or_is_anothers_does_not_open(tmp_path: Path) -> None:
    pem, public = generate()
    Contents(tmp_path, recipient(public, tmp_path)).keep("a", AT, b"question", [b"answer"])
    sealed = (tmp_path / "2026-03-01" / "a.sealed").read_bytes()
    assert unseal(private_key(pem), sealed).request == b"question"
    for at in (len(MAGIC), len(MAGIC) + 40, len(sealed) - 1):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(ValueError, match="for another key, or was altered"):
            unseal(private_key(pem), altered)
    with pytest.raises(ValueError, match="for another key, or was altered"):
        unseal(private_key(generate()[0]), sealed)
    for none in (b"", MAGIC, b"x" + sealed[1:]):
        with pytest.raises(ValueError, match="no file of sealed content"):
            unseal(private_key(pem), none)


def test_no_two_files_are_alike() -> None:
    """Each has a key of its own: the nonce is the same."""
    key = recipient(generate()[1], Path())
    assert seal(key, b"same")[-20:] != seal(key, b"same")[-20:]


def test_a_key_made_by_openssl_will_do(tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    for command in (
        ("genpkey", "-algorithm", "X25519", "-out", str(private)),
        ("pkey", "-in", str(private), "-pubout", "-out", str(public)),
    ):
        subprocess.run(("openssl", *command), check=True, capture_output=True)
    key = recipient("file:public.pem", tmp_path)
    line = b'{"id":"a","at":"2026-03-01T00:00:00Z","request":2,"answer":0}\n'
    assert unseal(private_key(private.read_bytes()), seal(key, line + b"ab")).request == b"ab"


@pytest.mark.parametrize("word", ["x25519:", "x25519:AAAA", "ed25519:x", "-----BEGIN", ""])
def test_what_is_no_recipient(word: str, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="recipient is no public key"):
        recipient(word, tmp_path)
    (tmp_path / "key").write_text(word)
    with pytest.raises(StateError, match="recipient is no public key"):
        recipient("file:key", tmp_path)
    with pytest.raises(StateError, match="cannot be read"):
        recipient("file:none", tmp_path)
    with pytest.raises(StateError, match="no private key for content"):
        private_key(word.encode())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('aé\U0001f600\ue000\n"'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("a\U0001f600\ue000"), inner)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*MEMBERS, "model", "tools"]), JSON), st.booleans())
def test_a_prompt_is_known_however_it_is_written(body: dict[str, Any], spaced: bool) -> None:
    """By the members of its body that are it, in canonical form."""
    prompt = {name: value for name, value in body.items() if name in MEMBERS}
    written = json.dumps(body, indent=1 if spaced else None, ensure_ascii=spaced).encode()
    known = hmac.new(KEY, rfc8785.dumps(prompt), hashlib.sha256).hexdigest() if prompt else None
    assert prompt_hmac(KEY, written) == known


def test_numbers_in_a_prompt_are_what_javascript_reads() -> None:
    great, greater = 2**53 + 1, "9" * 400
    assert prompt_hmac(KEY, b'{"input":[%d]}' % great) == prompt_hmac(
        KEY, b'{"input":[%d]}' % 2**53
    )
    assert prompt_hmac(KEY, b'{"input":[1e2]}') == prompt_hmac(KEY, b'{"input":[100]}')
    assert prompt_hmac(KEY, b'{"input":[%b]}' % greater.encode()) is not None


@pytest.mark.parametrize(
    "body", [b"", b"--form", b"[]", b'"x"', b'{"model":"x"}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_prompt_has_none(body: bytes) -> None:
    assert prompt_hmac(KEY, body) is None


@pytest.mark.parametrize("depth", [300, 700, 950, 5000, 100_000])
def test_no_prompt_is_nested_too_deeply(depth: int) -> None:
    """It may have none, by the Python: but whatever writes the log is not ended by it."""
    for inside in (b"1", b"1.5", b'"\\ud800"'):
        nested = b'{"input":' + b"[" * depth + inside + b"]" * depth + b"}"
        assert prompt_hmac(KEY, nested) is None or depth < 100_000
