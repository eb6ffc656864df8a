"""Images over HTTP: a model with a projector answers about them, one without is left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.end_to_end.running import ROOT, RunningGateway, configuration
from tests.local.image_files import WEBP, data_url, png, png_header
from tests.local.projector_files import projector
from tests.simulators.vendor import VendorSimulator

CAT, DOG = data_url(png(40, 30, seed=1)), data_url(png(40, 30, seed=2))
MODELS = """\
  see: {targets: [local/seeing]}
  look: {targets: [local/smollm2, local/seeing]}
  blind: {targets: [local/smollm2]}
  abroad: {targets: [openai/gpt-4o, local/seeing]}
"""
SEEING = "seeing: {manifest: seeing, context: 1024, slots: 6, threads: 2}"


def manifests(folder: Path) -> Path:
    """The shipped manifest, and one of the same model that sees."""
    shipped = (ROOT / "models" / "smollm2-135m-instruct.yaml").read_text()
    (folder / "smollm2-135m-instruct.yaml").write_text(shipped)
    path = projector(folder / "mmproj.gguf")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "seeing.yaml").write_text(
        shipped.replace("id: smollm2-135m-instruct", "id: seeing")
        + f"projector: {{file: {{path: mmproj.gguf}}, sha256: {sha256}}}\n"
    )
    return folder


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def gateway(
    vendor: VendorSimulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("images")
    (folder / "models").mkdir()
    text = configuration(vendor.url, models=MODELS).replace(
        str(ROOT / "models"), str(manifests(folder / "models"))
    )
    text = text.replace("    smollm2: {", f"    {SEEING}\n    smollm2: {{")
    with RunningGateway(folder, text) as running:
        yield running


@pytest.fixture
def client(gateway: RunningGateway) -> OpenAI:
    return gateway.sdk


def turn(*parts: str, role: str = "user") -> dict[str, Any]:
    """Images are told by how their URLs begin."""
    content = [
        {"type": "image_url", "image_url": {"url": part}}
        if part.startswith(("data:", "http"))
        else {"type": "text", "text": part}
        for part in parts
    ]
    return {"role": role, "content": content}


def ask(client: OpenAI, *turns: dict[str, Any], **fields: Any) -> Any:
    messages: Any = list(turns)
    return client.chat.completions.create(
        **{"model": "see", "messages": messages, "temperature": 0, "max_tokens": 8} | fields
    )


def cached(answer: Any) -> int:
    count: int = answer.usage.prompt_tokens_details.cached_tokens
    return count


def test_an_image_is_looked_at_once(client: OpenAI) -> None:
    """Its tokens count as all do, and are there already in the next turn; another's are not."""
    plain = ask(client, turn("What is this?"))
    first = ask(client, turn(CAT, "What is this?"))
    assert first.choices[0].message.content
    size = first.usage.prompt_tokens - plain.usage.prompt_tokens
    assert size == 64
    again = ask(client, turn(CAT, "What is this?"))
    assert cached(again) == first.usage.prompt_tokens - 1
    assert again.choices[0].message.content == first.choices[0].message.content
    history = {"role": "assistant", "content": first.choices[0].message.content}
    second = ask(client, turn(CAT, "What is this?"), history, turn("And ", DOG, "?"))
    assert first.usage.prompt_tokens <= cached(second) < second.usage.prompt_tokens - size
    assert cached(ask(client, turn(DOG, "What is this?"))) < size


def test_one_who_looks_beside_others_who_talk(client: OpenAI) -> None:
    """Streams of text go on while an image is encoded, and it streams too."""

    def stream(turn: dict[str, Any]) -> tuple[str, str | None]:
        text, reason = "", None
        for part in ask(client, turn, stream=True, max_tokens=24):
            for choice in part.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
        return text, reason

    turns = [turn(f"Tell me a story of {what}.") for what in ("a fox", "a ship", "rain", "bread")]
    turns.insert(2, turn("Look: ", CAT, " and ", DOG, "."))
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(stream, turns))
    assert all(text for text, _ in answers)
    assert {reason for _, reason in answers} <= {"stop", "length"}


def test_with_a_seed_the_answer_comes_again(client: OpenAI) -> None:
    fields = {"seed": 7, "temperature": 1.0, "max_tokens": 16}
    first, again = (ask(client, turn(CAT, "And?"), **fields) for _ in range(2))
    assert first.choices[0].message.content == again.choices[0].message.content


BAD = [
    (data_url(png(40, 30)[:300]), "cannot be decoded"),
    (data_url(png_header(10_000, 10_000)), "more than 40 million"),
    (data_url(b""), "is empty"),
    (data_url(b"no image at all"), "unknown type"),
    (data_url(WEBP), "WebP"),
    ("data:image/png;base64,!!!!", "not valid base64"),
]


@pytest.mark.parametrize(("url", "why"), BAD)
def test_a_bad_image_is_the_app_s_error(client: OpenAI, url: str, why: str) -> None:
    """A 400 that says what is wrong; the model is there for the next."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, turn("What is this?", url))
    assert caught.value.param == "messages"
    assert why in caught.value.message
    assert ask(client, turn(CAT, "What is this?"), max_tokens=1).choices


def test_no_worker_was_lost(gateway: RunningGateway) -> None:
    assert "local_worker_lost" not in gateway.output.read_text()


def test_images_count_for_the_context(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, turn(*[data_url(png(8, 8, seed)) for seed in range(16)], "What?"))
    assert caught.value.code == "context_length_exceeded"
    assert "context is 1024 tokens" in caught.value.message


@pytest.mark.parametrize(
    ("model", "url", "named"),
    [
        ("blind", CAT, "images"),
        ("see", "https://example.org/cat.png", "images by URL"),
        ("see", data_url(WEBP, "webp"), "images other than PNG, JPEG, GIF and BMP"),
    ],
)
def test_what_no_target_can_do_is_named(client: OpenAI, model: str, url: str, named: str) -> None:
    """Nothing is left out silently, and nothing is fetched."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, turn("What is this?", url), model=model)
    assert named in caught.value.message


def test_a_model_that_sees_nothing_is_left_out(gateway: RunningGateway) -> None:
    """The next one of the chain answers, and the header says why."""
    body = {"model": "look", "messages": [turn(CAT, "What?")], "max_tokens": 1}
    status, _, headers = gateway.post(json.dumps(body).encode())
    assert status == 200
    assert headers["x-gateway-served-by"] == "local/seeing"
    assert headers["x-gateway-failover"] == "capability"


def test_an_image_by_url_goes_to_a_vendor_as_it_was_sent(
    gateway: RunningGateway, vendor: VendorSimulator
) -> None:
    """The body's bytes are the app's own but for the model; when the vendor is gone, local is
    still no answer to it.
    """
    asked = [turn("https://example.org/cat.png", "What?")]
    body = {"model": "abroad", "messages": asked, "max_tokens": 4}
    status, _, headers = gateway.post(json.dumps(body).encode())
    assert (status, headers["x-gateway-served-by"]) == (200, "openai/gpt-4o")
    sent = json.loads(vendor.requests[-1].body)
    assert sent["messages"] == body["messages"]
    assert gateway.run("ban", "openai", "--reason", "test").returncode == 0
    try:
        status, answer, _ = gateway.post(json.dumps(body).encode())
        assert status == 400
        assert "images by URL" in answer["error"]["message"]
        body["messages"] = [turn(CAT, "What?")]
        status, _, headers = gateway.post(json.dumps(body).encode())
        assert (status, headers["x-gateway-served-by"]) == (200, "local/seeing")
    finally:
        assert gateway.run("unban", "openai").returncode == 0


def test_the_command_line_tells_of_it(gateway: RunningGateway) -> None:
    """What the model needs and where its projector is; a projector that was altered is refused."""
    listed = json.loads(gateway.run("models", "list", "--format", "json", policy=False).stdout)
    assert {line["name"]: line["projector"] for line in listed} == {
        "seeing": "mmproj.gguf",
        "smollm2": None,
    }
    shown = gateway.run("models", "inspect", "seeing", policy=False).stdout
    assert "mlp, by mmproj.gguf" in shown
    fit = gateway.run("models", "fit", "seeing", "--ram", "8", policy=False).stdout
    assert "images" in fit
    assert gateway.run("models", "verify", "seeing", policy=False).returncode == 0
    path = gateway.folder / "models" / "mmproj.gguf"
    good = path.read_bytes()
    try:
        path.write_bytes(good[:-1] + b"\x01")
        verified = gateway.run("models", "verify", policy=False)
        assert verified.returncode == 1
        assert "mmproj.gguf is not the file that its manifest names" in verified.stdout
    finally:
        path.write_bytes(good)


def test_the_status_says_who_sees(gateway: RunningGateway) -> None:
    """As the worker has loaded it, before anybody has asked."""
    models = gateway.get("/admin/status")[1]["local_models"]
    sees = {model["name"]: "images" in model["loaded"]["capabilities"] for model in models}
    assert sees == {"seeing": True, "smollm2": False}
