"""``server.cors``: which web pages may call the gateway from a browser."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.schema import Closed, Text, Whole

ANY = "*"
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:]+])"
    r"(:(?P<port>[1-9][0-9]{0,4}))?\Z"
)
_USUAL = (("http", "80"), ("https", "443"))
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")


def _origin(value: str) -> str:
    """As a browser writes it: a scheme (an extension has one of its own), a host in lower case, and
    a port where it is not the usual one.
    """
    written = _ORIGIN.match(value)
    if value == ANY:
        return value
    if written is None or (written["scheme"], written["port"]) in _USUAL:
        raise PydanticCustomError(
            "origin",
            "expected an origin as browsers write it, or '*'",
            {"hint": "for instance https://app.example or http://localhost:3000, without a path"},
        )
    return value


def _header(value: str) -> str:
    if value == ANY or not _HEADER.match(value):
        raise PydanticCustomError("header", "expected the name of a request header")
    return value


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Origin = Annotated[Text, AfterValidator(_origin)]
Header = Annotated[Text, AfterValidator(_header)]


class CorsSection(Closed):
    """The pages of ``origins`` may call the data plane, or those of any with ``*``; they may send
    ``headers`` beside those of the SDKs, and browsers need not ask again for ``max_age`` seconds.
    """

    origins: Annotated[tuple[Origin, ...], Field(min_length=1), BeforeValidator(_several)]
    headers: tuple[Header, ...] = ()
    max_age: Annotated[Whole, Field(ge=0, le=86400)] = 600

    @model_validator(mode="after")
    def _alone(self) -> Self:
        if ANY in self.origins and len(self.origins) > 1:
            raise PydanticCustomError("origins", "'*' stands for every origin: give it alone")
        return self
