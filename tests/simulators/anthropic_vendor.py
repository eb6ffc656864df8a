"""A vendor that speaks the Anthropic dialect on 127.0.0.1 and fails in the way it is told to.

``POST /v1/messages`` is answered as ``behave`` says, ``POST /v1/messages/count_tokens`` always
well.
"""

from __future__ import annotations

import json
from typing import Any

from tests.simulators.anthropic_speech import INPUT_TOKENS, AnthropicSpeech
from tests.simulators.peer import Peer
from tests.simulators.seen import SeenRequest
from tests.simulators.server import Simulator


class AnthropicSimulator(Simulator):
    """Further behaviours: ``other_model`` (``model``), ``endless``; what an answer says can be
    varied as ``AnthropicSpeech`` tells: pings, thinking, tools, the type of an error event.
    ``missing_done`` leaves out ``message_stop``.
    """

    own = frozenset({"other_model", "endless"})

    @property
    def url(self) -> str:
        """What a channel's ``base_url`` is: this dialect's has no ``/v1``."""
        return self.origin

    def speech(self, request: SeenRequest, options: dict[str, Any]) -> AnthropicSpeech:
        return AnthropicSpeech(request.json, options)

    async def answer(
        self, request: SeenRequest, peer: Peer, behaviour: str, options: dict[str, Any]
    ) -> bool:
        if request.path.endswith("/count_tokens"):
            counted = json.dumps({"input_tokens": INPUT_TOKENS}).encode()
            return await peer.body(200, "application/json", counted)
        return await super().answer(request, peer, behaviour, options)
