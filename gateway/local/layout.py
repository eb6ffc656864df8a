"""Where a model is laid out: what a supervisor decides, and a worker tells."""

from __future__ import annotations

import msgspec

from gateway.local.place import Placed


class Share(msgspec.Struct, frozen=True):
    """What of a model is on a device: so many layers, and the bytes that it is reckoned to take."""

    device: str
    layers: int
    bytes: int


class Layout(msgspec.Struct, frozen=True):
    """``layers`` are all, the output among them; ``devices`` those that have any of the model, if
    only its projector; ``memory`` the bytes of main memory that it is reckoned to need; ``note``
    says why less is on devices than was wanted, where something went wrong.
    """

    layers: int
    memory: int
    devices: tuple[Share, ...] = ()
    note: str = ""

    @property
    def gpu_layers(self) -> int:
        return sum(share.layers for share in self.devices)

    @classmethod
    def of(cls, placed: Placed, names: tuple[str, ...], note: str = "") -> Layout:
        """``names`` are those of the devices that ``placed`` speaks of."""
        shares = zip(names, placed.split, placed.devices, strict=True)
        used = tuple(Share(*share) for share in shares if share[2])
        return cls(placed.layers, placed.memory, used, note)
