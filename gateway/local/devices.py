"""llama.cpp's list of devices, as JSON: ``python -m gateway.local.devices``.

A process of its own, for the moment that it takes: a driver may crash, and what it holds of a
device is free again. Only the library itself is loaded, not the Python package around it, which
takes ten times as long. Source of the calls: ``ggml/include/ggml-backend.h`` of llama.cpp.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from pathlib import Path

import msgspec

from gateway.local.probing import Device, Found, Kind

PACKAGE = "llama_cpp"
LIBRARY = "lib/libggml.so"
KINDS = (Kind.CPU, Kind.GPU, Kind.IGPU, Kind.ACCELERATOR, Kind.META)


class _Properties(ctypes.Structure):
    """``struct ggml_backend_dev_props``, with room behind for capabilities that may be added."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("free", ctypes.c_size_t),
        ("total", ctypes.c_size_t),
        ("kind", ctypes.c_int),
        ("id", ctypes.c_char_p),
        ("capabilities", ctypes.c_ubyte * 64),
    )


def library() -> ctypes.CDLL:
    """The one that llama_cpp loads. Raises OSError where it is not there or not for here."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise OSError(f"{PACKAGE} is not installed: run make setup")
    found = ctypes.CDLL(str(Path(spec.origin).parent / LIBRARY))
    for name in ("ggml_backend_reg_count", "ggml_backend_dev_count"):
        getattr(found, name).restype = ctypes.c_size_t
    for name in ("ggml_backend_reg_get", "ggml_backend_dev_get"):
        getattr(found, name).restype = ctypes.c_void_p
        getattr(found, name).argtypes = [ctypes.c_size_t]
    found.ggml_backend_reg_name.restype = ctypes.c_char_p
    found.ggml_backend_reg_name.argtypes = [ctypes.c_void_p]
    found.ggml_backend_dev_get_props.restype = None
    found.ggml_backend_dev_get_props.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Properties)]
    return found


def look(ggml: ctypes.CDLL) -> Found:
    """The back ends of the build, and the devices that they find now."""
    backends = tuple(
        _text(ggml.ggml_backend_reg_name(ggml.ggml_backend_reg_get(index)))
        for index in range(ggml.ggml_backend_reg_count())
    )
    devices = []
    for index in range(ggml.ggml_backend_dev_count()):
        properties = _Properties()
        ggml.ggml_backend_dev_get_props(ggml.ggml_backend_dev_get(index), ctypes.byref(properties))
        devices.append(
            Device(
                name=_text(properties.name),
                description=_text(properties.description),
                kind=KINDS[properties.kind],
                free=properties.free,
                total=properties.total,
                id=_text(properties.id) or None,
            )
        )
    return Found(backends, tuple(devices))


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def main() -> int:
    try:
        ggml = library()
    except OSError as error:
        print(f"llama.cpp's library cannot be loaded: {error}", file=sys.stderr)  # noqa: T201 - a process's word
        return 1
    # It logs what it finds; what is found is what this prints.
    quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(_nothing)
    ggml.ggml_log_set(quiet, None)
    sys.stdout.buffer.write(msgspec.json.encode(look(ggml)) + b"\n")
    return 0


def _nothing(level: int, text: bytes, data: object) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
