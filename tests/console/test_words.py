"""How values are written, and what becomes a link."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.http.console import words


@pytest.mark.parametrize("text", ["https://example.org/12", "http://[::1]:8080/a?b=c#d"])
def test_an_address_of_the_web_may_be_a_link(text: str) -> None:
    assert words.web_address(text) == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "javascript:alert(1)",
        "JavaScript://example.org/%0aalert(1)",
        " javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//example.org",
        "https:",
        "https://",
        "https:example.org",
        "https://example.org/a b",
        "https://exam\u202eple.org/",
        "https://[::1",
        "directive 12",
    ],
)
def test_nothing_else_is_a_link(text: str | None) -> None:
    assert words.web_address(text) is None


def test_instants_are_told_in_utc() -> None:
    at = datetime(2026, 12, 1, 1, 30, 5, tzinfo=timezone(timedelta(hours=2)))
    assert words.iso(at) == "2026-11-30T23:30:05Z"
    assert words.clock(at) == "23:30:05"
    assert words.day_and_minute(at) == "30 Nov 2026 23:30 UTC"
    assert words.clock("2026-11-30T23:30:05.123Z") == "23:30:05"
    assert words.clock("no instant") == words.clock(None) == ""
    assert words.moment(datetime(2026, 1, 1)) == datetime(2026, 1, 1, tzinfo=UTC)  # noqa: DTZ001 - what is tested


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (98_000_000, "98 MB"),
        (1_412_000_000, "1.4 GB"),
    ],
)
def test_sizes(count: int, said: str) -> None:
    assert words.size(count) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 0, "0 %"),
        (0, 9, "0 %"),
        (1, 1000, "< 1 %"),
        (999, 1000, "> 99 %"),
        (9, 9, "100 %"),
        (1, 3, "33 %"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(part: int, whole: int, said: str) -> None:
    assert words.percent(part, whole) == said


def test_names_of_our_own_are_written_as_words() -> None:
    assert words.plain("vendor.banned") == "vendor banned"
    assert words.plain("no_credentials") == "no credentials"


def test_durations_and_counts() -> None:
    assert [words.lasted(us) for us in (None, 0, 45_400, 1_249_000)] == [
        "",
        "0 ms",
        "45 ms",
        "1.2 s",
    ]
    assert words.counted(1, "model") == "1 model"
    assert words.counted(1200, "model") == "1,200 models"
    assert words.counted(2, "process", "processes") == "2 processes"


@pytest.mark.parametrize(
    ("share", "said"),
    [(None, "–"), (0.0, "0 %"), (0.0001, "< 1 %"), (0.5, "50 %"), (0.9999, "> 99 %"), (1, "100 %")],
)
def test_neither_none_nor_all_of_a_share_is_said_by_rounding(
    share: float | None, said: str
) -> None:
    assert words.share(share) == said
