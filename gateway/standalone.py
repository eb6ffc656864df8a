"""What commands put together for themselves, where no gateway needs to run: an engine that only
plans, local models that are measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.background import Background
from gateway.config.channels import LOCAL
from gateway.config.settings import Settings
from gateway.dialled import with_credentials
from gateway.domain.call import Backend, Call
from gateway.domain.events import Event
from gateway.domain.target import Target
from gateway.engine.loop import Engine
from gateway.engine.routes import Route
from gateway.errors import InternalFault, StateError
from gateway.inventory import Inventory
from gateway.local.client import LocalBackend
from gateway.local.supervisor import Supervisor
from gateway.readiness.capacity import Capacity, measure
from gateway.routing.groups import in_order

MEASURED_WITHIN = 120.0
"""Seconds for a local model to get ready to be measured."""


async def measure_local(inventory: Inventory, prompt_tokens: int) -> dict[str, Capacity]:
    """Start the local models one after the other, measure each by itself, and end it again."""
    state_dir = inventory.settings.state.dir
    found = {}
    background = Background()
    with tempfile.TemporaryDirectory(prefix="gateway-measure-") as folder:
        for name, model in inventory.local.items():
            supervisor = Supervisor(
                [model],
                Path(folder),
                state_dir,
                background,
                accept=inventory.check_weights,
                gpu_budget=inventory.gpu_budget,
            )
            await supervisor.start()
            backend = LocalBackend(supervisor.sockets(), background)
            await backend.start()
            try:
                if not await backend.wait_ready(name, MEASURED_WITHIN):
                    raise StateError(f"local/{name} cannot be measured: it does not get ready")
                found[name] = await measure(
                    backend,
                    inventory.target(f"{LOCAL}/{name}"),
                    slots=model.slots,
                    sha256=model.manifest.sha256,
                    prompt_tokens=min(prompt_tokens, model.context // 2),
                )
            finally:
                await backend.stop()
                await supervisor.stop()
    return found


def offline_engine(settings: Settings, model: str) -> Engine:
    """An engine that only plans, for questions to a policy without a running gateway. A ``model``
    that is not configured by name may be a bare target id.
    """
    inventory = Inventory(settings)
    policy = inventory.load_policy()
    routes = inventory.routes(with_credentials(settings))
    if "/" in model and model not in routes.exact:
        routes = replace(
            routes, exact={**routes.exact, model: Route(in_order(inventory.target(model)))}
        )
    return Engine(routes=routes, policy=lambda: policy, backends=_Unasked())


class _Unasked(dict[str, Backend]):
    """Backends that are taken for ready and never asked."""

    def __missing__(self, channel: str) -> Backend:
        return _UnaskedBackend()


class _UnaskedBackend:
    def ready(self, target: Target) -> bool:
        return True

    def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        raise InternalFault("an engine that only plans was asked to serve")
