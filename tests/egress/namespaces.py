"""Two network namespaces with one wire between them: whatever leaves the inner one is on it.

The inner one has a default route over the wire, by IPv4 and by IPv6, so that a packet to anywhere
is seen; the outer one has no way on. The kernel is told to say nothing of itself: neighbours are
written down (no ARP, no neighbour discovery), no router is asked for, no address is probed, and
the multicast reports of its beginning are over before anybody looks.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

NEAR, FAR = "192.0.2.2", "192.0.2.1"
NEAR6, FAR6 = "2001:db8:1::2", "2001:db8:1::1"
NEAR_MAC, FAR_MAC = "02:00:00:00:00:02", "02:00:00:00:00:01"
WIRE = "wire0"
SETTLED = 4.0
"""Seconds after which the kernel's multicast reports are over."""
_CLONE_NEWNET = 0x40000000


def why_not() -> str | None:
    """Why this machine cannot have them; ``None`` where it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2 (Debian: apt install iproute2)"
    name = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"this machine makes no network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return None


class Wire:
    """``inner`` and ``outer`` are the names of the namespaces; ``addresses`` exist in the outer one
    alone. The inner one resolves names at ``FAR``.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.inner, self.outer = (f"egress-{side}-{os.getpid()}" for side in ("in", "out"))
        self._addresses = addresses
        self._resolver = Path("/etc/netns") / self.inner

    def command(self) -> tuple[str, ...]:
        """What a command that is to run in the inner namespace begins with."""
        return ("ip", "netns", "exec", self.inner)

    def __enter__(self) -> Wire:
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.inner, self.outer):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        shutil.rmtree(self._resolver, ignore_errors=True)
        if self._resolver.parent.is_dir() and not any(self._resolver.parent.iterdir()):
            self._resolver.parent.rmdir()

    def _make(self) -> None:
        self._resolver.mkdir(parents=True)
        (self._resolver / "resolv.conf").write_text(f"nameserver {FAR}\noptions timeout:1\n")
        for name in (self.inner, self.outer):
            _ip("netns", "add", name)
            quiet(name)
        _ip(
            *("link", "add", WIRE, "netns", self.inner, "address", NEAR_MAC, "type", "veth"),
            *("peer", "name", WIRE, "netns", self.outer, "address", FAR_MAC),
        )
        here = (self.inner, (f"{NEAR}/24", f"{NEAR6}/64"), ((FAR, FAR_MAC), (FAR6, FAR_MAC)))
        far = tuple(f"{address}/32" for address in self._addresses)
        there = (
            self.outer,
            (f"{FAR}/24", f"{FAR6}/64", *far),
            ((NEAR, NEAR_MAC), (NEAR6, NEAR_MAC)),
        )
        for name, addresses, neighbours in (here, there):
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", WIRE, "up")
            for address in addresses:
                nodad = ("nodad",) if ":" in address else ()
                _ip("-n", name, "address", "add", address, "dev", WIRE, *nodad)
            for address, mac in neighbours:
                _ip("-n", name, "neigh", "replace", address, "lladdr", mac, "dev", WIRE)
        _ip("-n", self.inner, "route", "add", "default", "via", FAR)
        _ip("-n", self.inner, "-6", "route", "add", "default", "via", FAR6)
        time.sleep(SETTLED)


def quiet(namespace: str) -> None:
    """Keep the kernel from speaking of its own accord."""
    with inside(namespace):
        settings = {
            "accept_ra": "0",
            "router_solicitations": "0",
            "dad_transmits": "0",
            "addr_gen_mode": "1",
            "mldv2_unsolicited_report_interval": "100",
        }
        for scope in ("all", "default"):
            for key, value in settings.items():
                (Path("/proc/sys/net/ipv6/conf") / scope / key).write_text(value)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread, and the threads and processes that it starts, in a namespace."""
    with (
        Path("/proc/thread-self/ns/net").open("rb") as home,
        (Path("/run/netns") / namespace).open("rb") as there,
    ):
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns failed")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
