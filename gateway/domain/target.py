"""A target: one place that a request can go."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

import msgspec

from gateway.domain.identity import Identity, Locality


class Capability(StrEnum):
    """What a request can need of a target. The value is the word that an error names."""

    TOOLS = "tools"
    OTHER_TOOLS = "tools that are no functions"
    STRUCTURED_OUTPUTS = "structured_outputs"
    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    IMAGES = "images"
    IMAGE_URLS = "images by URL"
    OTHER_IMAGES = "images other than PNG, JPEG, GIF and BMP"
    FILES = "files"
    AUDIO = "audio"
    LOGPROBS = "logprobs"
    LOGIT_BIAS = "logit_bias"
    SEVERAL_CHOICES = "n"
    WEB_SEARCH = "web_search_options"
    INFILL = "suffix"
    BEST_OF = "best_of"
    PROMPT_LOGPROBS = "echo with logprobs"
    OTHER_CONTENT = "content of other types"
    OTHER_FORMATS = "response_format of other types"
    MODERATION = "moderation"
    CITATIONS = "citations"
    CONTEXT_MANAGEMENT = "context_management"
    COMPACTION = "compaction"
    THREADS = "thread"
    PLACE = "inference_geo"
    PREWARM = "max_tokens of 0"
    CHAT = "chats"
    """Of no request's needs, since nearly every model has it: a local model's worker tells it."""
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    IMAGE_GENERATION = "image generation"
    RERANK = "rerank"


APIS = frozenset(
    {
        Capability.COMPLETIONS,
        Capability.EMBEDDINGS,
        Capability.MODERATIONS,
        Capability.SPEECH,
        Capability.TRANSCRIPTION,
        Capability.IMAGE_GENERATION,
        Capability.RERANK,
    }
)
"""What is asked for through an API of its own: a model need have no more than one of them."""


class Target(msgspec.Struct, frozen=True, dict=True):
    """``channel`` is the configured channel's name (``local`` for GGUF files), ``model`` the id as
    that channel knows it. ``capabilities`` of ``None`` means: assumed to have all of them.
    ``context`` is in tokens, ``None`` where it is not known.
    """

    channel: str
    model: str
    identity: Identity
    capabilities: frozenset[Capability] | None = None
    context: int | None = None

    @cached_property
    def id(self) -> str:
        return f"{self.channel}/{self.model}"

    @property
    def locality(self) -> Locality:
        return self.identity.locality

    def lacks(self, needs: frozenset[Capability]) -> frozenset[Capability]:
        """The needs that this target does not meet."""
        return frozenset() if self.capabilities is None else needs - self.capabilities
