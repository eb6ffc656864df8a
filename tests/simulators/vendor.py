"""A vendor that speaks the OpenAI dialect on 127.0.0.1 and fails in the way it is told to.

Run on its own with ``python -m tests.simulators.vendor --port N [--behave NAME]``: each connection
and request is a line on standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Mapping
from typing import Any, Self

from tests.simulators.model_lists import listing
from tests.simulators.openai_media import MediaSpeech, asked
from tests.simulators.openai_responses_speech import INPUT_TOKENS, ResponsesSpeech
from tests.simulators.openai_speech import OpenAISpeech
from tests.simulators.openai_texts import CompletionsSpeech, EmbeddingsSpeech
from tests.simulators.peer import Peer
from tests.simulators.seen import SeenRequest
from tests.simulators.server import BEHAVIOURS, Simulator
from tests.simulators.speech import Speech

APIS = frozenset(
    {
        "moderations",
        "rerank",
        *(f"audio/{name}" for name in ("speech", "transcriptions", "translations")),
        *(f"images/{name}" for name in ("generations", "edits", "variations")),
    }
)
"""Those that ``MediaSpeech`` answers."""
TEXTS: Mapping[str, type[OpenAISpeech]] = {
    "completions": CompletionsSpeech,
    "embeddings": EmbeddingsSpeech,
}
"""Those of plain texts; chat completions answer any other."""


class VendorSimulator(Simulator):
    """Further behaviours: ``other_model`` (``model``, ``late``), ``usage_twice``, ``no_choices``,
    ``endless`` (``comments``); what an answer says can be varied as ``OpenAISpeech`` tells, and
    that to ``POST /v1/responses`` as ``ResponsesSpeech`` does.
    """

    own = frozenset({"other_model", "usage_twice", "no_choices", "endless"})

    def speech(self, request: SeenRequest, options: dict[str, Any]) -> Speech:
        api = request.path.removeprefix("/v1/")
        if api in APIS:
            return MediaSpeech(api, asked(request), options)
        if request.path.endswith("/responses"):
            return ResponsesSpeech(request.json, options)
        return TEXTS.get(api, OpenAISpeech)(request.json, options)

    async def answer(
        self, request: SeenRequest, peer: Peer, behaviour: str, options: dict[str, Any]
    ) -> bool:
        if request.path.endswith("/input_tokens") and behaviour == "answer":
            counted = {"object": "response.input_tokens", "input_tokens": INPUT_TOKENS}
            return await peer.body(200, "application/json", json.dumps(counted).encode())
        return await super().answer(request, peer, behaviour, options)

    def list_models(self, shape: str, *models: str) -> Self:
        """Answer ``GET /models`` as such a server does (``tests.simulators.model_lists``)."""
        return self.list_raw(listing(shape, models))


def main() -> None:
    names = (BEHAVIOURS | VendorSimulator.own) - {"raw", "burst", "in_turn", "wrong_length"}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--behave", default="answer", help=f"a status, or {', '.join(names)}")
    chosen = parser.parse_args()
    with VendorSimulator(port=chosen.port, log=True) as vendor:
        vendor.behave(chosen.behave)
        sys.stdout.write(f"listening on {vendor.url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
