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
    "in": "IN",
    "us-gov": "US",
    "global": None,
}
"""Bedrock's inference-profile prefixes, and where they say that the prompt goes."""

_STAMP = re.compile(
    r"""(?: @(?:\d{8}|latest|default)          # Vertex
          | -maas                              # Vertex, served by Google
          | (?<!\Aembed)[-:]v\d+:\d+(?::\d+k)?   # Bedrock; Cohere's embed-v4 is called so
          | (?<=\db)-\d:\d                    # Bedrock: gpt-oss-120b-1:0
          | -20\d{6} | -20\d\d-\d\d-\d\d | -\d\d-20\d\d   # dates
          | (?<=-preview)-\d\d-\d\d
          | -latest
          | :(?:free|nitro|beta|extended|thinking|online|floor|exacto)  # OpenRouter
        )\Z""",
    re.VERBOSE,
)
_GPT_DATES = (
    re.compile(r"(?<=\Agpt-4)-(?:0[1-9]|1[0-2])\d\d(?=-|\Z)"),
    re.compile(r"(?<=\Agpt-3\.5-turbo)-(?:0[1-9]|1[0-2])\d\d\Z"),
)
_MISTRAL_DATE = re.compile(r"(?<=\w)-2[3-9](?:0[1-9]|1[0-2])\Z")
_MISTRAL = re.compile(r"(?:open-|labs-)?(?:\w+[sx]tral)(?:-|\Z)")
_CLAUDE = re.compile(r"claude-([4-9](?:-\d)?)-(opus|sonnet|haiku)(?=-|\Z)")
_BEDROCK_CLAUDE = re.compile(r"(claude-.+?)-v\d+\Z")
_CLAUDE_2 = re.compile(r"claude-v(\d)(?::(\d)(?::\d+k)?)?\Z")
_LLAMA = re.compile(r"(?:meta-)?llama-?v?(\d)(?:[-.p](\d)(?=-|\Z))?(?=-|\Z)")
_AWS_REGION = re.compile(r"[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d\Z")
_BEDROCK_SEGMENT = re.compile(
    r"(?:\*|claude_platform|converse|converse_like|invoke|\d+-month-commitment)\Z"
)
_QUANT = re.compile(r"(?:i?q\d\w*|fp\d+|bf16|cloud|latest)\Z")
_TOKENS = re.compile(r"[^a-z0-9]+")
_GLUED = re.compile(r"([a-z]+?)(\d+(?:[xp]\d+)?b?)\Z")
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
    bare = parsed.publisher is None or provider in ("openrouter", "vercel")
    if parsed.opaque or (bare and parsed.name in _AUTO):
        return replace(parsed, opaque=True)
    name = parsed.name
    # Hugging Face: the provider that the router should ask; Replicate: a hash of the version.
    if provider in ("huggingface", "replicate"):
        name = name.partition(":")[0]
    if provider == "ollama":
        name = _untagged(name)
    return replace(parsed, name=canonical(name))


def canonical(name: str) -> str:
    """The name without dates, versions and serving suffixes, in lower case, and in its maker's
    own spelling where channels differ.
    """
    name = name.lower()
    while True:
        shorter = _STAMP.sub("", name)
        if shorter in (name, "") or shorter == "claude":
            break
        name = shorter
    if name.startswith("claude-"):
        # Bedrock's claude-v2:1 is claude-2.1 everywhere else.
        name = _CLAUDE_2.sub(_claude_2, name).replace(".", "-")
        return _CLAUDE.sub(r"claude-\2-\1", name)
    if name.startswith("gemini-"):
        return re.sub(r"-00\d\Z", "", name)
    if name.startswith("gpt-"):
        for dated in _GPT_DATES:
            name = dated.sub("", name)
    elif _MISTRAL.match(name):
        name = _MISTRAL_DATE.sub("", name)
    return _LLAMA.sub(_llama, name) if _LLAMA.match(name) else name


def _llama(found: re.Match[str]) -> str:
    major, minor = found.groups()
    return f"llama-{major}.{minor}" if minor else f"llama-{major}"


def _claude_2(found: re.Match[str]) -> str:
    major, minor = found.groups()
    return f"claude-{major}-{minor}" if minor and minor != "0" else f"claude-{major}"


def _untagged(name: str) -> str:
    """An Ollama name with the size of its tag; the quantisation and where it runs are no name."""
    base, _, tag = name.lower().partition(":")
    kept = [word for word in re.split(r"[-:]", tag) if word and not _QUANT.match(word)]
    return "-".join([base, *kept])


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


def cut(name: str) -> tuple[str, str]:
    """The first word of a name and what follows it."""
    found = re.match(r"([a-z0-9]+)[-_.](.+)\Z", name)
    return (found.group(1), found.group(2)) if found else (name, "")


def is_cloud_tag(model_id: str) -> bool:
    """Whether an Ollama tag says that the model is served off site."""
    return any(_CLOUD_TAG.search(part) for part in model_id.lower().split("/"))


def _bedrock(model_id: str) -> ModelId:
    model_id = model_id.lower()
    region: str | None = None
    if model_id.startswith("arn:"):
        fields = model_id.split(":", 5)
        region = fields[3] if len(fields) == 6 and fields[3] else None
        # What stands behind an ARN is the account's to say: configuration names it, or nobody.
        return ModelId(fields[-1].partition("/")[2] or model_id, region=region, opaque=True)
    *segments, model_id = model_id.split("/")
    for segment in segments:
        if _AWS_REGION.match(segment):
            region = segment
        elif not _BEDROCK_SEGMENT.match(segment):
            return ModelId(model_id, region=region, opaque=True)
    first, dot, rest = model_id.partition(".")
    if dot and first in _REGIONS:
        region, model_id = _REGIONS[first], rest
    publisher, dot, name = model_id.partition(".")
    if not dot or not publisher.isalnum() or (publisher[-1:].isdigit() and publisher != "ai21"):
        return ModelId(canonical(model_id), region=region)
    name = canonical(name)
    older = _BEDROCK_CLAUDE.match(name)
    if publisher == "anthropic" and older:
        name = older.group(1)
    elif re.match(r"[rv]\d", name):  # deepseek.r1 is deepseek-r1 everywhere else
        name = f"{publisher}-{name}"
    return ModelId(name, publisher, region)


def _path(model_id: str) -> ModelId:
    """A bare ``model``, ``publisher/model``, ``…/models/model`` or a fine-tuned ``ft:model:…``."""
    parts = [part for part in model_id.split("/") if part]
    if not parts:
        return ModelId(model_id, opaque=True)
    if parts[-1].lower().startswith("ft:"):
        base = parts[-1].split(":")[1]
        return ModelId(base, parts[-2].lstrip("~") if parts[1:] else None, opaque=not base)
    if parts[0] == "accounts":
        # Fireworks: what an account of its own deployed may be anybody's.
        shared = parts[1:3] == ["fireworks", "models"] and len(parts) == 4
        return ModelId(parts[-1], opaque=not shared)
    if "endpoints" in parts[:-1]:
        return ModelId(parts[-1], opaque=True)
    region = _after("locations", parts)
    if "models" in parts[:-1]:
        return ModelId(parts[-1], _after("publishers", parts), region)
    if len(parts) >= 2:
        return ModelId(parts[-1], parts[-2].lstrip("~"))
    return ModelId(model_id)


def _after(word: str, parts: list[str]) -> str | None:
    """The segment that follows ``word``, if there is one."""
    at = parts.index(word) + 1 if word in parts else len(parts)
    return parts[at] if at < len(parts) else None
