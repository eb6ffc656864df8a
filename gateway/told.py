"""What is told of local models, of our own servers and of the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.audit.sink import Standing
from gateway.domain.drill import Drill
from gateway.domain.target import Target
from gateway.http.state import (
    AuditState,
    ChatState,
    DiscoveredModel,
    DrilledState,
    LoadedState,
    LocalState,
    SovereignState,
)
from gateway.inventory import Inventory
from gateway.local.protocol import Hello
from gateway.upstream.servers import Server
from gateway.wire.openai_models import same_model


def audit_state(audit: Standing) -> AuditState:
    return AuditState(
        problem=audit.problem,
        waiting=audit.waiting,
        lost=audit.lost,
        contents_lost=audit.contents,
    )


def drilled_state(drill: Drill | None) -> DrilledState | None:
    if drill is None:
        return None
    return DrilledState(id=drill.id, vendor=drill.vendor, until=drill.until)


def local_state(
    name: str, hello: Hello | None, *, on_demand: bool, last_success: datetime | None
) -> LocalState:
    """``hello`` is what the model's worker has said, where there is one."""
    chat = hello.abilities.chat if hello is not None else None
    return LocalState(
        name=name,
        ready=hello is not None,
        on_demand=on_demand,
        last_success=last_success,
        loaded=None
        if hello is None
        else LoadedState(
            context=hello.context,
            slots=hello.slots,
            layers=hello.layout.layers,
            gpu_layers=hello.layout.gpu_layers,
            devices={share.device: share.bytes for share in hello.layout.devices},
            memory=hello.layout.memory,
            note=hello.layout.note,
            capabilities=list(hello.abilities.capabilities),
            chat=chat
            and ChatState(
                roles=list(chat.roles),
                alternating=chat.alternating,
                tools=chat.tools,
                thinks=chat.thinks,
            ),
        ),
    )


def sovereign_state(
    channel: str, server: Server, inventory: Inventory, targets: Sequence[Target]
) -> SovereignState:
    """``targets`` are those of the channel that are configured."""

    def discovered(model: str) -> DiscoveredModel:
        target = inventory.target(f"{channel}/{model}")
        return DiscoveredModel(
            target=target.id,
            developer=target.identity.developer,
            lineage=list(target.identity.lineage),
            locality=target.locality,
            configured=any(same_model(model, known.model) for known in targets),
        )

    listed = server.models.names if server.models is not None else None
    return SovereignState(
        channel=channel,
        standing=server.standing.value,
        detail=server.detail,
        models=None if listed is None else [discovered(model) for model in listed],
        seen=server.seen,
    )
