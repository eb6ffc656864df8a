"""What goes wrong at a running gateway, as the official SDKs tell their apps: which exception, and
how often they have asked. They may ask again twice, as they do by default.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

RETRIES = 2
ENDLESS: Any = {"ignore_eos": True}
HELLO: Any = [{"role": "user", "content": "Hello"}]
ONCE, THRICE = 1, 1 + RETRIES
DEADLINE = 4.0
ROUTES = """\
  mine: {targets: [local/smollm2]}
  banned: {targets: [other/m]}
  rejected: {targets: [revoked/deepseek-chat]}
  breaks: {targets: [openai/gpt-4o-2024-08-06], continuation: false}
"""
IDS = (
    *("gpt-4", "gpt-4-turbo", "gpt-3.5-turbo", "gpt-4o-mini", "o1", "o3", "o3-mini", "o4-mini"),
    *("gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini"),
)
"""Model ids that policy knows the maker of, one for each case."""
MORE = f"""\
server: {{max_body_mb: 0.1, deadline: {DEADLINE:g}}}
"""
POLICY = """\
version: 1
default: deny
vendors: {openai: allow, mistral: deny, deepseek: allow}
"""


class Sdks:
    """Both SDKs at one gateway; ``sent`` counts the requests that went out, and ``refused`` is set
    once one of them got a 503.
    """

    def __init__(self, url: str) -> None:
        self.sent = 0
        self.refused = threading.Event()
        made: dict[str, Any] = {"api_key": "k", "max_retries": RETRIES, "timeout": 60}
        hooks: dict[str, list[Callable[..., Any]]] = {
            "request": [self._count],
            "response": [self._look],
        }
        self.openai = openai.OpenAI(
            base_url=f"{url}/v1", http_client=httpx2.Client(event_hooks=hooks), **made
        )
        self.anthropic = anthropic.Anthropic(
            base_url=url, http_client=httpx2.Client(event_hooks=hooks), **made
        )

    def _count(self, request: Any) -> None:
        self.sent += 1

    def _look(self, response: Any) -> None:
        if response.status_code == 503:
            self.refused.set()

    def chat(self, model: str, **fields: Any) -> Any:
        asked: dict[str, Any] = {"messages": HELLO, "max_tokens": 8} | fields
        return self.openai.chat.completions.create(model=model, **asked)

    def message(self, model: str, **fields: Any) -> Any:
        asked: dict[str, Any] = {"messages": HELLO, "max_tokens": 8} | fields
        return self.anthropic.messages.create(model=model, **asked)


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator
) -> Iterator[RunningGateway]:
    """Each case has a target of its own, which then rests, or is marked, for itself alone."""
    cases = [case[0] for case in REFUSED]
    cases += [f"{case[0]}-{dialect}" for case in FAILED for dialect in ("openai", "anthropic")]
    own = "".join(
        f"  {case}: {{targets: [openai/{id}]}}\n" for case, id in zip(cases, IDS, strict=True)
    )
    channel = f'kind: openai, base_url: "{vendor.url}", api_key: "${{VENDOR_KEY}}"'
    text = configuration(vendor.url, models=ROUTES + own, extra=MORE)
    for name, owner in (("other", "mistral"), ("revoked", "deepseek")):
        line = f"  {name}: {{vendor: {owner}, {channel}}}\n"
        text = text.replace("models:\n", f"{line}models:\n", 1)
    text = text.replace("slots: 4", "slots: 1, queue: 0")
    for wait in ("first_token", "answer", "idle"):
        text = text.replace(f"{wait}_timeout: 20", f"{wait}_timeout: 60")
    folder = tmp_path_factory.mktemp("errors")
    with RunningGateway(folder, text, policy=POLICY) as running:
        yield running


@pytest.fixture
def sdks(gateway: RunningGateway, vendor: VendorSimulator) -> Iterator[Sdks]:
    vendor.behave("answer")
    made = Sdks(gateway.url)
    with made.openai, made.anthropic:
        yield made


AUDIO = [
    {
        "role": "user",
        "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}],
    }
]
DOCUMENT = [
    {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}
]
LONG = [{"role": "user", "content": "word " * 4000}]
HUGE = [{"role": "user", "content": "x" * 200_000}]
CASES: list[tuple[str, str, dict[str, Any], dict[str, Any], str, str]] = [
    # what, model, the chat's fields, the message's, both exceptions
    ("a bad parameter", "mine", {"top_p": 9}, {"top_k": -9}, "BadRequestError", "BadRequestError"),
    ("an unknown model", "none", {}, {}, "NotFoundError", "NotFoundError"),
    (
        "no capability",
        "mine",
        {"messages": AUDIO},
        {"messages": DOCUMENT},
        "BadRequestError",
        "BadRequestError",
    ),
    (
        "too long",
        "mine",
        {"messages": LONG},
        {"messages": LONG},
        "BadRequestError",
        "BadRequestError",
    ),
    (
        "too large",
        "mine",
        {"messages": HUGE},
        {"messages": HUGE},
        "APIStatusError",
        "ContentTooLargeError",
    ),
    ("banned", "banned", {}, {}, "APIStatusError", "APIStatusError"),
]


@pytest.mark.parametrize(("what", "model", "chat", "message", "first", "second"), CASES)
def test_what_is_no_use_to_ask_again(
    sdks: Sdks, what: str, model: str, chat: Any, message: Any, first: str, second: str
) -> None:
    """Once, by both."""
    if "top_k" in message:
        message = {"extra_body": message}
    with pytest.raises(openai.APIStatusError) as caught:
        sdks.chat(model, **chat)
    assert (type(caught.value).__name__, sdks.sent) == (first, ONCE)
    with pytest.raises(anthropic.APIStatusError) as refused:
        sdks.message(model, **message)
    assert (type(refused.value).__name__, sdks.sent) == (second, 2 * ONCE)


REFUSED: list[tuple[str, int, str, str]] = [
    ("refused-400", 400, "BadRequestError", "BadRequestError"),
    ("refused-404", 404, "NotFoundError", "NotFoundError"),
    ("refused-413", 413, "APIStatusError", "ContentTooLargeError"),
    ("refused-422", 422, "UnprocessableEntityError", "UnprocessableEntityError"),
]


@pytest.mark.parametrize(("model", "status", "first", "second"), REFUSED)
def test_a_vendors_verdict_on_the_request(
    sdks: Sdks, vendor: VendorSimulator, model: str, status: int, first: str, second: str
) -> None:
    """It is the app's to mend: nobody asks again, the gateway neither."""
    vendor.behave(status)
    before = len(vendor.requests)
    with pytest.raises(openai.APIStatusError) as caught:
        sdks.chat(model)
    assert (type(caught.value).__name__, caught.value.status_code) == (first, status)
    with pytest.raises(anthropic.APIStatusError) as refused:
        sdks.message(model)
    assert (type(refused.value).__name__, refused.value.status_code) == (second, status)
    assert (sdks.sent, len(vendor.requests) - before) == (2, 2)


FAILED: list[tuple[str, int | str, dict[str, Any], int]] = [
    # model, what the vendor does, and how often an SDK asks
    ("fails", 500, {}, THRICE),
    ("rests-short", 429, {"retry_after": 1}, THRICE),
    ("rests-long", 429, {"retry_after": 300}, ONCE),
    ("blocked", 451, {}, ONCE),
]


@pytest.mark.parametrize(("model", "behaviour", "options", "sent"), FAILED)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_vendor_that_fails(
    sdks: Sdks,
    vendor: VendorSimulator,
    dialect: str,
    model: str,
    behaviour: int | str,
    options: dict[str, Any],
    sent: int,
) -> None:
    """They ask again where the vendor may be back soon, and wait for as long as they are told."""
    vendor.behave(behaviour, **options)
    model = f"{model}-{dialect}"
    began = time.monotonic()
    if dialect == "openai":
        with pytest.raises(openai.InternalServerError) as caught:
            sdks.chat(model)
        assert (caught.value.status_code, caught.value.type) == (503, "service_unavailable")
    else:
        with pytest.raises(anthropic.APIStatusError) as overloaded:
            sdks.message(model)
        assert type(overloaded.value).__name__ == "OverloadedError"
        assert overloaded.value.status_code == 529
    assert sdks.sent == sent
    assert sent == ONCE or time.monotonic() - began >= 1.0


def test_a_revoked_key(sdks: Sdks, vendor: VendorSimulator) -> None:
    """Time does not help, so no wait is told."""
    vendor.behave(401)
    for _ in range(2):
        with pytest.raises(openai.InternalServerError) as caught:
            sdks.chat("rejected")
        assert "retry-after" not in caught.value.response.headers
        assert caught.value.response.headers["x-should-retry"] == "false"
    assert sdks.sent == 2


def test_a_vendor_that_comes_back(sdks: Sdks, vendor: VendorSimulator) -> None:
    """What an SDK asks again for is then answered."""
    vendor.behave("in_turn", ways=[("500", {})] * 3 + [("answer", {})])
    assert sdks.chat("only-cloud").choices[0].message.content == "vendor answer in pieces"
    assert sdks.sent == 2


def test_the_deadline(sdks: Sdks, vendor: VendorSimulator) -> None:
    """Asked again it would take as long again."""
    vendor.behave("stall")
    with pytest.raises(openai.InternalServerError) as caught:
        sdks.chat("only-cloud")
    assert (caught.value.code, sdks.sent) == ("deadline", ONCE)


def test_the_local_queue_is_full(sdks: Sdks, gateway: RunningGateway) -> None:
    """Whoever comes while the only slot is taken is told for how long, waits, and is answered."""
    with ThreadPoolExecutor(1) as pool, Sdks(gateway.url).openai as other:
        taken = other.chat.completions.create(
            model="mine", messages=HELLO, stream=True, max_tokens=1500, extra_body=ENDLESS
        )
        next(iter(taken))
        waiting = pool.submit(sdks.chat, "mine")
        assert sdks.refused.wait(30)
        taken.close()
        assert waiting.result().choices[0].message.role == "assistant"
        assert 1 < sdks.sent <= THRICE


@pytest.mark.parametrize("behaviour", ["error_event", "break_off"])
def test_a_stream_that_breaks_off(sdks: Sdks, vendor: VendorSimulator, behaviour: str) -> None:
    """An error while it is read; what was there of it has been read before."""
    vendor.behave(behaviour)
    said: list[str] = []
    with pytest.raises(openai.APIError) as caught:
        said.extend(_chunks(sdks.chat("breaks", stream=True)))
    assert ("".join(said), caught.value.code) == ("vendor answer", "stream_interrupted")
    said.clear()
    with pytest.raises(anthropic.APIStatusError) as broken:
        said.extend(_deltas(sdks.message("breaks", stream=True)))
    assert "".join(said) == "vendor answer"
    assert "broke off" in str(broken.value)
    assert sdks.sent == 2


def _chunks(stream: Any) -> Iterator[str]:
    for chunk in stream:
        yield chunk.choices[0].delta.content or ""


def _deltas(stream: Any) -> Iterator[str]:
    for event in stream:
        if event.type == "content_block_delta":
            yield event.delta.text


def test_paths_that_are_not_there(sdks: Sdks) -> None:
    """As for any other mistake."""
    with pytest.raises(openai.NotFoundError) as caught:
        sdks.openai.post("/nothing", cast_to=object, body={})
    assert caught.value.code == "unknown_url"
    with pytest.raises(openai.APIStatusError) as wrong:
        sdks.openai.get("/chat/completions", cast_to=object)
    assert (wrong.value.status_code, sdks.sent) == (405, 2)
