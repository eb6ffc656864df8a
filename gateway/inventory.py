"""What the configuration names, resolved: targets with their identities, local models, routes, the
policy's loader.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from gateway.config.apis import capabilities
from gateway.config.channels import LOCAL
from gateway.config.local_models import LocalModelSection
from gateway.config.manifests import local_manifests, local_model
from gateway.config.policy_files import PolicyLoader
from gateway.config.reload import PolicyStore
from gateway.config.sections import GroupSection
from gateway.config.settings import Settings, is_pattern
from gateway.config.shipped import load_catalog
from gateway.config.signing import PublicKey
from gateway.config.sources import Sources
from gateway.domain.identity import UNKNOWN, ChannelFacts, Identity, Locality, Role
from gateway.domain.local_model import LocalModel, Manifest
from gateway.domain.providers import can
from gateway.domain.target import Capability, Target
from gateway.engine.routes import Route, Routes
from gateway.errors import ModelFileError
from gateway.local.abilities import AT_MOST
from gateway.local.fit import SMALLEST, Wish, shares
from gateway.local.gguf import read_header
from gateway.local.machine import memory
from gateway.local.projector import read_projector
from gateway.policy.compile import Policy
from gateway.routing.groups import By, Group
from gateway.vendors.resolve import local_identity, resolve
from gateway.vendors.weights import makers

GB = 1 << 30
MOST_SLOTS = 8
"""Of a model whose slots are chosen from memory."""
SHARE = 2
"""Models whose size is chosen may together have half of the memory, where nothing else is said."""


class Inventory:
    """What the configuration names, resolved: targets with their identities, and the routes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.catalog = load_catalog()
        self.facts = settings.channel_facts()
        manifests = local_manifests(settings)
        sizes = self._sizes(manifests)
        self.local: dict[str, LocalModel] = {
            name: local_model(settings, name, manifest, sizes.get(name, (0, 0)))
            for name, manifest in manifests.items()
        }

    @property
    def local_budget(self) -> int | None:
        """Bytes that the local models together may need."""
        limit = self.settings.local.memory_gb
        return None if limit is None else int(limit * GB)

    @property
    def gpu_budget(self) -> int | Mapping[str, int] | None:
        """Bytes of each device that the local models may have, or by its name."""
        limit = self.settings.local.gpu_memory_gb
        if isinstance(limit, Mapping):
            return {name: int(each * GB) for name, each in limit.items()}
        return None if limit is None else int(limit * GB)

    @property
    def idle_unload(self) -> float | None:
        """Seconds without work after which a model that is loaded on demand is unloaded."""
        idle = self.settings.local.idle_unload
        return None if idle is None else float(idle)

    @property
    def on_demand(self) -> frozenset[str]:
        """The local models that are loaded when they are asked for."""
        return frozenset(name for name, model in self.local.items() if not model.preload)

    @property
    def weights(self) -> dict[str, str]:
        """The sha256 of each local model's file."""
        return {name: model.manifest.sha256 for name, model in self.local.items()}

    def target(self, target_id: str) -> Target:
        """The target behind ``<channel>/<model id>``."""
        channel, _, model = target_id.partition("/")
        if channel == LOCAL and model in self.local:
            manifest = self.local[model].manifest
            identity = local_identity(
                model,
                developer=manifest.developer,
                model=manifest.model,
                lineage=manifest.lineage,
                catalog=self.catalog,
                source=f"models/{manifest.id}.yaml",
            )
            able = AT_MOST
            if manifest.projector is not None:
                able |= {Capability.IMAGES}
            return Target(LOCAL, model, identity, able, self.local[model].context)
        return Target(channel, model, self._resolve(channel, model), self._able(channel))

    def _able(self, channel: str) -> frozenset[Capability] | None:
        """What a channel's API can be asked for, where that is known by what translates to it, or
        by the APIs that it has.
        """
        section = self.settings.channels.get(channel)
        if section is None:
            return None
        if section.kind != "litellm":
            return capabilities(section.has)
        return can(section.provider or "")

    def check_weights(self, model: LocalModel, path: Path, metadata: Mapping[str, object]) -> None:
        """Raises ModelFileError where the GGUF file at ``path`` names a maker that its manifest
        does not: policy judges by the manifest, and a ban on weights must not miss them.
        """
        manifest = model.manifest
        said = {manifest.developer, *manifest.lineage}
        for vendor, key in makers(metadata, self.catalog).items():
            if vendor not in said:
                raise ModelFileError(
                    f"local model {model.name}: the file {path.name} says "
                    f"{str(metadata[key])[:80]!r} in {key}, which is {vendor}'s, but its manifest "
                    f"{manifest.id} names {', '.join(sorted(said))}: correct its developer or "
                    "lineage"
                )

    def identity(self, target_id: str) -> Identity:
        """Who is behind any target id, configured or not: for a policy's own tests."""
        return self.target(target_id).identity

    @property
    def sovereign(self) -> tuple[str, ...]:
        """The channels that are servers of our own."""
        return tuple(n for n, facts in self.facts.items() if facts.locality is Locality.SOVEREIGN)

    def server(self, channel: str) -> Target:
        """A sovereign channel by itself, whatever it serves: what policy is asked about where no
        target of it is configured.
        """
        target = self.target(f"{channel}/")
        parties = tuple(p for p in target.identity.parties if p.role is Role.CHANNEL)
        return structs.replace(target, identity=replace(target.identity, parties=parties))

    def routes(self, keys: Collection[str]) -> Routes:
        """``keys`` are the channels whose secrets are set."""
        exact: dict[str, Route] = {}
        patterns: list[tuple[str, Route]] = []
        for name, model in self.settings.models.items():
            groups = tuple(map(self._group, model.targets))
            if is_pattern(name):
                groups = tuple(map(_without_bias, groups))
            else:
                groups = (groups[0], *map(_without_bias, groups[1:]))
            equivalent = frozenset(model.equivalent)
            route = Route(groups, model.risky_last_resort, model.continuation, name, equivalent)
            if is_pattern(name):
                patterns.append((name, route))
            else:
                exact[name] = route
        # The more a pattern says, the earlier it is asked.
        patterns.sort(key=lambda row: (-len(row[0]), row[0]))
        lacking = frozenset(
            name
            for name, channel in self.settings.channels.items()
            if channel.needs_key and name not in keys
        )
        return Routes(exact, tuple(patterns), lacking, self.settings.offline)

    def _group(self, section: GroupSection) -> Group:
        return Group(
            tuple(self.target(target) for target in section.any),
            tuple(float(weight) for weight in section.any.values()),
            By(section.by),
        )

    def load_policy(self) -> Policy:
        """The policy as it stands on disk, by all the rules under which it would be served."""
        sources = policy_sources(self.settings)
        return self.policy_loader().load(sources, sources.read())

    def policy_loader(self) -> PolicyLoader:
        policy = self.settings.policy
        keys = [PublicKey.named(word, self.settings.folder) for word in policy.public_keys]
        signed = policy.require_signature
        return PolicyLoader(self.catalog, self.identity, keys, signed=signed)

    def _sizes(self, manifests: Mapping[str, Manifest]) -> dict[str, tuple[int, int]]:
        """Context and slots of the local models, where any is to be chosen. Only by what does not
        move: every process that reads the configuration comes to the same.
        """
        sections = self.settings.local.models
        if all(one.context is not None and one.slots is not None for one in sections.values()):
            return {}
        limit = self.local_budget
        wishes = [_wish(sections[name], manifest) for name, manifest in manifests.items()]
        found = shares(
            wishes,
            memory() // SHARE if limit is None else limit,
            in_turns=limit is not None,
        )
        return dict(zip(manifests, found, strict=True))

    def _resolve(self, channel: str, model: str) -> Identity:
        facts = self.facts.get(channel)
        if facts is None:
            # A policy's own tests and `explain` may name channels that are not configured.
            vendor = self.catalog.canonical(channel) or UNKNOWN
            facts = ChannelFacts(name=channel, vendor=vendor, kind="openai", provider=channel)
        return resolve(model, facts, self.catalog)


def policy_sources(settings: Settings) -> Sources:
    """The folders that the policy is made of."""
    return Sources(settings.policy.dir, settings.policy.designations)


def policy_store(inventory: Inventory) -> PolicyStore:
    """The store of the configured policy folder; ``start`` raises where there is no good policy."""
    settings = inventory.settings
    load = inventory.policy_loader().load
    return PolicyStore(policy_sources(settings), settings.state.dir, load)


def _wish(section: LocalModelSection, manifest: Manifest) -> Wish:
    slots = section.slots or min(MOST_SLOTS, section.batch)
    context, projector = section.context, manifest.projector
    return Wish(
        header=read_header(manifest.path),
        most=(context or manifest.context, slots),
        least=(context or min(SMALLEST, manifest.context), section.slots or 1),
        ubatch=section.ubatch,
        always=section.preload,
        projector=read_projector(projector.path) if projector is not None else None,
    )


def _without_bias(group: Group) -> Group:
    """Local targets that stand in for another model. The token ids of ``logit_bias`` are those of
    the model that the app named: in another vocabulary they are other tokens.
    """
    return replace(group, targets=tuple(map(_target_without_bias, group.targets)))


def _target_without_bias(target: Target) -> Target:
    if target.channel != LOCAL or target.capabilities is None:
        return target
    return structs.replace(target, capabilities=target.capabilities - {Capability.LOGIT_BIAS})
