"""What one model can do, as its worker says when it is loaded."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.domain.target import Capability

CAPABILITIES = frozenset(
    {
        Capability.TOOLS,
        Capability.JSON_SCHEMA,
        Capability.JSON_OBJECT,
        Capability.STRUCTURED_OUTPUTS,
        Capability.LOGPROBS,
        Capability.LOGIT_BIAS,
        Capability.SEVERAL_CHOICES,
        Capability.CHAT,
        # Wherever that is asked to be, nothing leaves this machine.
        Capability.PLACE,
        Capability.COMPLETIONS,
    }
)
"""What the engine does with any model that generates text."""
AT_MOST = CAPABILITIES | {Capability.EMBEDDINGS, Capability.INFILL}
"""What a model may be able to do of which nothing more is known; its worker tells."""


class Told(StrEnum):
    """How functions are told to a model."""

    NATIVE = "native"
    DESCRIBED = "described"
    """In the system message, in words that the engine has for all."""


class Thinks(StrEnum):
    NO = "no"
    ALWAYS = "always"
    SWITCHED = "switched"
    """As ``chat_template_kwargs: {enable_thinking: …}`` says."""


class ChatAbilities(msgspec.Struct, frozen=True):
    """What a model's template takes: messages of ``roles`` as they are (others are brought into
    their shape), and perhaps only turns that alternate.
    """

    roles: tuple[str, ...]
    alternating: bool
    tools: Told
    thinks: Thinks


class Abilities(msgspec.Struct, frozen=True):
    """``chat`` is ``None`` for a model that generates no text."""

    capabilities: tuple[Capability, ...]
    chat: ChatAbilities | None
