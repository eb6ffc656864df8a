"""``gateway models``, as an operator calls it: real files, a real mirror, the real commands."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import root
from gateway.errors import GatewayError
from tests.local.gguf_files import small_model

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
models: {{any: {{targets: [local/smollm2]}}}}
local:
  manifests: {manifests}
  models: {{smollm2: {{manifest: smollm2-135m-instruct, context: 2048, slots: 4}}}}
state: {{dir: state}}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A configuration with manifests of its own, and a model's file elsewhere."""
    manifests = tmp_path / "models"
    manifests.mkdir()
    shipped = (ROOT / "models" / "smollm2-135m-instruct.yaml").read_text()
    (manifests / "smollm2-135m-instruct.yaml").write_text(shipped)
    (tmp_path / "gateway.yaml").write_text(CONFIG.format(manifests=manifests))
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "m.gguf").write_bytes(small_model())
    return tmp_path


def run(checkout: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        root, ["models", *arguments, "--config", str(checkout / "gateway.yaml")]
    )


def shown(checkout: Path, *arguments: str) -> Any:
    return json.loads(run(checkout, *arguments, "--format", "json").output)


def said(result: Result) -> str:
    """The error that the command line would print."""
    assert isinstance(result.exception, GatewayError), result.output
    return result.exception.message


def test_list(checkout: Path) -> None:
    """What is configured, and whether its file is whole."""
    (line,) = shown(checkout, "list")
    assert (line["name"], line["developer"], line["slots"]) == ("smollm2", "huggingface", 4)
    assert line["bytes"] == 98_362_432
    assert "header is whole" in line["state"]
    assert "4 slots of 2048 tokens" in run(checkout, "list").output


def test_inspect(checkout: Path) -> None:
    """By name or by path: what the file says, who made it, how it calls functions."""
    real = shown(checkout, "inspect", "smollm2")
    assert (real["architecture"], real["layers"], real["parameters"]) == ("llama", 30, 134_515_008)
    assert real["makers"] == {"huggingface": "general.basename"}
    assert real["calls"] == "described in the system message"
    other = shown(checkout, "inspect", str(checkout / "mirror" / "m.gguf"))
    assert (other["calls"], other["thinks"]) == ("hermes", True)
    assert other["makers"] == {"alibaba": "general.name"}


def test_inspect_says_which_template_counts(checkout: Path) -> None:
    """The manifest's, where it names one; what the model can do is told by it."""
    assert shown(checkout, "inspect", "smollm2")["template"] == "the file's own"
    manifest = checkout / "models" / "smollm2-135m-instruct.yaml"
    manifest.write_text(manifest.read_text() + "template: mine.jinja\n")
    source = "{% if tools %}<tool_call>{% endif %}<think></think>{{ messages[0].content }}"
    (checkout / "models" / "mine.jinja").write_text(source)
    for what in ("smollm2", "smollm2-135m-instruct"):
        found = shown(checkout, "inspect", what)
        assert found["template"] == str(checkout / "models" / "mine.jinja")
        assert (found["calls"], found["thinks"], found["system_role"]) == ("hermes", True, False)
    (checkout / "models" / "mine.jinja").write_text("{% if %}")
    assert "mine.jinja, line 1: no Jinja template" in said(run(checkout, "inspect", "smollm2"))


def test_verify_reads_every_byte(checkout: Path) -> None:
    """A changed byte is noticed though size and time are as they were; both hashes are named."""
    assert run(checkout, "add", str(checkout / "mirror" / "m.gguf"), "--id", "mine").exit_code == 0
    config = checkout / "gateway.yaml"
    config.write_text(
        config.read_text().replace(
            "models: {smollm2", "models: {mine: {manifest: mine, context: 128}, smollm2"
        )
    )
    assert run(checkout, "verify").exit_code == 0
    path = checkout / "models" / "mine.gguf"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    stat = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = run(checkout, "verify", "mine")
    assert result.exit_code == 1
    assert f"expected sha256 {expected}" in result.output
    assert hashlib.sha256(path.read_bytes()).hexdigest() in result.output


def test_fit(checkout: Path) -> None:
    """Exit code 1 where it does not fit, and what would."""
    (line,) = shown(checkout, "fit", "--ram", "4", "--gpu", "0.25")
    assert line["fits"]
    assert 0 < line["placed"]["gpu_layers"] < 30
    small = run(checkout, "fit", "smollm2", "--ram", "0.37")
    assert small.exit_code == 1
    assert "1 slot of 2048 tokens would" in small.output
    assert "choose a smaller model" in run(checkout, "fit", "--ram", "0.1").output
    assert "did you mean 'smollm2'" in run(checkout, "fit", "smolm2").output


def test_what_is_chosen_from_memory_is_shown(checkout: Path) -> None:
    """By the limit for all models; never above the trained context. It fits into that limit."""
    config = checkout / "gateway.yaml"
    written = config.read_text().replace("context: 2048, slots: 4", "context: auto, slots: auto")
    config.write_text(written.replace("local:", "local:\n  memory_gb: 1"))
    (line,) = shown(checkout, "list")
    assert (line["auto"], line["context"], line["slots"]) == (["context", "slots"], 8192, 3)
    assert "3 slots of 8192 tokens (context and slots: auto)" in run(checkout, "list").output
    (fitted,) = shown(checkout, "fit", "--ram", "1")
    assert fitted["fits"]
    config.write_text(written.replace("local:", "local:\n  memory_gb: 64"))
    (line,) = shown(checkout, "list")
    assert (line["context"], line["slots"]) == (8192, 8)
    # With nothing said, of half the memory of whatever machine this is: the same each time.
    config.write_text(written)
    assert shown(checkout, "list") == shown(checkout, "list")


def test_add_pins_what_it_copied(checkout: Path) -> None:
    """The manifest has the hash, the maker and the licence; it is what the gateway then reads."""
    result = run(checkout, "add", str(checkout / "mirror" / "m.gguf"), "--id", "qwen3-tiny")
    assert result.exit_code == 0, result.output
    written = (checkout / "models" / "qwen3-tiny.yaml").read_text()
    digest = hashlib.sha256(small_model()).hexdigest()
    for line in (f"sha256: {digest}", "developer: alibaba", "licence: apache-2.0", "context: 4096"):
        assert line in written
    assert (checkout / "models" / "qwen3-tiny.gguf").read_bytes() == small_model()


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (small_model()[:200], (), "truncated or altered"),
        (b"<html>", (), "not a GGUF file"),
        (small_model(name="unheard-of"), (), "give --developer"),
        (small_model(), ("--developer", "alibabba"), "did you mean 'alibaba'"),
        (small_model(), ("--sha256", "0" * 64), f"expected sha256 {'0' * 64}, got "),
        (small_model(), ("--max-gb", "0.000001"), "raise --max-gb"),
    ],
)
def test_nothing_is_left_of_what_failed(
    checkout: Path, data: bytes, options: tuple[str, ...], says: str
) -> None:
    """Neither file nor manifest, whole or in part."""
    (checkout / "mirror" / "m.gguf").write_bytes(data)
    before = sorted((checkout / "models").iterdir())
    result = run(checkout, "add", str(checkout / "mirror" / "m.gguf"), "--id", "x", *options)
    assert says in said(result)
    assert sorted((checkout / "models").iterdir()) == before


def test_nothing_is_overwritten(checkout: Path) -> None:
    """Neither a manifest nor a file that is there already."""
    source = str(checkout / "mirror" / "m.gguf")
    assert "is there already" in said(run(checkout, "add", source, "--id", "smollm2-135m-instruct"))
    (checkout / "models" / "x.gguf").write_text("mine")
    assert "is there already" in said(run(checkout, "add", source, "--id", "x"))
    assert (checkout / "models" / "x.gguf").read_text() == "mine"


class _Mirror(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/m.gguf")
            self.end_headers()
        elif self.path == "/short":
            self.send_response(200)
            self.send_header("content-length", "100000")
            self.end_headers()
            self.wfile.write(small_model()[:1000])
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(checkout: Path) -> Iterator[str]:
    handler = partial(_Mirror, directory=str(checkout / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_add_from_a_mirror(checkout: Path, mirror: str) -> None:
    """With its hash, or with the word that what comes is trusted."""
    digest = hashlib.sha256(small_model()).hexdigest()
    result = run(checkout, "add", f"{mirror}/m.gguf", "--id", "a", "--sha256", digest)
    assert result.exit_code == 0, result.output
    assert "127.0.0.1" in result.output
    assert run(checkout, "add", f"{mirror}/m.gguf", "--id", "b").exit_code == 2
    assert run(checkout, "add", f"{mirror}/m.gguf", "--id", "b", "--trust-first").exit_code == 0


@pytest.mark.parametrize(
    ("path", "says"),
    [("moved", "answered 302, not 200"), ("none", "answered 404"), ("short", "ended after 1000")],
)
def test_a_mirror_that_does_not_have_it(checkout: Path, mirror: str, path: str, says: str) -> None:
    """Nothing is followed, and half a file is no file."""
    result = run(checkout, "add", f"{mirror}/{path}", "--id", "a", "--trust-first")
    assert says in said(result)
    assert not list((checkout / "models").glob("*a*gguf*"))
