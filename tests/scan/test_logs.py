"""Logs of what was dialled, streamed."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.readiness.scan.scanning import scan
from gateway.readiness.scan.tree import Tree
from tests.scan.corpus import reader

SQUID = "1700000000.123 9 10.0.0.9 TCP_TUNNEL/200 4500 CONNECT {}:443 - HIER_DIRECT/1.2.3.4 -\n"


def quiet(_: int) -> None:
    """Nobody is told."""


def test_a_host_is_told_once_with_how_often(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    hosts = ["api.openai.com", "example.com", "api.openai.com", "bedrock.us-east-1.amazonaws.com"]
    path.write_text("".join(map(SQUID.format, hosts)))

    found = scan(Tree(reader()._signals).files([path]), 1, quiet).findings

    assert [(one.value, one.line, one.count, one.reach) for one in found] == [
        ("api.openai.com", 1, 2, "direct"),
        ("bedrock.us-east-1.amazonaws.com", 4, 1, "channel"),
    ]
    assert found[1].undetermined.startswith("the account says which developer's model")


def test_a_log_that_is_packed(tmp_path: Path) -> None:
    path = tmp_path / "access.log.1.gz"
    path.write_bytes(gzip.compress(SQUID.format("api.anthropic.com").encode()))
    cut = tmp_path / "access.log.2.gz"
    cut.write_bytes(gzip.compress(SQUID.format("api.anthropic.com").encode() * 9000)[:-20])

    read = scan(Tree(reader()._signals).files([path, cut]), 1, quiet)

    assert [one.value for one in read.findings] == ["api.anthropic.com"]
    assert [one.path for one in read.unread] == [str(cut)]


def test_a_named_file_of_no_kind_is_taken_for_a_log(tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_text("Jan  1 10:00:00 dnsmasq[1]: query[A] api.x.ai from 10.0.0.7\n")

    found = scan(Tree(reader()._signals).files([path]), 1, quiet).findings

    assert [one.value for one in found] == ["api.x.ai"]


@pytest.mark.parametrize("line", ["word " * 9, "x" * 3_000_000])
def test_a_log_of_no_known_form_is_told(tmp_path: Path, line: str) -> None:
    path = tmp_path / "app.log"
    path.write_text(f"{line}\n" * 3)

    read = scan(Tree(reader()._signals).files([path]), 1, quiet)

    assert [one.reason for one in read.unread] == ["it is no log of a form that is known"]


def test_memory_does_not_grow_with_the_log() -> None:
    def lines() -> Iterator[bytes]:
        for number in range(60_000):
            yield SQUID.format(f"acme-{number % 12_000}.openai.azure.com").encode()

    tracemalloc.start()
    read = reader().log("access.log", lines(), certain=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(read.findings) == 10_000
    assert [one.reason for one in read.unread] == [
        "more than 10000 hosts of vendors: 10000 lines are not told"
    ]
    assert peak < 64 << 20
