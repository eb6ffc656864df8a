"""``admin``: where operators reach a running gateway, and by what names."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.schema import Closed, Flag, Text, Whole

_HOST = re.compile(r"([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+])(:[1-9][0-9]{0,4})?\Z")


def _host(value: str) -> str:
    """As a browser writes it: lower case, an address of IPv6 in brackets, perhaps with a port."""
    if not _HOST.match(value):
        raise PydanticCustomError(
            "host",
            "expected a name as it stands in the address of a browser",
            {"hint": "for instance gateway.example or 10.0.0.5:9090, without https:// or a path"},
        )
    return value


class AdminSection(Closed):
    """With a ``port``, probes, metrics, the operators' API and the console are there alone (at
    ``host``), and on the port of the apps no more. ``hosts`` are the names by which operators reach
    it, beside those of this machine itself; with ``https`` something in front of it speaks that to
    their browsers.
    """

    port: Annotated[Whole, Field(ge=0, le=65535)] | None = None
    host: Text = "127.0.0.1"
    hosts: tuple[Annotated[Text, AfterValidator(_host)], ...] = ()
    https: Flag = False

    @model_validator(mode="after")
    def _has_a_port(self) -> Self:
        if self.port is None and "host" in self.model_fields_set:
            raise PydanticCustomError(
                "host", "admin.host says nothing without admin.port", {"hint": "add a port"}
            )
        return self
