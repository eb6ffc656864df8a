"""The only file that imports llama_cpp: its low-level bindings, and what holds for all of them.

``llama_decode`` releases the GIL (ctypes does for every foreign call), so sockets are served while
the model computes.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

import llama_cpp.llama_cpp as llama
import llama_cpp.mtmd_cpp as mtmd
from llama_cpp import _utils
from llama_cpp._ggml import libggml

from gateway.errors import ModelFileError

__all__ = ["CONTROL", "DecodeFailed", "Devices", "llama", "mtmd", "silence", "silence_images"]

# Opened on import, for the high-level classes alone.
_utils.outnull_file.close()
_utils.errnull_file.close()

CONTROL = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
LOG_ERROR = 4
LOG_CONTINUE = 5


class DecodeFailed(Exception):
    """llama.cpp's state is no longer known; the process must go."""


class Devices:
    """Which devices a model may use, as llama.cpp takes them: ``list`` ends with a null pointer,
    ``shares`` are of the layers. Without any, none is used, not even for large batches. Keep it
    alive while the model is loaded. Raises ModelFileError where one is not there.
    """

    def __init__(self, layers: Mapping[str, int]) -> None:
        by_name = libggml.ggml_backend_dev_by_name
        by_name.argtypes, by_name.restype = [ctypes.c_char_p], ctypes.c_void_p
        found = {name: by_name(name.encode()) for name in layers}
        gone = [name for name, device in found.items() if not device]
        if gone:
            raise ModelFileError(f"the device {', '.join(gone)} is not there any more")
        self._list = (ctypes.c_void_p * (len(found) + 1))(*found.values(), None)
        self.list = ctypes.cast(self._list, ctypes.c_void_p)
        self.shares = (ctypes.c_float * llama.llama_max_devices())(*map(float, layers.values()))


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
