"""What a worker gives up before it touches a model file: the network, core dumps, a life without
its parent. Linux; elsewhere nothing is given up, and the log says so.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1


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


def die_with_parent(parent: int) -> bool:
    """Be killed when the process ``parent`` dies; after ``drop_network``, which would undo it.

    Returns False where the parent is gone already: then there is nobody to work for.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return os.getppid() == parent


def forbid_core_dumps() -> None:
    """A core dump would hold prompts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
