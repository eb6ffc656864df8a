"""How a translator's process begins: everything is given up before anything of others is loaded.

The interpreter is started without its ``site`` module, so that no ``.pth`` file of the virtual
environment runs (a compromised release of litellm came as one), and only then is told where the
packages are. Nothing but the standard library is imported up to there.
"""

from __future__ import annotations

import ssl
import sys
import tempfile
import time
from pathlib import Path

from gateway.processes.isolation import confine, drop_network, limit, refuse_calls

MEMORY = 2 << 30
"""Bytes that a translator may have: ten times what litellm takes by itself."""
READABLE = (
    *("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache"),
    *("/etc/ssl", "/etc/pki", "/usr/share", "/etc/localtime", "/etc/mime.types", "/dev/urandom"),
)
"""What a program reads beside Python and its packages: libraries, certificates, time zones."""


def main(talk: int, dial: int, packages: str, source: str) -> int:
    """``talk`` and ``dial`` are the descriptors of the two sockets, ``packages`` the folder of the
    virtual environment's packages, ``source`` our own.
    """
    started = time.monotonic()
    limit(MEMORY)
    python = (sys.base_prefix, sys.base_exec_prefix, str(Path(sys.executable).resolve().parent))
    trusted = ssl.get_default_verify_paths()
    certificates = (trusted.openssl_cafile, trusted.openssl_capath)
    # Nothing may be written anywhere; who asks for the folder is not to try which one would do.
    tempfile.tempdir = "/nonexistent"
    isolation = {
        "namespace": drop_network(),
        "landlock": confine((packages, source, *python, *certificates, *READABLE)),
        "seccomp": refuse_calls(),
    }
    sys.path.append(packages)
    # Not at the top: it imports litellm, which takes seconds and is not ours.
    from gateway.upstream.translate.process import serve  # noqa: PLC0415 - after the isolation

    return serve(talk, dial, isolation, started)
