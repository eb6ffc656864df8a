"""This machine: memory, cores, files, clock, interpreter, and the ports that are taken."""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import resource
import socket
from collections.abc import Iterator

from gateway.config.settings import Settings
from gateway.local.machine import cores, free_memory, memory, swapped
from gateway.processes.interpreter import build
from gateway.readiness.doctor.examined import Machine

_TIMEX = 1024
"""Bytes: more than the kernel's ``struct timex`` has."""
_STATUS = 5
"""Where ``status`` stands in it: behind ``modes`` and four numbers, each with the room of a long.
"""
_UNSYNCHRONISED = 0x40
_ERROR = 5


def machine(*, loaded: bool) -> Machine:
    """``loaded`` says that models are loaded already, so that what is free tells nothing."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(
        memory=memory(),
        free=None if loaded else free_memory(),
        swap=swapped(),
        cores=cores(),
        descriptors=soft,
        synchronised=synchronised(),
        python=build(),
    )


def synchronised() -> bool | None:
    """Whether something keeps the clock, by adjtimex(2), which is only asked; ``None`` where it
    says nothing.
    """
    room = ctypes.create_string_buffer(_TIMEX)
    try:
        state = int(ctypes.CDLL(None).adjtimex(room))
    except (AttributeError, OSError):
        return None
    if state < 0:
        return None
    status = ctypes.c_int.from_buffer(room, _STATUS * ctypes.sizeof(ctypes.c_long)).value
    return state != _ERROR and not status & _UNSYNCHRONISED


def taken(settings: Settings) -> Iterator[tuple[str, str]]:
    """The addresses to listen on that cannot be had, and why. Nothing listens, and no name is
    looked up: of names only that of this machine itself is tried.
    """
    places = [(settings.server.host, settings.server.port)]
    if settings.admin.port is not None:
        places.append((settings.admin.host, settings.admin.port))
    for host, port in places:
        why = _why_not("127.0.0.1" if host == "localhost" else host, port) if port else None
        if why is not None:
            yield f"{host}:{port}", why


def _why_not(host: str, port: int) -> str | None:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return None
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "somebody else listens there"
            return os.strerror(error.errno or 0)
    return None
