"""The ways in which a vendor dies, and how long it is from there to the local model's first word.

Each death is of a target that nobody has asked before, so that no breaker knows of it. What the
local model needs by itself is measured in turn with it, on the same prompt, with the same beginning
of an answer. A slot has computed the prompt before: that would vary by more than what is sought.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.gateway import Gateway
from tests.simulators.peer import Peer
from tests.simulators.seen import SeenRequest
from tests.simulators.vendor import VendorSimulator

LOCAL, OWN = "local/smollm2", "own"
PATIENCE = 30.0
WARM = 3
QUESTION = "In which country is the city of Paris, and how is it governed?"


@dataclass(frozen=True, slots=True)
class Death:
    """A behaviour of the simulator. ``sent`` is what the app has of the answer by then, with which
    the local model goes on.
    """

    name: str
    behaviour: str
    options: Mapping[str, Any] = field(default_factory=dict)
    sent: str = ""

    def model(self, number: int) -> str:
        """What apps ask for so that it happens to them, the channel's name too."""
        return f"{self.name.lower().replace(' ', '-')}-{number}"


DEATHS = (
    Death("nobody listens", "refuse"),
    Death("503", "503"),
    Death("429", "429"),
    Death("reset after the request", "reset", {"at": "request"}),
    Death("closed after the request", "hang_up", {"at": "request"}),
    Death("a page of a proxy", "html"),
    Death("an empty answer", "empty"),
    Death("reset after the head", "reset", {"at": "head"}),
    Death("closed after the opening", "hang_up", {"at": "opening"}),
    Death("reset in the middle", "reset", {"at": "content"}, "vendor answer"),
    Death("closed in the middle", "hang_up", {"at": "content"}, "vendor answer"),
    Death("half a chunk", "half_chunk", sent="vendor answer"),
    Death("an error event", "error_event", sent="vendor answer"),
    Death("broken JSON", "broken_json", sent="vendor"),
)


class Dying(VendorSimulator):
    """``died`` is when it had done the last thing that it was to do, on the monotonic clock."""

    died = 0.0

    async def answer(
        self, request: SeenRequest, peer: Peer, behaviour: str, options: dict[str, Any]
    ) -> bool:
        try:
            return await super().answer(request, peer, behaviour, options)
        finally:
            self.died = time.monotonic()


def sections(url: str, rounds: int) -> dict[str, dict[str, Any]]:
    """Channels and models of a configuration, for so many rounds."""
    names = [death.model(number) for death in DEATHS for number in range(rounds)]
    models = {name: {"targets": [f"{name}/gpt-4o", LOCAL]} for name in names}
    channels = {name: channel(url) for name in names}
    return {"channels": channels, "models": {**models, OWN: {"targets": [LOCAL]}}}


def channel(url: str) -> dict[str, str]:
    """One that policy allows, of a configuration."""
    return {"vendor": "openai", "kind": "openai", "base_url": url, "api_key": "${VENDOR_KEY}"}


def measure(gateway: Gateway, vendor: Dying, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds of each death, from it to the first local word (``first``), and of the local
    model alone, from the request on (``own``): a figure for each round.
    """
    found = {death.name: _found(death) for death in DEATHS}
    for _ in range(WARM):
        _ask(gateway, OWN)
    for number in range(rounds):
        for death in DEATHS:
            vendor.behave(death.behaviour, **death.options)
            heard = _ask(gateway, death.model(number), death.sent)
            died = max(vendor.died, heard.asked)
            vendor.behave("answer")
            own = _ask(gateway, OWN, begun=death.sent)
            one = found[death.name]
            one["first"].append(round((heard.word - died) * 1000, 3))
            one["own"].append(round((own.word - own.asked) * 1000, 3))
            one["whole"] += heard.whole
            one["failover"] = heard.failover
    return list(found.values())


def added(one: Mapping[str, Any]) -> float:
    """The median over the rounds of what a death takes beyond the model's own time, in ms."""
    pairs = zip(one["first"], one["own"], strict=True)
    return float(statistics.median(first - own for first, own in pairs))


def _found(death: Death) -> dict[str, Any]:
    middle = bool(death.sent)
    return {"name": death.name, "middle": middle, "first": [], "own": [], "whole": 0}


@dataclass(frozen=True, slots=True)
class _Heard:
    """``asked`` and ``word``, the first that the vendor has not said, on the monotonic clock."""

    asked: float
    word: float
    whole: bool
    failover: str


def _ask(gateway: Gateway, model: str, sent: str = "", *, begun: str = "") -> _Heard:
    """A stream of a few words, read to its end; ``begun`` is an answer to go on with."""
    messages = [{"role": "user", "content": QUESTION}]
    if begun:
        messages.append({"role": "assistant", "content": begun})
    body = {
        "model": model,
        "stream": True,
        "max_tokens": 6,
        "temperature": 0,
        "ignore_eos": True,
        "messages": messages,
        **({"continue_final_message": True} if begun else {}),
    }
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)
    try:
        asked = time.monotonic()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        word, whole = _read(answer, sent)
        return _Heard(asked, word, whole, answer.headers.get("x-gateway-failover", ""))
    finally:
        connection.close()


def _read(answer: http.client.HTTPResponse, sent: str) -> tuple[float, bool]:
    """When the text first went beyond ``sent``, and whether the stream ended well."""
    text, word, whole = "", 0.0, False
    while line := answer.readline():
        now = time.monotonic()
        if line == b"data: [DONE]\n":
            whole = True
        elif line.startswith(b"data: "):
            for choice in json.loads(line.removeprefix(b"data: ")).get("choices", ()):
                text += choice["delta"].get("content") or ""
            if not word and len(text) > len(sent):
                word = now
    assert text.startswith(sent), text
    assert word, "the local model said nothing"
    return word, whole
