"""Wrong keys are answered slowly: a few at once, then one now and then, for each peer.

Keys have 256 random bits, so nobody guesses one however fast: this keeps whoever tries from filling
the log, and a right key is let in at any time, or whoever tries could keep operators out.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

AT_ONCE = 5
EVERY = 12.0
"""Seconds for which one more wrong key is answered."""
MOST = 4096
"""Peers that are remembered; those that were wrong longest ago are forgotten first."""


class Slowing:
    """Of one serving process. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._peers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wrong(self, peer: str, now: float) -> float | None:
        """A peer has presented a wrong key: the seconds that it must wait, where it has done so too
        often.
        """
        name = _network(peer)
        left, since = self._peers.pop(name, (float(AT_ONCE), now))
        left = min(AT_ONCE, left + (now - since) / EVERY)
        wait = None if left >= 1 else (1 - left) * EVERY
        self._peers[name] = (left if wait is not None else left - 1, now)
        while len(self._peers) > MOST:
            self._peers.popitem(last=False)
        return wait


def _network(peer: str) -> str:
    """One that has a network of IPv6 has all its addresses."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return peer
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
