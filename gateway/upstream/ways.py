"""In which API a channel is asked, and whether its answers are passed on as they are. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.domain.call import Api, Call
from gateway.domain.events import FailureKind
from gateway.domain.target import Target
from gateway.errors import CapabilityMissing
from gateway.upstream.channel import Channel
from gateway.upstream.fault import AttemptFault
from gateway.wire.anthropic_relay import AnthropicSpeech, CountSpeech
from gateway.wire.openai_completions_relay import CompletionSpeech
from gateway.wire.openai_embeddings_relay import EmbeddingSpeech
from gateway.wire.openai_passed import PassingSpeech
from gateway.wire.openai_passing import NEEDS
from gateway.wire.openai_relay import OpenAISpeech
from gateway.wire.openai_responses_relay import InputTokensSpeech, ResponsesSpeech
from gateway.wire.relay import Speech
from gateway.wire.sent import Sent

_SPEECHES: Mapping[Api, Speech] = {
    Api.CHAT: OpenAISpeech(),
    Api.COMPLETIONS: CompletionSpeech(),
    Api.EMBEDDINGS: EmbeddingSpeech(),
    Api.RESPONSES: ResponsesSpeech(),
    Api.INPUT_TOKENS: InputTokensSpeech(),
    Api.MESSAGES: AnthropicSpeech(),
    Api.COUNT_TOKENS: CountSpeech(),
    **{api: PassingSpeech(api) for api in NEEDS},
}


class Way(msgspec.Struct, frozen=True):
    """One of ``heads``, by the key, and ``body`` are what is sent. The answer is read by
    ``speech``; with ``typed`` it is told as what it says, since its bytes are not what the app is
    to get.
    """

    speech: Speech
    heads: tuple[bytes, ...]
    body: Sent
    typed: bool


def way(channel: Channel, target: Target, call: Call) -> Way:
    """How a call is put to a target. Raises ``AttemptFault`` where it cannot be."""
    api = channel.asked(call.api)
    speech = None if api is None else _SPEECHES.get(api)
    if api is None or speech is None:
        raise AttemptFault("this channel cannot be asked for that", FailureKind.INCAPABLE)
    try:
        body = speech.request(call, target)
    except CapabilityMissing as missing:
        kind = FailureKind.INCAPABLE
        raise AttemptFault(missing.message, kind, param=missing.param) from None
    typed = call.typed or api is not call.api or call.begun is not None
    return Way(speech, channel.heads_for(call, api), body, typed)
