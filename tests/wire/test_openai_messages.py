"""Images in messages: where they stand, and which of them a target must be able to take how."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.domain.call import Image
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest
from gateway.wire.openai_chat import ChatRequest, parse

PNG = "data:image/png;base64,iVBORw0KGgo="


def asked(*parts: dict[str, Any], **fields: Any) -> ChatRequest:
    messages = [{"role": "user", "content": list(parts)}]
    return parse(json.dumps({"model": "m", "messages": messages} | fields).encode())


def image(url: Any, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url} | more}


def text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_images_have_their_place_in_the_text() -> None:
    """In their order, before, within and after; how closely to look is the target's own affair."""
    jpeg = "data:image/jpeg;base64,/9j/"
    parsed = asked(image(PNG), text("what"), image(jpeg, detail="low"), text("is it?"), image(PNG))
    (message,) = parsed.chat.messages
    assert message.content == "whatis it?"
    assert message.images == (Image(PNG, 0), Image(jpeg, 4), Image(PNG, 10))
    assert parsed.needs == {Capability.IMAGES}


URLS = [
    (PNG, {Capability.IMAGES}),
    ("data:image/JPG;base64,/9j/", {Capability.IMAGES}),
    ("data:image/bmp;charset=x;base64,Qk0=", {Capability.IMAGES}),
    ("https://example.org/cat.png", {Capability.IMAGES, Capability.IMAGE_URLS}),
    ("file:///etc/passwd", {Capability.IMAGES, Capability.IMAGE_URLS}),
    ("data:image/webp;base64,UklGRg==", {Capability.IMAGES, Capability.OTHER_IMAGES}),
    ("data:image/png,%89PNG", {Capability.IMAGES, Capability.OTHER_IMAGES}),
    ("data:;base64,iVBORw0KGgo=", {Capability.IMAGES, Capability.OTHER_IMAGES}),
    ("data:" + "x" * 1000, {Capability.IMAGES, Capability.OTHER_IMAGES}),
]


@pytest.mark.parametrize(("url", "needs"), URLS)
@pytest.mark.parametrize("bare", [False, True])
def test_what_an_image_needs_of_a_target(url: str, needs: set[Capability], bare: bool) -> None:
    """Nothing is fetched: an image by URL is for a target that does so."""
    parsed = asked({"type": "image_url", "image_url": url} if bare else image(url))
    assert parsed.needs == needs
    held = [one.url for message in parsed.chat.messages for one in message.images]
    assert held == [url]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url"}, "messages"),
        ({"type": "image_url", "image_url": None}, "messages"),
        (image(""), "messages"),
        (
            {"type": "image_url", "image_url": {}},
            "messages[0].content[0].image_url.url",
        ),
    ],
)
def test_an_image_without_a_url_is_a_mistake(part: dict[str, Any], param: str) -> None:
    """It is never silently left out."""
    with pytest.raises(InvalidRequest) as caught:
        asked(part)
    assert (caught.value.param, caught.value.code) == (param, "missing_required_parameter")


def test_an_answer_to_be_continued_holds_no_images() -> None:
    """Its text is what the answer begins with, and an image cannot be."""
    turn = {"role": "assistant", "content": [image(PNG), text("It is")]}
    with pytest.raises(InvalidRequest) as caught:
        parse(
            json.dumps({"model": "m", "messages": [turn], "continue_final_message": True}).encode()
        )
    assert caught.value.param == "messages"
