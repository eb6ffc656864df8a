"""What a process gives up before it touches what others made (a model's file, a package): the
network, other programs, core dumps, and files that are none of its business.

Linux. Layers, since kernels and containers differ in what they grant: a network namespace with no
interface up, a seccomp filter under which the only sockets are Unix ones and no program can be
started, and a Landlock domain, in which only the named folders can be read. The log says which of
them are in force. Sources: unshare(2), seccomp(2), landlock(7), and the kernel's
``include/uapi/linux/{audit,filter,landlock,seccomp}.h`` and ``asm/unistd.h``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EACCES
AF_UNIX = 1
LOAD_WORD, IF_EQUAL, IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
"""Offsets into ``struct seccomp_data``; the low half of an argument, little endian."""
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
"""The same numbers on every processor."""
LANDLOCK_VERSION, LANDLOCK_PATH_BENEATH = 1, 1
READ_FILE, READ_DIR, FIRST_RIGHTS = 1 << 2, 1 << 3, (1 << 13) - 1
"""``LANDLOCK_ACCESS_FS_…``: what a domain handles is all that the first version knows of."""
EAGER_TO_DIE = 500
"""Of 1000: when memory runs out the kernel ends a worker rather than the gateway."""


@dataclass(frozen=True, slots=True)
class Calls:
    """A processor's numbers of what is refused. ``foreign`` is from where another ABI's begin."""

    architecture: int
    socket: int
    others: tuple[int, ...]
    foreign: int | None = None


CALLS: Mapping[str, Calls] = {
    # socket; execve, execveat, ptrace, io_uring_setup (which could make sockets, too)
    "x86_64": Calls(0xC000003E, 41, (59, 322, 101, 425), foreign=0x40000000),
    "aarch64": Calls(0xC00000B7, 198, (221, 281, 117, 425)),
}


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


def refuse_calls() -> bool:
    """From now on ``socket`` makes Unix sockets only, and no program can be started or traced, here
    and in every thread that is started later. Returns whether the kernel took the filter.
    """
    calls = CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return False
    program = b"".join(_filter(calls))
    code = ctypes.create_string_buffer(program, len(program))
    length = len(program) // 8
    # struct sock_fprog: an unsigned short, padding, a pointer.
    argument = ctypes.create_string_buffer(struct.pack("HxxxxxxP", length, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, argument, 0, 0) == 0)


def confine(readable: Iterable[str]) -> bool:
    """From now on only what is in the ``readable`` folders (or is one of these files) can be
    opened, and only to be read; and no process outside can be looked into, not even its environment
    under ``/proc``. Must be called before any thread is started. Returns whether the kernel has
    Landlock.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(LANDLOCK_CREATE, None, 0, LANDLOCK_VERSION) < 1:
        return False
    handled = struct.pack("Q", FIRST_RIGHTS)
    ruleset = libc.syscall(LANDLOCK_CREATE, handled, len(handled), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable:
            _let_read(libc, ruleset, path)
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return bool(libc.syscall(LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _let_read(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    """A rule for a path, if there is such a one."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            rights = READ_FILE | READ_DIR if os.path.isdir(path) else READ_FILE
            # struct landlock_path_beneath_attr, packed.
            rule = struct.pack("=Qi", rights, descriptor)
            libc.syscall(LANDLOCK_ADD, ruleset, LANDLOCK_PATH_BENEATH, rule, 0)
        finally:
            os.close(descriptor)


def _filter(calls: Calls) -> Iterator[bytes]:
    """The filter's instructions: those of another architecture or ABI are refused as a whole."""
    refused = [*calls.others]
    body = [_instruction(LOAD_WORD, NUMBER_AT)]
    if calls.foreign is not None:
        refused_at = len(refused) + 3
        body.append(_instruction(IF_AT_LEAST, calls.foreign, if_true=refused_at))
    for index, number in enumerate(refused):
        body.append(_instruction(IF_EQUAL, number, if_true=len(refused) - index + 2))
    body += [
        _instruction(IF_EQUAL, calls.socket, if_false=3),
        _instruction(LOAD_WORD, FIRST_ARGUMENT_AT),
        _instruction(IF_EQUAL, AF_UNIX, if_true=1),
        _instruction(RETURN, REFUSE),
        _instruction(RETURN, ALLOW),
    ]
    yield _instruction(LOAD_WORD, ARCHITECTURE_AT)
    yield _instruction(IF_EQUAL, calls.architecture, if_true=1)
    yield _instruction(RETURN, REFUSE)
    yield from body


def _instruction(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    """``struct sock_filter``."""
    return struct.pack("HBBI", code, if_true, if_false, value)


def limit(memory: int) -> None:
    """``memory`` is in bytes: how much of it the process may have beside the model's file, which is
    mapped. A core dump would hold prompts, so there are none.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or memory < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write(str(EAGER_TO_DIE))


def stand_back(niceness: int) -> None:
    """Let the serving processes have the processor first: they have little to do, and soon."""
    with suppress(OSError):
        os.nice(niceness)
