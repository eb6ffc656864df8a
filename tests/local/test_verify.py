"""The hash of a model file, and how it is remembered."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from gateway.errors import ModelFileError
from gateway.local.verify import CACHE, verify_file


def test_match_is_remembered(tmp_path: Path) -> None:
    """The second check of an unchanged file does not hash it again."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weights")
    good = hashlib.sha256(b"weights").hexdigest()
    assert verify_file(path, good, tmp_path / "state") is False
    assert verify_file(path, good, tmp_path / "state") is True
    assert [p.name for p in (tmp_path / "state").iterdir()] == [CACHE]


def test_altered_byte_names_both_hashes(tmp_path: Path) -> None:
    """One byte altered, the same length: refused, with both hashes and the file's name."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weights")
    good = hashlib.sha256(b"weights").hexdigest()
    verify_file(path, good, tmp_path)
    path.write_bytes(b"weightz")
    os.utime(path, ns=(0, 1))
    bad = hashlib.sha256(b"weightz").hexdigest()
    for _ in range(2):  # the second time out of the cache
        with pytest.raises(ModelFileError) as raised:
            verify_file(path, good, tmp_path)
        assert good in raised.value.message
        assert bad in raised.value.message
        assert "m.gguf" in raised.value.message


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """The way out stands in the message."""
    with pytest.raises(ModelFileError, match="make setup"):
        verify_file(tmp_path / "gone.gguf", "0" * 64, tmp_path)


def test_broken_cache_costs_one_hashing(tmp_path: Path) -> None:
    """A cache that does not parse is written anew."""
    path = tmp_path / "m.gguf"
    path.write_bytes(b"weights")
    (tmp_path / CACHE).write_text("{")
    good = hashlib.sha256(b"weights").hexdigest()
    assert verify_file(path, good, tmp_path) is False
    assert verify_file(path, good, tmp_path) is True
