"""Vendors behind apps on the official Anthropic SDK: they answer, fail, are banned, and the SDK
reads one message, whoever wrote it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types import Message, MessageParam
from anthropic.types.beta import BetaMessageParam

from tests.end_to_end.running import KEY, POLICY, RunningGateway, configuration
from tests.simulators.anthropic_vendor import AnthropicSimulator
from tests.simulators.openai_speech import USAGE
from tests.simulators.vendor import VendorSimulator

MODELS = """\
  claude: {targets: [anthropic/claude-real, local/smollm2]}
  cloud: {targets: [anthropic/claude-real]}
  crossed: {targets: [openai/gpt-4o, local/smollm2]}
  other: {targets: [openai/gpt-4o]}
  both: {targets: [anthropic/claude-real, openai/gpt-4o]}
"""
CHANNEL = """\
    kind: openai
    base_url: https://api.anthropic.com/v1
    api_key: ${ANTHROPIC_API_KEY}
"""
QUESTION: list[MessageParam] = [
    {"role": "user", "content": "In which country is the city of Paris?"}
]
TOLD: list[BetaMessageParam] = [
    {"role": "user", "content": "In which country is the city of Paris?"}
]
COLD = {"temperature": 0}
WORDS = ("The city", " of", " Paris")
FLOWING = tuple(f"{number} {'é日本 ' if number % 9 == 0 else 'word'}, " for number in range(120))
"""Of a stream that flows: pieces that are alike but for what they say."""
FAILS = ("break_off", "stall_mid_stream", "error_event")


class Bench(NamedTuple):
    gateway: RunningGateway
    anthropic: AnthropicSimulator
    openai: VendorSimulator
    client: Anthropic


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("gateway")
    with AnthropicSimulator() as own, VendorSimulator() as other:
        text = configuration(other.url, models=MODELS)
        assert CHANNEL in text
        mine = f'    kind: anthropic\n    base_url: "{own.url}"\n    api_key: ${{VENDOR_KEY}}\n'
        text = text.replace(CHANNEL, mine).replace("idle_timeout: 20", "idle_timeout: 1")
        with (
            RunningGateway(folder, text) as gateway,
            gateway.heard(
                Anthropic(base_url=gateway.url, api_key="unused", max_retries=0, timeout=60)
            ) as client,
        ):
            yield Bench(gateway, own, other, client)


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """All is well, before and after."""
    running.anthropic.behave("answer")
    running.openai.behave("answer")
    for model in ("cloud", "other"):
        assert ask(running, model).content
    yield running
    (running.gateway.policies / "90-toggles.yaml").unlink(missing_ok=True)
    until_allowed(running)


def until_allowed(bench: Bench) -> None:
    end = time.monotonic() + 10
    while True:
        bench.anthropic.behave("answer")
        try:
            ask(bench, "cloud")
        except anthropic.APIStatusError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


def ask(bench: Bench, model: str, **fields: Any) -> Message:
    asked: dict[str, Any] = {"max_tokens": 24, "messages": QUESTION, "extra_body": COLD} | fields
    message: Message = bench.client.messages.create(model=model, **asked)
    return message


def streamed(bench: Bench, model: str, **fields: Any) -> tuple[list[str], Message]:
    """The events' types as they came, and what the SDK makes of them."""
    asked: dict[str, Any] = {"max_tokens": 24, "messages": QUESTION, "extra_body": COLD} | fields
    kinds = [
        event.type for event in bench.client.messages.create(model=model, stream=True, **asked)
    ]
    with bench.client.messages.stream(model=model, **asked) as stream:
        return kinds, stream.get_final_message()


def text(message: Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def one_message(kinds: list[str]) -> None:
    """The order that is published, each once."""
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    for once in ("message_start", "message_delta", "message_stop"):
        assert kinds.count(once) == 1
    assert kinds.count("content_block_start") == kinds.count("content_block_stop")


def test_a_vendors_answer_is_relayed(bench: Bench) -> None:
    """With the vendor's own head, and what the app wants of it that is not for all; the key is the
    gateway's own.
    """
    raw = bench.client.messages.with_raw_response.create(
        model="claude",
        max_tokens=5,
        messages=QUESTION,
        extra_body={"speed": "fast"},
        extra_headers={"anthropic-beta": "fast-mode-2026-02-01, context-1m ,bad value"},
    )
    message = raw.parse()
    assert (text(message), message.model, message.id) == (
        *("vendor answer in pieces", "claude", "msg_sim"),
    )
    assert raw.headers["x-gateway-served-by"] == "anthropic/claude-real"
    seen = bench.anthropic.requests[-1]
    assert seen.path == "/v1/messages"
    assert seen.headers["x-api-key"] == KEY
    assert "authorization" not in seen.headers
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert seen.headers["anthropic-beta"] == "fast-mode-2026-02-01,context-1m"
    assert (seen.json["model"], seen.json["speed"]) == ("claude-real", "fast")


def test_a_vendors_stream_is_relayed(bench: Bench) -> None:
    """Thinking and calls too; the usage is in the record."""
    bench.anthropic.behave("answer", thinking="hm", tool=("f", {"a": 1}))
    kinds, message = streamed(bench, "claude")
    one_message(kinds)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.model == "claude"
    record = bench.gateway.last_record()
    assert (record["prompt_tokens"], record["completion_tokens"]) == (9, 4)


def test_a_stream_that_flows_arrives_whole(bench: Bench) -> None:
    """Each piece by itself, as a model writes: those go the short way to the app, thoughts before
    them and a call behind. What is known of the answer is in the record.
    """
    said = "".join(FLOWING)
    options: dict[str, Any] = {"thinking": "hm hm", "tool": ("f", {"a": 1}), "pings": 3}
    bench.anthropic.behave("answer", words=FLOWING, pause=0.003, **options)
    kinds, message = streamed(bench, "claude")
    one_message(kinds)
    assert kinds.count("content_block_delta") == len(FLOWING) + 3 + 3
    assert text(message) == said
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.usage.output_tokens == 4
    record = bench.gateway.last_record()
    assert (record["outcome"], record["served_by"]) == ("served", "anthropic/claude-real")
    assert record["sent_characters"] == len(said)
    counts = ("prompt_tokens", "completion_tokens", "cached_tokens")
    assert [record[name] for name in counts] == [9, 4, 2]


def test_tokens_are_counted_by_the_vendor_where_it_serves(bench: Bench) -> None:
    """By the local model where it does not; where nobody can, nothing is made up."""
    asked: dict[str, Any] = {"messages": QUESTION}
    assert bench.client.messages.count_tokens(model="claude", **asked).input_tokens == 7
    assert bench.anthropic.requests[-1].path == "/v1/messages/count_tokens"
    ban(bench, "anthropic")
    assert bench.client.messages.count_tokens(model="claude", **asked).input_tokens > 20
    with pytest.raises(anthropic.BadRequestError, match="can only be asked for an answer"):
        bench.client.messages.count_tokens(model="other", **asked)


def ban(bench: Bench, vendor: str) -> None:
    done = bench.gateway.run("ban", vendor, "--reason", "directive 12")
    assert done.returncode == 0, done.stderr


def test_a_ban_goes_unnoticed(bench: Bench) -> None:
    """The local model answers, whole and streamed, and the vendor hears nothing."""
    ban(bench, "anthropic")
    before = len(bench.anthropic.requests)
    message = ask(bench, "claude")
    assert "France" in text(message)
    kinds, again = streamed(bench, "claude")
    one_message(kinds)
    assert text(again) == text(message)
    assert (again.model, again.type) == ("claude", "message")
    assert len(bench.anthropic.requests) == before


def test_policy_that_leaves_nothing(bench: Bench) -> None:
    """451, with the rule and the reason; the SDK does not try again."""
    ban(bench, "anthropic")
    for stream in (True, False):
        with pytest.raises(anthropic.APIStatusError, match="directive 12") as caught:
            ask(bench, "cloud", stream=stream)
        assert (caught.value.status_code, caught.value.type) == (451, "permission_error")


@pytest.mark.parametrize("behaviour", FAILS)
def test_local_goes_on_with_a_vendors_message(bench: Bench, behaviour: str) -> None:
    """One message in one block, with a usage that adds up; the vendor's words come first."""
    bench.anthropic.behave(behaviour, words=WORDS, after=3)
    kinds, message = streamed(bench, "claude")
    one_message(kinds)
    assert kinds.count("content_block_start") == 1
    assert text(message).startswith("The city of Paris")
    assert len(text(message)) > len("The city of Paris")
    assert (message.id, message.model) == ("msg_sim", "claude")
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert 3 < message.usage.output_tokens <= 24
    record = bench.gateway.last_record()
    assert [attempt["target"] for attempt in record["attempts"]] == [
        *("anthropic/claude-real", "local/smollm2"),
    ]
    assert record["attempts"][0]["seam"] == {"byte": 17, "token": 3}
    assert record["completion_tokens"] == message.usage.output_tokens


def test_a_vendor_that_breaks_off_while_it_thinks(bench: Bench) -> None:
    """The thought ends where it broke off, and the answer is a block behind it."""
    bench.anthropic.behave("break_off", thinking="hmmm", words=WORDS, after=1)
    kinds, message = streamed(bench, "claude")
    one_message(kinds)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert text(message)


def test_a_call_that_breaks_off_ends_in_an_error(bench: Bench) -> None:
    """Nobody could go on from half a call."""
    bench.anthropic.behave("break_off", words=("Hm",), tool=("f", {"a": 1}), after=5)
    with pytest.raises(anthropic.APIStatusError, match="broke off") as caught:
        streamed(bench, "claude")
    assert caught.value.type == "overloaded_error"


def test_another_vendors_answer_in_this_dialect(bench: Bench) -> None:
    """The OpenAI dialect behind it cannot be told from the app's own."""
    message = ask(bench, "crossed", system="Be brief.", stop_sequences=["END"])
    assert (text(message), message.model) == ("vendor answer in pieces", "crossed")
    assert message.usage.output_tokens == USAGE["completion_tokens"]
    assert message.usage.cache_read_input_tokens == 2
    asked = bench.openai.requests[-1].json
    assert asked["messages"] == [{"role": "system", "content": "Be brief."}, *QUESTION]
    assert (asked["stop"], asked["model"]) == (["END"], "gpt-4o")
    kinds, again = streamed(bench, "crossed")
    one_message(kinds)
    assert text(again) == text(message)
    assert again.usage.output_tokens == USAGE["completion_tokens"]


@pytest.mark.parametrize("behaviour", FAILS)
def test_local_goes_on_with_another_vendors_answer(bench: Bench, behaviour: str) -> None:
    """Also where none of its bytes were passed on."""
    bench.openai.behave(behaviour, words=WORDS, after=3)
    kinds, message = streamed(bench, "crossed")
    one_message(kinds)
    assert kinds.count("content_block_start") == 1
    assert text(message).startswith("The city of Paris")
    assert len(text(message)) > len("The city of Paris")
    assert 3 < message.usage.output_tokens <= 24


def test_another_vendor_goes_on_with_a_message(bench: Bench) -> None:
    """It gets the beginning as the assistant's turn."""
    bench.anthropic.behave("break_off", words=("Hel", "lo"), after=2)
    bench.openai.behave("answer", words=(", ", "world"))
    kinds, message = streamed(bench, "both", max_tokens=9)
    one_message(kinds)
    assert (text(message), message.id) == ("Hello, world", "msg_sim")
    asked = bench.openai.requests[-1].json
    assert asked["messages"] == [*QUESTION, {"role": "assistant", "content": "Hello"}]
    assert asked["max_completion_tokens"] == 7


def test_what_cannot_go_to_another_vendor_is_not_left_out(bench: Bench) -> None:
    """A PDF is not dropped on the way: whoever cannot be given it, is not asked."""
    before = len(bench.openai.requests)
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    messages = [{"role": "user", "content": [{"type": "document", "source": pdf}]}]
    with pytest.raises(anthropic.BadRequestError, match="files"):
        ask(bench, "other", messages=messages)
    assert len(bench.openai.requests) == before
    assert text(ask(bench, "cloud", messages=messages)) == "vendor answer in pieces"


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, anthropic.BadRequestError), (404, anthropic.NotFoundError)],
)
def test_a_vendors_verdict_on_the_request_goes_back(
    bench: Bench, status: int, error: type[anthropic.APIStatusError]
) -> None:
    """In the vendor's words."""
    bench.anthropic.behave(status, message="max_tokens: too many")
    with pytest.raises(error, match="max_tokens: too many"):
        ask(bench, "claude")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 529])
def test_a_vendors_own_trouble_is_not_the_apps(
    tmp_path_factory: pytest.TempPathFactory, status: int
) -> None:
    """The local model answers."""
    with AnthropicSimulator() as own:
        text_of = configuration(models=MODELS).replace(
            CHANNEL,
            f'    kind: anthropic\n    base_url: "{own.url}/v1"\n    api_key: ${{VENDOR_KEY}}\n',
        )
        with (
            RunningGateway(tmp_path_factory.mktemp("gateway"), text_of, policy=POLICY) as gateway,
            Anthropic(base_url=gateway.url, api_key="unused", max_retries=0) as client,
        ):
            own.behave(status)
            message = client.messages.create(
                model="claude", max_tokens=5, messages=QUESTION, extra_body=COLD
            )
            assert message.content
            assert own.requests[0].path == "/v1/messages"
            with pytest.raises(anthropic.OverloadedError) as caught:
                client.messages.create(model="cloud", max_tokens=5, messages=QUESTION)
            assert caught.value.type == "overloaded_error"
            assert json.loads(caught.value.response.content)["request_id"]


def test_an_app_of_the_other_dialect_is_told(bench: Bench) -> None:
    """Such a channel is for this dialect; the next target answers."""
    assert bench.gateway.ask("claude")[0] == 200
    assert bench.gateway.last_record()["served_by"] == "local/smollm2"
    status, answer, _ = bench.gateway.ask("cloud")
    assert (status, answer["error"]["code"]) == (400, "unsupported_parameter")


@pytest.mark.parametrize("model", ["crossed", "other"])
def test_a_thread_that_another_vendor_does_not_have(bench: Bench, model: str) -> None:
    """Told so that the SDK's own threads and tool runners send the whole conversation again, also
    where the vendor that has it is banned.
    """
    going_on = COLD | {"thread": {"type": "continue", "previous_message_id": "msg_1"}}
    with pytest.raises(anthropic.BadRequestError) as caught:
        ask(bench, model, extra_body=going_on)
    body: Any = caught.value.body
    assert body["error"]["details"] == {"error_code": "thread_not_found"}
    thread = bench.client.beta.messages.thread(
        model=model, max_tokens=24, messages=TOLD, extra_body=COLD
    )
    assert thread.send().content
    assert thread.send({"role": "user", "content": "Say it again."}).content
    assert len(thread.messages) == 4


def test_a_thread_outlives_its_vendor(bench: Bench) -> None:
    """It goes on with whoever is next."""
    thread = bench.client.beta.messages.thread(
        model="claude", max_tokens=24, messages=TOLD, extra_body=COLD
    )
    assert thread.send().content
    assert bench.anthropic.requests[-1].json["thread"] == {"type": "create"}
    ban(bench, "anthropic")
    before = len(bench.anthropic.requests)
    assert thread.send({"role": "user", "content": "Say it again."}).content
    assert len(bench.anthropic.requests) == before
