"""``access``: who may ask beside those with a key: tokens of an issuer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from gateway.access.keys import LABELS, Limits
from gateway.access.oidc import Rules
from gateway.access.tokens import ALGORITHMS, Issued, KeySet
from gateway.config.addresses import is_loopback
from gateway.config.proxying import ProxySection
from gateway.config.schema import Closed, Number, Text, Whole
from gateway.config.tls import TlsSection
from gateway.errors import StateError

FILE = "file:"
MILLIONTHS = 1_000_000
_USUAL = ("RS256", "ES256", "EdDSA")


def _algorithm(value: str) -> str:
    if value not in ALGORITHMS:
        raise PydanticCustomError(
            "algorithm",
            "expected an algorithm with a key pair",
            {"hint": f"known: {', '.join(ALGORITHMS)}"},
        )
    return value


def _label(value: str) -> str:
    if value not in LABELS:
        raise PydanticCustomError(
            "label", "expected a label", {"hint": f"known: {', '.join(LABELS)}"}
        )
    return value


def _jwks(value: str) -> str:
    """A file or an address; over plain http whoever is on the way could give keys of their own."""
    if value.startswith(FILE) and len(value) > len(FILE):
        return value
    expected = PydanticCustomError(
        "jwks", "expected file:PATH or https://… with the JWKS of the issuer"
    )
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise expected from None
    private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host or ""))
    if not host or not private or len(parts.path) < 2:
        raise expected
    if parts.username is not None or parts.query or parts.fragment:
        raise PydanticCustomError("jwks", "expected a URL without a user, query or fragment")
    if re.search(r"[\x00-\x20\x7f-\U0010ffff\\]", value):
        raise PydanticCustomError("jwks", "expected a URL in ASCII without blanks")
    return value


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Label = Annotated[Text, AfterValidator(_label)]
_Some = Annotated[Whole, Field(ge=1)]


class CallerLimitsSection(Closed):
    """How much each who shows a token may use; what is not said has no limit. ``budget`` is for a
    calendar month, in the currency of the price table.
    """

    requests_per_minute: _Some | None = None
    tokens_per_minute: _Some | None = None
    concurrent: _Some | None = None
    budget: Annotated[Number, Field(gt=0, lt=10**9)] | None = None


class OidcSection(ProxySection):
    """The issuer whose tokens are taken, and the ``audience`` that they must be made for. ``jwks``
    is where its public keys are: ``file:PATH``, or an address that is asked every ``refresh``
    seconds; ``locality``, ``tls`` and the proxy are as those of a channel. ``labels`` names the
    claim of each label, ``models`` that of the models that may be asked for. ``leeway`` is in
    seconds.
    """

    issuer: Text
    audience: Annotated[tuple[Text, ...], Field(min_length=1), BeforeValidator(_several)]
    jwks: Annotated[Text, AfterValidator(_jwks)]
    locality: Literal["cloud", "sovereign"] = "cloud"
    tls: TlsSection | None = None
    algorithms: Annotated[
        tuple[Annotated[Text, AfterValidator(_algorithm)], ...], Field(min_length=1)
    ] = _USUAL
    labels: Mapping[Label, Text] = Field(default_factory=dict)
    models: Text | None = None
    may_set: tuple[Label, ...] = ()
    limits: CallerLimitsSection = Field(default_factory=CallerLimitsSection)
    leeway: Annotated[Number, Field(ge=0, le=300)] = 30
    refresh: Annotated[Number, Field(ge=10, le=86400)] = 300

    @model_validator(mode="after")
    def _secured(self) -> Self:
        if self.tls is not None and not self.jwks.startswith("https:"):
            raise PydanticCustomError("tls", "tls needs a jwks of https://")
        return self

    def file(self, folder: Path) -> Path | None:
        """The file with the keys, if they are in one."""
        if not self.jwks.startswith(FILE):
            return None
        return folder / Path(self.jwks.removeprefix(FILE)).expanduser()

    def keys(self, folder: Path) -> KeySet | None:
        """Those in the file, if they are in one. Raises ``StateError`` where it holds none."""
        file = self.file(folder)
        if file is None:
            return None
        try:
            return KeySet.parse(file.read_bytes(), self.algorithms)
        except OSError as error:
            why = error.strerror or str(error)
        except ValueError as error:
            why = str(error)
        raise StateError(f"the keys in {file} cannot be used: {why}")

    def rules(self) -> Rules:
        """What is believed of a token."""
        limits = self.limits
        return Rules(
            Issued(self.issuer, self.audience, self.algorithms, float(self.leeway)),
            dict(self.labels),
            self.models,
            self.may_set,
            Limits(
                limits.requests_per_minute,
                limits.tokens_per_minute,
                limits.concurrent,
                None if limits.budget is None else int(limits.budget * MILLIONTHS),
            ),
        )


class AccessSection(Closed):
    """With ``oidc``, tokens of an issuer are as good as keys."""

    oidc: OidcSection | None = None
