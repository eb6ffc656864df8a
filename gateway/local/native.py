"""The only file that imports llama_cpp: its low-level bindings, and what holds for all of them.

``llama_decode`` releases the GIL (ctypes does for every foreign call), so sockets are served while
the model computes.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

import llama_cpp.llama_cpp as llama
import llama_cpp.mtmd_cpp as mtmd

__all__ = ["CONTROL", "DecodeFailed", "llama", "mtmd", "silence", "silence_images"]

CONTROL = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
LOG_ERROR = 4
LOG_CONTINUE = 5


class DecodeFailed(Exception):
    """llama.cpp's state is no longer known; the process must go."""


def silence() -> None:
    """Let llama.cpp and mtmd log nothing but errors, to standard error."""
    llama.llama_log_set(_errors(), ctypes.c_void_p(0))
    mtmd.mtmd_helper_log_set(_errors(), ctypes.c_void_p(0))


def silence_images() -> None:
    """Let mtmd log nothing at all: once a projector is loaded, its errors are about what apps send,
    and those are told.
    """
    mtmd.mtmd_helper_log_set(_nothing(), ctypes.c_void_p(0))


# Kept for good: the library may log whenever it does something.
@cache
def _errors() -> Any:
    loud = False

    def log(level: int, text: bytes, _: object) -> None:
        nonlocal loud
        if level != LOG_CONTINUE:
            loud = level >= LOG_ERROR
        if loud:
            sys.stderr.write(text.decode("utf-8", "replace"))

    return llama.llama_log_callback(log)


@cache
def _nothing() -> Any:
    return llama.llama_log_callback(lambda *_: None)
