"""How model ids are written: paths, prefixes, regions, dates and suffixes, cut into tokens.

Nothing here guesses: each pattern takes a whole token or path segment, never a part of a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_REGIONS = {
    "us": "US",
    "eu": "EU",
    "apac": "APAC",
    "jp": "JP",
    "au": "AU",
    "ca": "CA",
    "us-gov": "US",
    "global": None,
}
"""Bedrock's inference-profile prefixes, and where they say that the prompt goes."""

_STAMP = re.compile(
    r"""(?: @(?:\d{8}|latest|default)          # Vertex
          | [-:]v\d+(?::\d+)?(?::\d+k)?        # Bedrock
          | -20\d{6} | -20\d\d-\d\d-\d\d       # dates
          | -latest
          | :(?:free|nitro|beta|extended|thinking|online|floor)  # OpenRouter
        )\Z""",
    re.VERBOSE,
)
_TOKENS = re.compile(r"[^a-z0-9]+")
_GLUED = re.compile(r"([a-z]+?)(\d+(?:x\d+)?b?)\Z")
_CLOUD_TAG = re.compile(r"(?:\A|[-:])cloud(?:\Z|[-:])")
_AUTO = frozenset({"auto", "fusion", "router", "auto-router"})


@dataclass(frozen=True, slots=True)
class ModelId:
    """An id taken apart: ``publisher`` as written, ``name`` without region, date and suffix."""

    name: str
    publisher: str | None = None
    region: str | None = None
    opaque: bool = False
    """Says nothing of the model by itself: an ARN, a router, a deployment's name."""


def parse(model_id: str, provider: str) -> ModelId:
    """Take a model id apart by the grammar of the channel's provider."""
    if provider == "amazon":
        return _bedrock(model_id)
    parsed = _path(model_id)
    if parsed.publisher is None and parsed.name in _AUTO:
        return replace(parsed, opaque=True)
    if provider in ("openrouter", "vercel") and parsed.name in _AUTO:
        return replace(parsed, opaque=True)
    return replace(parsed, name=canonical(parsed.name))


def canonical(name: str) -> str:
    """The name without dates, versions and serving suffixes, in lower case."""
    name = name.lower()
    while True:
        shorter = _STAMP.sub("", name)
        if shorter in (name, ""):
            return name
        name = shorter


def tokens(name: str) -> list[str]:
    """The words of a name, in lower case; ``qwen2.5`` is ``qwen``, ``2``, ``5``."""
    words: list[str] = []
    for word in _TOKENS.split(name.lower()):
        glued = _GLUED.match(word)
        # o1, o3 and phi3: a letter or two before the digit is part of the name.
        if glued and len(glued.group(1)) > 2:
            words += [glued.group(1), glued.group(2)]
        elif word:
            words.append(word)
    return words


def is_cloud_tag(model_id: str) -> bool:
    """Whether an Ollama tag says that the model is served off site."""
    return _CLOUD_TAG.search(model_id.lower().partition("/")[2] or model_id.lower()) is not None


def _bedrock(model_id: str) -> ModelId:
    if model_id.startswith("arn:"):
        resource = model_id.rpartition("/")[2]
        if ":foundation-model/" not in model_id and ":inference-profile/" not in model_id:
            return ModelId(resource, opaque=True)
        model_id = resource
    region: str | None = None
    first, dot, rest = model_id.partition(".")
    if dot and first in _REGIONS:
        region, model_id = _REGIONS[first], rest
    publisher, dot, name = model_id.partition(".")
    if not dot:
        return ModelId(canonical(model_id), region=region, opaque=True)
    return ModelId(canonical(name), publisher, region)


def _path(model_id: str) -> ModelId:
    """A bare ``model``, ``publisher/model``, ``…/models/model`` or a fine-tuned ``ft:model:…``."""
    if model_id.startswith("ft:"):
        return ModelId(model_id.split(":")[1])
    parts = [part for part in model_id.split("/") if part]
    if "models" in parts[:-1]:
        at = parts.index("models")
        owner = parts[at - 1] if at > 0 and parts[at - 2 : at - 1] == ["publishers"] else None
        return ModelId(parts[-1], owner)
    if len(parts) >= 2:
        return ModelId(parts[-1], parts[-2])
    return ModelId(model_id)
