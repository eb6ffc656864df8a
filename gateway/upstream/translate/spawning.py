"""How a translator is started: with which interpreter, environment and descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from pathlib import Path

import gateway

ADVICE = "run `make translate`, or say in translate.python where its interpreter is"

ENVIRONMENT: Mapping[str, str] = {
    # What litellm and what it stands on would fetch, follow or find by themselves.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_RUST": "False",
    "LITELLM_MODE": "PRODUCTION",
    "DISABLE_AIOHTTP_TRANSPORT": "True",
    "HF_HUB_OFFLINE": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "BOTO_CONFIG": "/nonexistent",
    "NO_GCE_CHECK": "true",
    "HOME": "/nonexistent",
    "NO_PROXY": "*",
    # OpenRouter is told these by litellm, which names itself where there is nothing.
    "OR_SITE_URL": "",
    "OR_APP_NAME": "",
}
KEPT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ")
"""What a translator may know of our environment. By name: a prefix would let a key through."""

SOURCE = Path(gateway.__file__).resolve().parent
_BOOT = """
import importlib.util, sys
found = importlib.util.spec_from_file_location("gateway", sys.argv[1] + "/__init__.py")
module = sys.modules["gateway"] = importlib.util.module_from_spec(found)
found.loader.exec_module(module)
from gateway.upstream.translate.boot import main
sys.exit(main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[1]))
"""
"""Only our own package is found where the serving process has it, and none of what lies beside."""


def packages(python: Path) -> Path | None:
    """The folder of the packages of the virtual environment of an interpreter; ``None`` where there
    is none that has litellm.
    """
    for folder in sorted((python.parent.parent / "lib").glob("python3.*/site-packages")):
        if (folder / "litellm" / "__init__.py").is_file() and os.access(python, os.X_OK):
            return folder
    return None


async def spawn(
    python: Path, packages: Path, agent: str
) -> tuple[asyncio.subprocess.Process, socket.socket, socket.socket]:
    """A translator's process, and our ends of the sockets: to talk over, and for its dials.
    ``agent`` is what it calls itself to vendors. Raises ``OSError``.
    """
    talk, its_talk = socket.socketpair()
    dials, its_dials = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its_talk, its_dials:
        try:
            process = await asyncio.create_subprocess_exec(
                *(python, "-I", "-S", "-B", "-c", _BOOT, SOURCE),
                *(str(its_talk.fileno()), str(its_dials.fileno()), packages),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=environment(os.environ, agent),
                pass_fds=(its_talk.fileno(), its_dials.fileno()),
                start_new_session=True,
            )
        except BaseException:
            talk.close()
            dials.close()
            raise
    return process, talk, dials


def environment(ours: Mapping[str, str], agent: str) -> dict[str, str]:
    """What a translator gets of our environment: never a key."""
    kept = {name: ours[name] for name in KEPT if name in ours}
    return {**ENVIRONMENT, "LITELLM_USER_AGENT": agent} | kept
