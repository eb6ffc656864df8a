"""``gateway.yaml``, the environment and the flags, as one typed and closed whole.

Precedence: flags, then ``GATEWAY_…`` variables (nested with ``__``), then the file, then defaults.
An error names where its value came from: a line of the file, a variable, or a flag.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.config.access import AccessSection
from gateway.config.admin import AdminSection
from gateway.config.auditing import AuditSection
from gateway.config.channels import LOCAL, ChannelName, ChannelSection
from gateway.config.documents import (
    Document,
    Steps,
    parse_document,
    read_document,
)
from gateway.config.local_models import LocalSection
from gateway.config.origins import Layer, environment_layer, flag_layer, merge, unplaced
from gateway.config.places import PATHS, defaults, make_absolute, mapping
from gateway.config.prices import PricesSection
from gateway.config.proxying import DIRECT
from gateway.config.readiness import ReadinessSection
from gateway.config.schema import Finding, Flag, findings, nearest, place
from gateway.config.sections import (
    ModelSection,
    PolicySection,
    ResponsesSection,
    ServerSection,
    StateSection,
    TranslateSection,
    UpstreamSection,
)
from gateway.config.shipped import load_catalog
from gateway.config.telemetry import TelemetrySection
from gateway.domain.identity import SELF, ChannelFacts
from gateway.errors import DocumentError, Problem, StateError
from gateway.vendors.catalog import Catalog


class Settings(BaseSettings):
    """The whole configuration. All paths are absolute. ``offline`` forbids whatever is not declared
    local or sovereign.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True
    )

    offline: Flag = False
    server: ServerSection = Field(default_factory=ServerSection)
    channels: Mapping[ChannelName, ChannelSection] = Field(default_factory=dict)
    models: Mapping[str, ModelSection] = Field(default_factory=dict)
    local: LocalSection
    upstream: UpstreamSection = Field(default_factory=UpstreamSection)
    responses: ResponsesSection = Field(default_factory=ResponsesSection)
    access: AccessSection = Field(default_factory=AccessSection)
    prices: PricesSection = Field(default_factory=PricesSection)
    telemetry: TelemetrySection = Field(default_factory=TelemetrySection)
    admin: AdminSection = Field(default_factory=AdminSection)
    readiness: ReadinessSection = Field(default_factory=ReadinessSection)
    translate: TranslateSection
    state: StateSection
    policy: PolicySection
    audit: AuditSection = Field(default_factory=AuditSection)

    _file: Path = PrivateAttr(default=Path())

    @property
    def file(self) -> Path:
        """The file that these settings were read from."""
        return self._file

    @property
    def folder(self) -> Path:
        """What relative paths (and ``file:`` secrets) are relative to."""
        return self._file.parent

    def channel_facts(self) -> dict[str, ChannelFacts]:
        """What resolving must know of each channel, by the operator's name for it."""
        return {name: channel.facts(name) for name, channel in self.channels.items()}


def is_pattern(name: str) -> bool:
    """Whether a name under ``models:`` stands for several."""
    return any(character in name for character in "*?[")


class _Source(PydanticBaseSettingsSource):
    """One layer of values for pydantic-settings."""

    def __init__(self, owner: type[BaseSettings], values: dict[str, Any]) -> None:
        super().__init__(owner)
        self._values = values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._values


def load_settings(
    file: Path,
    overrides: Mapping[str, object],
    environ: Mapping[str, str],
    raw: bytes | None = None,
) -> Settings:
    """Read the configuration; raises DocumentError with every mistake of every layer.

    ``overrides`` are the flags that were given, by dotted path (``{"server.port": 9000}``);
    ``None`` means not given. Their relative paths are relative to the working folder, all others
    to the folder of ``file``. ``raw`` takes the place of what is in the file now.
    """
    file = file.absolute()
    document = read_document(file) if raw is None else parse_document(raw, str(file))
    if document.data is not None and not isinstance(document.data, dict):
        raise DocumentError([document.problem((), "expected a mapping at the top")])
    base: dict[str, Any] = document.data or {}
    flags = flag_layer(overrides, PATHS)
    variables = environment_layer(environ, base)
    make_absolute(variables.values, file.parent)
    merged = merge(base, variables.values, flags.values)
    layers = (flags, variables)
    found = [_placed(finding, document, layers) for finding in _crossings(merged)]
    found += variables.problems
    try:
        settings = _build(file, base, layers)
    except ValidationError as error:
        wrong = findings(error, merged, Settings)
        raise DocumentError([*found, *(_placed(f, document, layers) for f in wrong)]) from None
    wrong = [*_ports(settings), *_files(settings)]
    found += [_placed(finding, document, layers) for finding in wrong]
    if found:
        raise DocumentError(found)
    return settings


def _build(file: Path, base: dict[str, Any], layers: Iterable[Layer]) -> Settings:
    written = merge({}, base)
    make_absolute(written, file.parent)
    values = [*(layer.values for layer in layers), written, defaults(file.parent)]

    class Loaded(Settings):
        """The settings with this load's layers as the sources, highest first."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_Source(settings_cls, layer) for layer in values)

    settings = Loaded()  # the sources give what has no default
    settings._file = file
    return settings


def _ports(settings: Settings) -> Iterable[Finding]:
    """Operators are told from apps by the port that they come to."""
    port = settings.admin.port
    if port is not None and port != 0 and port == settings.server.port:
        yield Finding(("admin", "port"), "must be another port than server.port", "")


def _files(settings: Settings) -> Iterable[Finding]:
    """What is wrong with the files that the settings name."""
    for name, channel in settings.channels.items():
        for word, section in (("tls", channel.tls), ("proxy_tls", channel.proxy_tls)):
            if section is not None:
                yield from section.findings(("channels", name, word))
    if settings.upstream.proxy_tls is not None:
        yield from settings.upstream.proxy_tls.findings(("upstream", "proxy_tls"))
    oidc = settings.access.oidc
    for word, section in () if oidc is None else (("tls", oidc.tls), ("proxy_tls", oidc.proxy_tls)):
        if section is not None:
            yield from section.findings(("access", "oidc", word))
    if oidc is not None:
        try:
            oidc.keys(settings.folder)
        except StateError as error:
            yield Finding(("access", "oidc", "jwks"), error.message)


def _placed(finding: Finding, document: Document, layers: Iterable[Layer]) -> Problem:
    """A finding at the layer that its value came from."""
    written = finding.path in document.positions
    for layer in layers:
        origin = layer.origin(finding.path) or (None if written else layer.below(finding.path))
        if origin is not None:
            return unplaced(origin, finding.message, finding.hint)
    return place(document, finding)


def _crossings(merged: Mapping[str, Any]) -> Iterable[Finding]:
    """What a schema cannot say: names that must be known elsewhere. Takes plain data as it is."""
    catalog = load_catalog()
    channels = mapping(merged, "channels")
    proxied = mapping(merged, "upstream").get("proxy")
    for name, channel in channels.items():
        yield from _vendors(name, channel, catalog)
        if proxied is not None and isinstance(channel, dict):
            direct = channel.get("proxy") == DIRECT
            if channel.get("kind") == "litellm" and not direct:
                message = "a channel of kind litellm goes through no proxy, and upstream has one"
                yield Finding(("channels", name, "kind"), message, "say proxy: direct")
    models = mapping(mapping(merged, "local"), "models")
    for name, model in mapping(merged, "models").items():
        targets = model.get("targets") if isinstance(model, dict) else None
        seen: set[str] = set()
        for path, target in _written(("models", name, "targets"), targets):
            yield from _target(path, target, channels, models)
            if target in seen:
                yield Finding(path, f"{target} stands twice under models.{name}.targets", "")
            seen.add(target)
        equivalent = model.get("equivalent") if isinstance(model, dict) else None
        yield from _equivalent(("models", name, "equivalent"), equivalent, seen)


def _equivalent(path: Steps, written: object, targets: Collection[str]) -> Iterable[Finding]:
    """``targets`` are those of the model; where there is none, that is wrong enough."""
    texts = written if isinstance(written, list) else []
    for index, target in enumerate(texts if targets else ()):
        if isinstance(target, str) and target not in targets:
            message = f"{target!r} is none of the targets of this model"
            yield Finding((*path, index), message, nearest(target, targets))
        elif target in texts[:index]:
            yield Finding((*path, index), f"{target} stands twice under equivalent", "")
    if len(texts) == 1:
        yield Finding(path, "one target is equivalent to nothing: name at least two", "")


def _written(path: Steps, targets: object) -> Iterable[tuple[Steps, str]]:
    """The targets of a model, groups of them included, each with its place."""
    for index, target in enumerate(targets if isinstance(targets, list) else ()):
        group = target.get("any") if isinstance(target, dict) else None
        if isinstance(target, str) and target:
            yield (*path, index), target
        elif isinstance(group, list):
            yield from _written((*path, index, "any"), group)
        elif isinstance(group, dict):
            yield from (((*path, index, "any", one), one) for one in group if isinstance(one, str))


def _vendors(name: str, channel: Any, catalog: Catalog) -> Iterable[Finding]:
    if not isinstance(channel, dict):
        return
    path: Steps = ("channels", name)
    yield from vendor_findings((*path, "vendor"), channel.get("vendor"), catalog, also=(SELF,))
    for word, entry in mapping(channel, "deployments").items():
        if isinstance(entry, dict):
            inner: Steps = (*path, "deployments", word)
            yield from vendor_findings((*inner, "developer"), entry.get("developer"), catalog)
            lineage = entry.get("lineage")
            for index, vendor in enumerate(lineage if isinstance(lineage, list) else ()):
                yield from vendor_findings((*inner, "lineage", index), vendor, catalog)


def vendor_findings(
    path: Steps, word: object, catalog: Catalog, also: tuple[str, ...] = ()
) -> Iterable[Finding]:
    """A finding where ``word`` is a text and no vendor id of the catalog."""
    if not isinstance(word, str) or not word or word in also or catalog.vendor(word) is not None:
        return
    near = catalog.canonical(word) or catalog.nearest(word)
    hint = f"did you mean {near!r}?" if near else "gateway vendors list shows all"
    yield Finding(path, f"unknown vendor {word!r}", hint)


def _target(
    path: Steps, target: str, channels: Mapping[str, Any], models: Mapping[str, Any]
) -> Iterable[Finding]:
    channel, slash, model = target.partition("/")
    if not slash or not channel or not model:
        yield Finding(path, f"expected a target as <channel>/<model id>, got {target!r}")
    elif channel == LOCAL:
        if model not in models:
            message = f"no local model {model!r} is configured under local.models"
            yield Finding(path, message, nearest(model, models))
    elif channel not in channels:
        message = f"no channel {channel!r} is configured"
        yield Finding(path, message, nearest(channel, [*channels, LOCAL]))
