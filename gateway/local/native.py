"""The only file that imports llama_cpp: its low-level bindings, and what holds for all of them.

``llama_decode`` releases the GIL (ctypes does for every foreign call), so sockets are served while
the model computes.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import llama_cpp.llama_cpp as llama

__all__ = ["CONTROL", "DecodeFailed", "llama", "silence"]

CONTROL = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
LOG_ERROR = 4
LOG_CONTINUE = 5


class DecodeFailed(Exception):
    """llama.cpp's state is no longer known; the process must go."""


@cache
def silence() -> object:
    """Let llama.cpp log nothing but errors, to standard error. What is returned must live for as
    long as the library is used, so it is made once.
    """
    loud = False

    def log(level: int, text: bytes, _: object) -> None:
        nonlocal loud
        if level != LOG_CONTINUE:
            loud = level >= LOG_ERROR
        if loud:
            sys.stderr.write(text.decode("utf-8", "replace"))

    callback = llama.llama_log_callback(log)
    llama.llama_log_set(callback, ctypes.c_void_p(0))
    return callback
