"""Vendors that have the Responses API themselves, and what is kept of their answers: the SDK reads
one conversation, whoever answers which turn of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response

from tests.end_to_end.running import KEY, RunningGateway, configuration
from tests.simulators.openai_responses_speech import ENCRYPTED
from tests.simulators.vendor import VendorSimulator
from tests.waiting import until

MODELS = """\
  both: {targets: [openai/gpt-4o, local/smollm2]}
  thinker: {targets: [openai/o3]}
  second: {targets: [openai/gpt-4o, other/gpt-4o]}
  chatting: {targets: [other/gpt-4o]}
  twice: {targets: [openai/gpt-4o, openai/gpt-4.1]}
  here: {targets: [local/smollm2]}
"""
OTHER = """\
  other: {{vendor: groq, kind: openai, base_url: "{url}", api_key: "${{VENDOR_KEY}}"}}
"""
QUESTION = "In which country is the city of Paris?"
WORDS = ("The city", " of", " Paris")
FLOWING = tuple(f"{number} {'é日本 ' if number % 9 == 0 else 'word'}, " for number in range(120))
"""Of a stream that flows: pieces that are alike but for what they say."""
FAILS = ("break_off", "stall_mid_stream", "error_event")
COLD: dict[str, Any] = {"temperature": 0, "max_output_tokens": 24}


class Bench(NamedTuple):
    gateway: RunningGateway
    vendor: VendorSimulator
    other: VendorSimulator
    client: OpenAI


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("gateway")
    with VendorSimulator() as vendor, VendorSimulator() as other:
        text = configuration(vendor.url, models=MODELS).replace(
            "idle_timeout: 20", "idle_timeout: 1"
        )
        text = text.replace("models:\n", OTHER.format(url=other.url) + "models:\n", 1)
        with RunningGateway(folder, text, policy=POLICY) as gateway, client(gateway) as sdk:
            yield Bench(gateway, vendor, other, sdk)


POLICY = """\
version: 1
default: deny
vendors:
  openai: allow
  groq: allow
"""


@pytest.fixture
def bench(running: Bench) -> Iterator[Bench]:
    """All is well, before and after."""
    well(running)
    yield running
    (running.gateway.policies / "90-toggles.yaml").unlink(missing_ok=True)
    well(running)


def well(bench: Bench) -> None:
    end = time.monotonic() + 15
    while True:
        bench.vendor.behave("answer")
        bench.other.behave("answer")
        try:
            for model in ("only-cloud", "chatting"):
                ask(bench, model, store=False)
        except openai.APIStatusError:
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


def client(gateway: RunningGateway, key: str = "mine") -> OpenAI:
    sdk = OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, timeout=60)
    return gateway.heard(sdk)


def ask(bench: Bench, model: str = "both", **fields: Any) -> Response:
    answer: Response = bench.client.responses.create(
        model=model, **({"input": QUESTION} | COLD | fields)
    )
    return answer


def streamed(bench: Bench, model: str = "both", **fields: Any) -> tuple[list[str], Response]:
    """The kinds of events as they came, and what the SDK makes of them."""
    asked: dict[str, Any] = {"input": QUESTION} | COLD | fields
    events = list(bench.client.responses.create(model=model, stream=True, **asked))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    with bench.client.responses.stream(model=model, **asked) as stream:
        return [event.type for event in events], stream.get_final_response()


def ban(bench: Bench, vendor: str) -> None:
    done = bench.gateway.run("ban", vendor, "--reason", "directive 12")
    assert done.returncode == 0, done.stderr


def told(response: Response) -> str:
    return response.output_text


def same(kept: Response, response: Response) -> None:
    """The helper for streams gives objects of other classes, with a member more."""
    assert [item.id for item in kept.output] == [item.id for item in response.output]
    assert (kept.id, told(kept), kept.usage, kept.status) == (
        *(response.id, told(response), response.usage, response.status),
    )


def said(request: dict[str, Any]) -> list[str]:
    """The texts of an input, in their order."""
    return [
        item["content"] if isinstance(item["content"], str) else item["content"][0]["text"]
        for item in request["input"]
    ]


def test_a_vendors_response_is_relayed(bench: Bench) -> None:
    """In its own API; it keeps nothing of it: that is done here, under an id of ours."""
    raw = bench.client.responses.with_raw_response.create(
        model="both", input=QUESTION, metadata={"a": "b"}, extra_body={"later": 1}
    )
    response = raw.parse()
    assert (told(response), response.model) == ("vendor answer in pieces", "both")
    assert response.id.startswith("resp_")
    assert response.id != "resp_sim"
    assert raw.headers["x-gateway-served-by"] == "openai/gpt-4o"
    seen = bench.vendor.requests[-1]
    assert seen.path == "/v1/responses"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.json == {
        "model": "gpt-4o",
        "input": QUESTION,
        "metadata": {"a": "b"},
        "later": 1,
        "store": False,
    }
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (7, 4)
    kept = bench.client.responses.retrieve(response.id)
    assert kept == response
    record = bench.gateway.last_record()
    assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 4)


def test_a_stream_that_flows_arrives_whole(bench: Bench) -> None:
    """Each piece by itself, as a model writes: those go the short way to the app, thoughts before
    them and a call behind. What is known of the answer is in the record, and what is kept is it.
    """
    text = "".join(FLOWING)
    options: dict[str, Any] = {"thinking": "hm hm", "tool": ("f", {"a": 1})}
    bench.vendor.behave("answer", words=FLOWING, pause=0.003, **options)
    asked: dict[str, Any] = {"input": QUESTION} | COLD
    events = list(bench.client.responses.create(model="both", stream=True, **asked))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert tuple(deltas) == FLOWING
    response = events[-1].response
    assert told(response) == text
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    record = bench.gateway.last_record()
    assert (record["outcome"], record["served_by"]) == ("served", "openai/gpt-4o")
    assert record["sent_characters"] == len(text)
    counts = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    assert [record[name] for name in counts] == [7, 4, 2, 3]
    same(bench.client.responses.retrieve(response.id), response)


def test_a_vendors_stream_is_relayed(bench: Bench) -> None:
    """Thoughts, what its own tools did, and calls; then it can be retrieved."""
    bench.vendor.behave("answer", thinking="hm", search="q", tool=("f", {"a": 1}))
    tools = [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}}]
    kinds, response = streamed(bench, tools=tools)
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert [item.type for item in response.output] == [
        *("reasoning", "web_search_call", "message", "function_call"),
    ]
    same(bench.client.responses.retrieve(response.id), response)
    assert bench.gateway.last_record()["completion_tokens"] == 4


def test_a_conversation_is_the_gateways(bench: Bench) -> None:
    """Each turn is shown all of those before it, and none is asked for by an id."""
    first = ask(bench, input="One.")
    second = ask(bench, input=[{"role": "user", "content": "Two."}], previous_response_id=first.id)
    third = ask(bench, input="Three.", previous_response_id=second.id, instructions="Be brief.")
    assert (third.previous_response_id, second.previous_response_id) == (second.id, first.id)
    request = bench.vendor.requests[-1].json
    answer = "vendor answer in pieces"
    assert said(request) == ["One.", answer, "Two.", answer, "Three."]
    assert "previous_response_id" not in request
    assert not any("id" in item for item in request["input"])
    assert request["instructions"] == "Be brief."


def test_reasoning_is_carried_from_turn_to_turn(bench: Bench) -> None:
    """With its content, which the vendor alone can read: it keeps nothing."""
    bench.vendor.behave("answer", thinking="hm")
    first = ask(bench, "thinker", input="One.")
    assert bench.vendor.requests[-1].json["include"] == ["reasoning.encrypted_content"]
    ask(bench, "thinker", input="Two.", previous_response_id=first.id)
    thoughts = bench.vendor.requests[-1].json["input"][1]
    assert (thoughts["type"], thoughts["encrypted_content"]) == ("reasoning", ENCRYPTED)


def test_a_conversation_outlives_its_vendor(bench: Bench) -> None:
    """The first turn is a vendor's; then it is banned, and the local model goes on with all that
    was said; then it is back, and is told what the local model said.
    """
    bench.vendor.behave("answer", words=("France is the country of the city of Paris.",))
    first = ask(bench)
    ban(bench, "openai")
    before = len(bench.vendor.requests)
    kinds, second = streamed(bench, input="And Berlin?", previous_response_id=first.id)
    assert kinds[-1] in ("response.completed", "response.incomplete")
    assert told(second)
    assert second.usage is not None
    assert second.usage.input_tokens > 40
    assert len(bench.vendor.requests) == before
    assert bench.gateway.run("unban", "openai").returncode == 0
    well(bench)
    third = ask(bench, input="Thanks.", previous_response_id=second.id)
    assert bench.gateway.last_record()["served_by"] == "openai/gpt-4o"
    assert said(bench.vendor.requests[-1].json) == [
        *(QUESTION, told(first), "And Berlin?", told(second), "Thanks."),
    ]
    listed = list(bench.client.responses.input_items.list(third.id, order="asc"))
    assert len(listed) == 5


@pytest.mark.parametrize("behaviour", FAILS)
def test_local_goes_on_with_a_vendors_response(bench: Bench, behaviour: str) -> None:
    """One response with one message, and a usage that adds up; it can be retrieved and followed."""
    bench.vendor.behave(behaviour, words=WORDS, after=3)
    kinds, response = streamed(bench)
    assert kinds.count("response.output_item.added") == 1
    assert kinds.count("response.output_text.done") == 1
    assert kinds[-1] in ("response.completed", "response.incomplete")
    (message,) = response.output
    assert message.id == "msg_sim"
    assert told(response).startswith("The city of Paris")
    assert len(told(response)) > len("The city of Paris")
    assert response.usage is not None
    assert 3 < response.usage.output_tokens <= 24
    record = bench.gateway.last_record()
    assert [attempt["target"] for attempt in record["attempts"]] == [
        *("openai/gpt-4o", "local/smollm2"),
    ]
    assert record["attempts"][0]["seam"] == {"byte": 17, "token": 3}
    same(bench.client.responses.retrieve(response.id), response)
    bench.vendor.behave("answer")
    ask(bench, input="More.", previous_response_id=response.id)
    assert said(bench.vendor.requests[-1].json) == [QUESTION, told(response), "More."]


def test_a_vendor_goes_on_with_another_vendors_response(bench: Bench) -> None:
    """One that has only chat completions: it gets the beginning as the assistant's turn."""
    bench.vendor.behave("break_off", words=("Hel", "lo"), after=2)
    bench.other.behave("answer", words=(", ", "world"))
    kinds, response = streamed(bench, "second", max_output_tokens=9)
    assert told(response) == "Hello, world"
    assert kinds[-1] == "response.completed"
    asked = bench.other.requests[-1].json
    assert asked["messages"][-1] == {"role": "assistant", "content": "Hello"}


def test_a_vendor_that_has_this_api_goes_on_with_a_response(bench: Bench) -> None:
    """The beginning is the assistant's message; only what comes behind it is told."""
    ways = [("break_off", {"words": ("Hel", "lo"), "after": 2}), ("answer", {"words": (" world",)})]
    bench.vendor.behave("in_turn", ways=ways)
    with bench.client.responses.stream(model="twice", input=QUESTION) as stream:
        response = stream.get_final_response()
    assert told(response) == "Hello world"
    assert bench.vendor.requests[-1].json["input"][-1] == {"role": "assistant", "content": "Hello"}


def test_a_call_that_breaks_off_ends_in_an_error(bench: Bench) -> None:
    """Nobody could go on from half a call; nothing is kept of it."""
    bench.vendor.behave("break_off", words=(), tool=("f", {"a": 1}), after=1)
    events = list(bench.client.responses.create(model="both", input=QUESTION, stream=True))
    error, last = events[-2:]
    assert error.type == "error"
    assert error.code == "stream_interrupted"
    assert last.type == "response.failed"
    with pytest.raises(openai.NotFoundError):
        bench.client.responses.retrieve(last.response.id)


@pytest.mark.parametrize("shape", ["failed", "error"])
def test_a_response_that_fails_before_it_says_anything(bench: Bench, shape: str) -> None:
    """The next target answers, as if it had been the first, in a stream and without."""
    bench.vendor.behave("error_event", shape=shape, after=0)
    for response in (streamed(bench)[1], ask(bench)):
        assert "France" in told(response)
        assert bench.gateway.last_record()["served_by"] == "local/smollm2"


def test_a_vendors_verdict_on_the_request_is_handed_on(bench: Bench) -> None:
    """As the response that it is, and as an error with the vendor's own words."""
    bench.vendor.behave("error_event", shape="failed", code="invalid_prompt", after=0)
    response = ask(bench)
    assert response.status == "failed"
    assert response.error is not None
    assert response.error.code == "invalid_prompt"
    last = list(bench.client.responses.create(model="both", input=QUESTION, stream=True))[-1]
    assert last.type == "response.failed"
    assert last.response.error == response.error
    bench.vendor.behave(400, message="Invalid value: 'x'.")
    with pytest.raises(openai.BadRequestError, match="Invalid value: 'x'"):
        ask(bench)


def test_an_answer_of_a_model_that_policy_denies_is_not_given(bench: Bench) -> None:
    """Whole or streamed, by the name that stands in the response."""
    bench.vendor.behave("other_model")
    for response in (ask(bench), streamed(bench)[1]):
        assert "France" in told(response)
        record = bench.gateway.last_record()
        assert record["attempts"][0]["outcome"] == "answered_by_denied"


def test_reasoning_that_a_vendor_cannot_read_goes_to_the_next(bench: Bench) -> None:
    """Another vendor's, whose key or organisation it was for: the conversation goes on."""
    bench.vendor.behave(400, code="invalid_encrypted_content")
    assert "France" in told(ask(bench))


def test_what_a_vendor_runs_itself_goes_to_vendors_alone(bench: Bench) -> None:
    """Nobody else is asked for a search; where none is left, it is refused by name."""
    bench.vendor.behave("answer", search="q")
    tools: Any = [{"type": "web_search"}]
    assert ask(bench, tools=tools).output[0].type == "web_search_call"
    before = len(bench.other.requests)
    for model in ("here", "chatting"):
        with pytest.raises(openai.BadRequestError, match="tools that are no functions") as caught:
            ask(bench, model, tools=tools)
        assert caught.value.code == "unsupported_parameter"
    assert len(bench.other.requests) == before
    ban(bench, "openai")
    with pytest.raises(openai.BadRequestError, match="tools that are no functions"):
        ask(bench, tools=tools)


def test_store_false_is_kept_nowhere(bench: Bench) -> None:
    for model in ("both", "here"):
        for response in (ask(bench, model, store=False), streamed(bench, model, store=False)[1]):
            with pytest.raises(openai.NotFoundError):
                bench.client.responses.retrieve(response.id)
            with pytest.raises(openai.BadRequestError) as caught:
                ask(bench, model, previous_response_id=response.id)
            assert caught.value.code == "previous_response_not_found"
            assert caught.value.param == "previous_response_id"
    assert bench.vendor.requests[-1].json["store"] is False


@pytest.mark.parametrize("model", ["both", "here"])
def test_the_life_of_a_response(bench: Bench, model: str) -> None:
    """Created, retrieved, listed, followed, deleted, gone."""
    first = ask(bench, model, input=[{"role": "user", "content": QUESTION}, _CALL, _OUTPUT])
    assert bench.client.responses.retrieve(first.id) == first
    items = list(bench.client.responses.input_items.list(first.id, order="asc", limit=1))
    assert [item.type for item in items] == ["message", "function_call", "function_call_output"]
    assert len({item.id for item in items}) == 3
    newest = bench.client.responses.input_items.list(first.id, limit=2)
    assert [item.id for item in newest.data] == [items[2].id, items[1].id]
    assert newest.has_more
    after = bench.client.responses.input_items.list(first.id, order="asc", after=items[0].id)
    assert [item.id for item in after.data] == [items[1].id, items[2].id]
    second = ask(bench, model, input="More.", previous_response_id=first.id)
    bench.client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{first.id}' not found"):
        bench.client.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        bench.client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        bench.client.responses.input_items.list(first.id)
    assert bench.client.responses.retrieve(second.id) == second
    with pytest.raises(openai.BadRequestError) as caught:
        ask(bench, model, previous_response_id=second.id)
    assert caught.value.code == "previous_response_not_found"


_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
_OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "Paris is in France."}


async def test_the_same_by_the_asynchronous_client(bench: Bench) -> None:
    async with AsyncOpenAI(
        base_url=f"{bench.gateway.url}/v1", api_key="mine", max_retries=0
    ) as sdk:
        async with sdk.responses.stream(model="both", input=QUESTION) as stream:
            response = await stream.get_final_response()
        same(await sdk.responses.retrieve(response.id), response)
        follows = await sdk.responses.create(
            model="both", input="More.", previous_response_id=response.id
        )
        listed = [item async for item in sdk.responses.input_items.list(follows.id)]
        assert len(listed) == 3
        await sdk.responses.delete(response.id)
        with pytest.raises(openai.NotFoundError):
            await sdk.responses.retrieve(response.id)


def test_nobody_is_told_of_anothers_responses(bench: Bench) -> None:
    """Not even that they are there."""
    response = ask(bench)
    with client(bench.gateway, "another") as other:
        for attempt in (
            other.responses.retrieve,
            other.responses.delete,
            other.responses.cancel,
            other.responses.input_items.list,
        ):
            with pytest.raises(openai.NotFoundError):
                attempt(response.id)
        with pytest.raises(openai.BadRequestError) as caught:
            other.responses.create(model="both", input="a", previous_response_id=response.id)
        assert caught.value.code == "previous_response_not_found"
    assert bench.client.responses.retrieve(response.id) == response


def test_tokens_are_counted_where_they_would_be_read(bench: Bench) -> None:
    """By the vendor that has that API; else by the local model, for its own tokens, the history
    too; where nobody can, nothing is made up.
    """
    first = ask(bench)
    count = bench.client.responses.input_tokens.count
    fields: dict[str, Any] = {"input": "And Berlin?", "previous_response_id": first.id}
    assert count(model="both", **fields).input_tokens == 7
    request = bench.vendor.requests[-1]
    assert request.path == "/v1/responses/input_tokens"
    assert said(request.json) == [QUESTION, told(first), "And Berlin?"]
    assert request.json.keys() == {"model", "input"}
    alone = count(model="here", input="And Berlin?")
    assert alone.object == "response.input_tokens"
    assert count(model="here", **fields).input_tokens > alone.input_tokens + 10
    with pytest.raises(openai.BadRequestError, match="cannot be asked for that"):
        count(model="chatting", **fields)


def test_what_is_not_to_be_had(bench: Bench) -> None:
    """Each is refused by its name."""
    response = ask(bench)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        bench.client.responses.cancel(response.id)
    with pytest.raises(openai.BadRequestError, match="'stream' is not supported") as caught:
        list(bench.client.responses.retrieve(response.id, stream=True))
    assert caught.value.param == "stream"
    with pytest.raises(openai.NotFoundError, match="/v1/responses/compact"):
        bench.client.responses.compact(model="both", input="a")
    with pytest.raises(openai.BadRequestError, match="after"):
        bench.client.responses.input_items.list(response.id, after="msg_none")
    for id in ("resp_none", "' OR 1=1 --", "%00", "x" * 3000):
        with pytest.raises(openai.NotFoundError):
            bench.client.responses.retrieve(id)


def test_an_operator_may_keep_nothing(bench: Bench) -> None:
    """From one request to the next, without a restart; what was kept is there again afterwards."""
    before = ask(bench, "here")
    config = bench.gateway.config
    text = config.read_text()
    try:
        config.write_text(f"{text}responses: {{keep: false}}\n")
        until(lambda: _stored(ask(bench, "here")) is False)
        response = ask(bench)
        assert _stored(response) is False
        for id in (response.id, before.id):
            with pytest.raises(openai.NotFoundError):
                bench.client.responses.retrieve(id)
            with pytest.raises(openai.BadRequestError, match=r"responses\.keep"):
                ask(bench, previous_response_id=id)
    finally:
        config.write_text(text)
    until(lambda: _stored(ask(bench, "here")) is True)
    assert bench.client.responses.retrieve(before.id) == before


def _stored(response: Response) -> object:
    assert response.model_extra is not None
    return response.model_extra["store"]


def test_what_is_kept_outlives_the_gateway(bench: Bench) -> None:
    """And nobody can read it but its user."""
    response = ask(bench, "here")
    bench.gateway.stop()
    bench.gateway.start()
    assert bench.client.responses.retrieve(response.id) == response
    state = bench.gateway.folder / "state"
    assert {path.stat().st_mode & 0o777 for path in state.glob("responses*")} == {0o600}
