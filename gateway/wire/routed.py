"""What a router is told in the body of a chat completion: only these providers, and nothing that
the app wrote may widen that. Anything through which an app could name another model or provider is
narrowed or taken out.

Sources: OpenRouter, https://openrouter.ai/docs/guides/routing/provider-selection and
/model-fallbacks; Vercel, https://vercel.com/docs/ai-gateway (``providerOptions.gateway``); Hugging
Face, https://huggingface.co/docs/inference-providers (``model:provider``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

_OPENROUTER_WIDENS = ("models", "route", "preset", "plugins")
"""Other models and routes, presets that name some, plugins that send the prompt elsewhere."""


def tell(body: bytes, router: str, providers: Sequence[str]) -> bytes | None:
    """``body`` with what ``router`` (a vendor id) understands of ``providers`` (its own slugs);
    ``None`` where nobody is left who may serve it, or where it asks for a tool that the router
    itself runs: such a tool searches, or asks other models, where nobody has judged. Raises
    ``ValueError`` where the body is no JSON object.
    """
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("the body is not JSON") from None
    if not isinstance(request, dict):
        raise ValueError("the body is no object")
    told = None if _asks_more(request) else _TELL[router](request, providers)
    return None if told is None else msgspec.json.encode(told)


def _openrouter(request: dict[str, Any], providers: Sequence[str]) -> dict[str, Any] | None:
    wished = _object(request.get("provider"))
    only = _narrowed(wished.get("only"), providers)
    if not only:
        return None
    provider = {
        **_without(wished, "only", "order", "allow_fallbacks", "data_collection"),
        "only": only,
        "allow_fallbacks": False,
        "data_collection": "deny",
    }
    if order := _common(wished.get("order"), only):
        provider["order"] = order
    return {**_without(request, "provider", *_OPENROUTER_WIDENS), "provider": provider}


def _vercel(request: dict[str, Any], providers: Sequence[str]) -> dict[str, Any] | None:
    options = _object(request.get("providerOptions"))
    wished = _object(options.get("gateway"))
    only = _narrowed(wished.get("only"), providers)
    if not only:
        return None
    gateway = {**_without(wished, "only", "order", "models"), "only": only}
    if order := _common(wished.get("order"), only):
        gateway["order"] = order
    told = _without(request, "models", "provideroptions")
    return {**told, "providerOptions": {**_without(options, "gateway"), "gateway": gateway}}


def _huggingface(request: dict[str, Any], providers: Sequence[str]) -> dict[str, Any] | None:
    # It takes one provider by name, and which of them has a model is not known here: so the target
    # must name it, and one that does not could go anywhere.
    _, _, named = str(request.get("model", "")).partition(":")
    return _without(request, "provider") if named in providers else None


_TELL: Mapping[str, Callable[[dict[str, Any], Sequence[str]], dict[str, Any] | None]] = {
    "openrouter": _openrouter,
    "vercel": _vercel,
    "huggingface": _huggingface,
}


def _without(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Without these keys (given in lower case) in any case: some decoders do not look at it."""
    return {key: value for key, value in fields.items() if key.lower() not in names}


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _narrowed(wished: object, allowed: Sequence[str]) -> list[str]:
    """What both name, in the app's order; all that is allowed where the app names nobody."""
    return _common(wished, allowed) if isinstance(wished, list) and wished else list(allowed)


def _common(wished: object, allowed: Sequence[str]) -> list[str]:
    return [word for word in wished if word in allowed] if isinstance(wished, list) else []


def _asks_more(request: Mapping[str, Any]) -> bool:
    """Whether a tool is none of the app's own. An app's are functions; ``custom`` ones too."""
    for key, tools in request.items():
        if key.lower() == "tools" and isinstance(tools, list):
            kinds = (tool.get("type") if isinstance(tool, dict) else None for tool in tools)
            if any(kind not in ("function", "custom") for kind in kinds):
                return True
    return False
