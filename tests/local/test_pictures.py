"""What an image says of itself, before anything decodes it; and its place in a prompt."""

from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.local.jobs import Job
from gateway.local.pictures import Picture, PictureFault, Piece, check, decode, laid_out, marks
from tests.local.image_files import GIF, JPEG, WEBP, bmp, data_url, png, png_header

WHOLE = [png(3, 2), JPEG, GIF, bmp(3, 2), bmp(3, -2)]


def fault(*images: bytes) -> str:
    with pytest.raises(PictureFault) as caught:
        check(images)
    return str(caught.value)


def test_usual_images_pass() -> None:
    """Of each type, and together."""
    check(WHOLE)


TOO_LARGE = [
    png_header(10_000, 10_000),
    png_header(5_000, 5_000, bits=16),
    png_header(0xFFFF_FFFF, 0xFFFF_FFFF),
    b"GIF89a" + b"\xff\xff\xff\xff",
    JPEG[:-1].replace(b"\x00\x08\x00\x10\x03", b"\xff\xff\xff\xff\x03"),
    bmp(3, 2)[:18] + (100_000).to_bytes(4, "little") + (-1_000).to_bytes(4, "little", signed=True),
    b"BM" + bytes(12) + (12).to_bytes(4, "little") + b"\xff\xff\xff\xff",
]


@pytest.mark.parametrize("image", TOO_LARGE)
def test_what_would_take_much_memory_is_refused_by_its_header(image: bytes) -> None:
    """Nothing is decoded for it, and the message says what to do."""
    assert "more than 40 million: scale it down" in fault(image)


def test_many_images_are_bounded_together() -> None:
    """Each is small enough; decoding all of them would keep others waiting."""
    assert "together have more than 160 million" in fault(*[png_header(6_000, 6_000)] * 5)


BROKEN = [
    (b"", "unknown type"),
    (b"<svg/>", "unknown type"),
    (b"\x89PNG\r\n\x1a\n", "ends within its header"),
    (png_header(0, 5), "has no pixels"),
    (png_header(1, 201), "200 times as long"),
    (bmp(3, 2)[:20], "ends within its header"),
    (bmp(-3, 2), "has no pixels"),
    (b"\xff\xd8", "ends within its header"),
    (b"\xff\xd8\x00", "no whole JPEG"),
    (b"\xff\xd8\xff\xe0\x00\x02\x00", "no whole JPEG"),
    (b"\xff\xd8" + b"\xff" * 50, "ends within its header"),
    (b"\xff\xd8" + b"\xff\xd0" * 50, "ends within its header"),
    (WEBP, "WebP, which is not supported here: send PNG or JPEG"),
    (b"RIFF\0\0\0\0WAVEfmt ", "unknown type"),
]


@pytest.mark.parametrize(("image", "why"), BROKEN)
def test_what_is_no_image_is_refused(image: bytes, why: str) -> None:
    assert why in fault(image)


@given(st.sampled_from([*WHOLE, WEBP]), st.integers(0, 80), st.binary(max_size=40))
def test_no_header_leads_astray(image: bytes, cut: int, tail: bytes) -> None:
    """Whatever the bytes, there is an answer, and no other exception than the typed one."""
    with suppress(PictureFault):
        check([image[:cut] + tail])


def test_data_urls() -> None:
    """Strictly base64, and something in it."""
    assert decode(data_url(b"abc")) == b"abc"
    assert decode("data:image/png;charset=x;BASE64,YWJj") == b"abc"
    for url, why in (
        ("data:image/png;base64,", "is empty"),
        ("data:image/png;base64,YW J", "not valid base64"),
        ("data:image/png;base64,YWJ", "not valid base64"),
        ("data:image/png;base64,YWJ\u00e9", "not valid base64"),
        ("data:image/png,YWJj", "no"),
        ("YWJj", "no"),
    ):
        with pytest.raises(PictureFault, match=why):
            decode(url)


def test_marks_are_of_one_image_alone() -> None:
    """And of one part of it; below zero, where no token is."""
    first = list(itertools.islice(marks(b"a"), 3))
    assert first == list(itertools.islice(marks(b"a"), 3))
    assert len({*first, *itertools.islice(marks(b"b"), 3)}) == 6
    assert max(first) < -(1 << 64)


PIECES = st.lists(
    st.one_of(
        st.lists(st.integers(0, 3), max_size=5).map(tuple),
        st.builds(Picture, st.integers(-3, -1), st.integers(1, 4), st.none()),
    ),
    min_size=1,
)


@given(PIECES, st.integers(1, 3))
def test_a_prompt_is_computed_piece_by_piece(pieces: list[Piece], most: int) -> None:
    """All of it, images as a whole and nothing beside them, their marks where they are."""
    prompt, pictures = laid_out(pieces)
    job = Job("k", prompt, pictures=pictures)
    seen: list[Picture] = []
    at = 0
    while at < len(prompt):
        tokens, picture = job.piece(at, most)
        if picture is None:
            assert 0 < len(tokens) <= most
            assert min(tokens) >= 0
        else:
            assert list(tokens) == [picture.mark] * picture.size
            seen.append(picture)
        assert list(tokens) == prompt[at : at + len(tokens)]
        at += len(tokens)
    assert at == len(prompt)
    assert seen == [piece for piece in pieces if isinstance(piece, Picture)]


def test_the_end_of_a_prompt_is_computed_in_any_case() -> None:
    """Its last token, or the image that it ends in as a whole."""
    picture = Picture(-1, 5, None)
    cases: list[tuple[list[Piece], int]] = [
        ([(1, 2, 3)], 2),
        ([(1,), picture], 1),
        ([picture, (1,)], 5),
    ]
    for pieces, known in cases:
        prompt, pictures = laid_out(pieces)
        assert Job("k", prompt, pictures=pictures).known == known
