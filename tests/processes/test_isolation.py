"""What a worker gives up, tried in real child processes."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys

import pytest

from gateway.processes.isolation import CALLS

PREAMBLE = """
import errno, os, socket, subprocess, sys
from gateway.processes.isolation import drop_network, limit, refuse_calls

def outcome(what):
    try:
        what()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
    except MemoryError:
        return "MemoryError"
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in CALLS, reason="Linux's own means"
)


def child(script: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_no_socket_reaches_anybody_where_the_kernel_has_no_namespaces() -> None:
    """The filter alone: a listener on this very machine is out of reach, in new threads too; Unix
    sockets go on.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        said = child(
            """
import threading
port = int(sys.argv[1])
connect = lambda: socket.create_connection(("127.0.0.1", port)).close()
print(outcome(connect), refuse_calls(), outcome(connect))
thread = threading.Thread(target=lambda: print(outcome(connect)))
thread.start(); thread.join()
for family in (socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
    print(outcome(lambda: socket.socket(family, socket.SOCK_RAW)))
one, other = socket.socketpair()
one.send(b"x"); print(other.recv(1).decode(), outcome(lambda: socket.socket(socket.AF_UNIX)))
""",
            str(listening.getsockname()[1]),
        )
    assert said == ["done", "True", *["EACCES"] * 5, "x", "done"]


def test_no_program_can_be_started() -> None:
    """A file that takes the worker over finds no shell."""
    said = child('refuse_calls(); print(outcome(lambda: os.execv("/bin/true", ["true"])))')
    assert said == ["EACCES"]


def test_memory_is_limited() -> None:
    """Beyond the limit an allocation fails, and the process alone is in trouble."""
    said = child("limit(400 << 20); print(outcome(lambda: bytearray(800 << 20)))")
    assert said == ["MemoryError"]
    assert child("limit(400 << 20); print(open('/proc/self/oom_score_adj').read())") == ["500"]


def test_a_namespace_of_its_own_has_nobody_in_it() -> None:
    """Where the kernel grants it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        granted, reached = child(
            """
print(drop_network(), outcome(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])))))
""",
            str(listening.getsockname()[1]),
        )
    assert reached == ("ENETUNREACH" if granted == "True" else "done")
