"""What a worker gives up before it touches a model file: the network and core dumps.
Linux; elsewhere the network is kept, and the log says so.
"""

from __future__ import annotations

import ctypes
import resource
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000


def drop_network() -> bool:
    """Move this process into a network namespace of its own, which has no interface up. Must be
    called before any thread is started. Returns whether the kernel let it.

    Unix sockets that are open or named in the file system go on working.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    # With the right to it first; an unprivileged process needs a user namespace around it.
    return any(libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))


def forbid_core_dumps() -> None:
    """A core dump would hold prompts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
