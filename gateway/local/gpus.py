"""The memory of the GPUs: what is free now, and what our models may have of it at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import structlog

from gateway.domain.local_model import LocalModel
from gateway.errors import ModelFileError
from gateway.local.probing import Device, Found, ProbeFailed, probe, usable
from gateway.local.residency import Room

BUILD = 'build it with one: make engine CMAKE_ARGS="-DGGML_CUDA=ON" or "-DGGML_VULKAN=ON"'


class Gpus:
    """``limit`` is in bytes: of each device, or by its name. Devices are listed by processes of the
    interpreter ``python``.
    """

    def __init__(self, python: str, limit: int | Mapping[str, int] | None) -> None:
        self._python = python
        self._limit = limit
        self._supported = True
        self._log = structlog.get_logger()

    @property
    def supported(self) -> bool:
        """Whether the build of llama.cpp could use a GPU, as far as it has been asked."""
        return self._supported

    async def first_look(self) -> tuple[Room, ...]:
        """At the start: a build without GPU support is never asked again."""
        found = await self._probe()
        if found is None:
            return ()
        self._supported = found.gpu_support
        if not self._supported:
            self._log.info(
                "local_gpu_none", reason="this build of llama.cpp has no GPU support", hint=BUILD
            )
            return ()
        devices = usable(found.devices)
        self._check_names(devices)
        for device in devices:
            self._log.info(
                "local_gpu", device=device.name, what=device.description, free=device.free
            )
        if not devices:
            self._log.warning("local_gpu_none", reason=f"{_listed(found)} finds no device")
        return self._rooms(devices)

    def check_layers(self, models: Iterable[LocalModel]) -> None:
        """Raises ModelFileError where one has a number of layers that nothing here can take."""
        if self._supported:
            return
        for model in models:
            if model.gpu_layers:
                raise ModelFileError(
                    f"local.models.{model.name}.gpu_layers is {model.gpu_layers}, but this build "
                    f"of llama.cpp has no GPU support: {BUILD}; or say auto, or 0"
                )

    async def look(self) -> tuple[Room, ...]:
        """What is free now."""
        if not self._supported:
            return ()
        found = await self._probe()
        return self._rooms(usable(found.devices)) if found is not None else ()

    async def _probe(self) -> Found | None:
        try:
            return await probe(self._python)
        except ProbeFailed as failed:
            self._log.warning("local_devices_not_listed", reason=str(failed))
            return None

    def _rooms(self, devices: tuple[Device, ...]) -> tuple[Room, ...]:
        return tuple(Room(one.name, one.free, self._limit_of(one)) for one in devices)

    def _limit_of(self, device: Device) -> int:
        limit = self._limit
        if isinstance(limit, Mapping):
            limit = limit.get(device.name)
        return device.total if limit is None else min(limit, device.total)

    def _check_names(self, devices: tuple[Device, ...]) -> None:
        names = [device.name for device in devices]
        for name in self._limit if isinstance(self._limit, Mapping) else ():
            if devices and name not in names:
                raise ModelFileError(
                    f"local.gpu_memory_gb names the device {name}, but llama.cpp lists "
                    f"{', '.join(names)}"
                )


def _listed(found: Found) -> str:
    return ", ".join(name for name in found.backends if name != "CPU")
