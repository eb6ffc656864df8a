"""``telemetry:``: what the gateway tells of itself, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.addresses import base_address, is_loopback
from gateway.config.cors import Header
from gateway.config.schema import Closed, Flag, Number, Text
from gateway.config.secrets import Secret
from gateway.processes.logs import Format, Level, Logs

_NOT_OURS = frozenset({"*", "connection", "content-length", "content-type", "host", "user-agent"})


def _free(name: str) -> str:
    if name.lower() in _NOT_OURS:
        raise PydanticCustomError("header", "this header is not for the configuration to say")
    return name


class LogsSection(Closed):
    """``requests`` says of which requests a line is written when they end."""

    format: Literal["auto", "json", "console"] = Format.AUTO.value
    level: Literal["debug", "info", "warning", "error"] = Level.INFO.value
    requests: Literal["all", "failures", "none"] = "all"


class OtlpSection(Closed):
    """Traces and metrics go to ``endpoint`` by OTLP over HTTP, every ``interval`` seconds, with
    ``headers``, whose values are secrets; of requests that nobody else traces, a share of
    ``sample`` is. ``locality`` and ``allow_private`` are as for a channel.
    """

    endpoint: Annotated[Text, AfterValidator(base_address)]
    headers: Mapping[Annotated[Header, AfterValidator(_free)], Secret] = Field(default_factory=dict)
    interval: Annotated[Number, Field(ge=0.1, le=3600)] = 10
    sample: Annotated[Number, Field(ge=0, le=1)] = 1
    locality: Literal["cloud", "sovereign"] = "cloud"
    allow_private: Flag = False

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        host = urlsplit(self.endpoint).hostname or ""
        if self.locality == "cloud" and self.endpoint.startswith("http:") and not is_loopback(host):
            raise PydanticCustomError(
                "plain_http",
                "telemetry would leave over plain http",
                {"hint": "use https, or say locality: sovereign if it is inside your own boundary"},
            )
        return self


class TelemetrySection(Closed):
    """Nothing is sent anywhere without ``otlp``."""

    logs: LogsSection = Field(default_factory=LogsSection)
    otlp: OtlpSection | None = None

    @property
    def process_logs(self) -> Logs:
        """How each process logs."""
        return Logs(Format(self.logs.format), Level(self.logs.level))
