"""How servers of the OpenAI dialect list their models.

Sources: vLLM's ``ModelCard``, ``ToListCompletion`` of Ollama's ``openai`` package, llama.cpp's
``tools/server``, TGI's router, and what LM Studio answers.
"""

from __future__ import annotations

import json
from typing import Any

MISSING = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
"""The answer of a server that knows no such path."""
_CREATED = 1_735_142_223


def listing(shape: str, models: tuple[str, ...]) -> bytes:
    """The answer to ``GET /v1/models`` in the shape of ``vllm``, ``ollama``, ``llama-server``,
    ``llama-router``, ``lm-studio`` or ``tgi``.
    """
    return answer(list_body(shape, models))


def answer(body: bytes, status: int = 200) -> bytes:
    """An answer with that body, as JSON."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def list_body(shape: str, models: tuple[str, ...]) -> bytes:
    """The body of such a list."""
    rows = [_ROWS[shape](model) for model in models]
    whole: dict[str, Any] = {"object": "list", "data": rows}
    if shape == "ollama" and not models:
        whole["data"] = None
    if shape == "llama-server":
        whole["models"] = [{"name": model, "model": model, "details": {}} for model in models]
    return json.dumps(whole).encode()


def _row(model: str, owner: str, **more: Any) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": _CREATED, "owned_by": owner, **more}


def _vllm(model: str) -> dict[str, Any]:
    permission = [{"id": "modelperm-1", "object": "model_permission", "organization": "*"}]
    more = {"root": model, "parent": None, "max_model_len": 32768, "permission": permission}
    return _row(model, "vllm", **more)


def _ollama(model: str) -> dict[str, Any]:
    return _row(model, "library")


def _llama_server(model: str) -> dict[str, Any]:
    meta = {"vocab_type": 2, "n_vocab": 151936, "n_ctx_train": 40960, "n_params": 8_190_735_360}
    return _row(model, "llamacpp", aliases=[], tags=[], meta=meta)


def _llama_router(model: str) -> dict[str, Any]:
    status = {"value": "unloaded", "args": ["llama-server", "-c", "4096"]}
    return _row(model, "llamacpp", aliases=[f"{model}-alias"], status=status)


def _lm_studio(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "owned_by": "organization_owner"}


def _tgi(model: str) -> dict[str, Any]:
    return {**_row(model, model), "created": 0}


_ROWS = {
    "vllm": _vllm,
    "ollama": _ollama,
    "llama-server": _llama_server,
    "llama-router": _llama_router,
    "lm-studio": _lm_studio,
    "tgi": _tgi,
}
