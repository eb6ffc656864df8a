"""Nothing that a gateway gives out holds a secret: distinctive ones are planted wherever one can
be, everything is made to fail in turn, and all that came out is searched.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.config.presence import RUN, running
from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.otlp import Receiver, receiving

VENDOR_KEY = "sk-planted-vendor-AAAA0123456789"
OTLP = "planted-otlp-BBBB0123456789"
FOREIGN = "sk-planted-nobodys-CCCC0123456789"
USERINFO = "planted-user:planted-password-DDDD"
CANARY = "planted-prompt-EEEE0123456789"
STORED = "planted-stored-FFFF0123456789"
"""In a file of the state folder's neighbour, which is where a key may be kept."""

FAULTS = (400, 404, 422)
"""Statuses with which a vendor finds fault with the request: first, since none of them keeps the
vendor from being asked again."""
Secrets = dict[str, str]


@contextmanager
def spiteful() -> Iterator[tuple[int, list[int]]]:
    """A vendor that answers with what it was sent, its key and an address with a password: its
    port, and a list whose last status it answers with (0: half an answer).
    """
    statuses = [500]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["content-length"])).decode()
            words = f"{self.headers['authorization']} https://{USERINFO}@vendor.example/"
            if statuses[-1] not in FAULTS:
                # What is at fault of a request is told to whoever made it.
                words += f" {asked}"
            error = {"message": words, "type": "server_error", "code": "oops"}
            body = json.dumps({"error": error}).encode()
            self.send_response(statuses[-1] or 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body) + (statuses[-1] == 0)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = statuses[-1] == 0

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], statuses
    finally:
        server.shutdown()
        server.server_close()


class Searched:
    """A gateway, and all that it has given out."""

    def __init__(self, gateway: RunningGateway, receiver: Receiver, key: str) -> None:
        self.gateway = gateway
        self.receiver = receiver
        self.key = key
        self.secrets: Secrets = {
            "the vendor's key": VENDOR_KEY,
            "the header of otlp": OTLP,
            "the header of otlp, as bytes": base64.b64encode(OTLP.encode()).decode(),
            "a key of nobody": FOREIGN,
            "an address with a password": USERINFO.partition(":")[2],
            "the prompt": CANARY,
            "the app's key": key,
            "the secret of the app's key": key.rpartition("_")[2],
            "the stored key": STORED,
        }
        self.answers: list[tuple[str, bytes]] = []

    def ask(self, what: str, body: Any, *, key: str | None = None, path: str = "") -> int:
        """Post it; the answer, headers and all, is kept as ``what``."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {
            "content-type": "application/json",
            "authorization": f"Bearer {key or self.key}",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }
        url = self.gateway.url + (path or "/v1/chat/completions")
        request = urllib.request.Request(url, data=raw, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.answers.append((what, f"{answer.headers}".encode() + answer.read()))
                return int(answer.status)
        except urllib.error.HTTPError as error:
            self.answers.append((what, f"{error.headers}".encode() + error.read()))
            return error.code
        except (OSError, http.client.HTTPException):
            return 0  # killed

    def get(self, path: str) -> None:
        request = urllib.request.Request(
            self.gateway.url + path, headers={"authorization": f"Bearer {self.key}"}
        )
        with suppress(urllib.error.URLError, ConnectionError):
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    self.answers.append((path, f"{answer.headers}".encode() + answer.read()))
            except urllib.error.HTTPError as error:
                self.answers.append((path, f"{error.headers}".encode() + error.read()))

    def outputs(self) -> Iterator[tuple[str, bytes]]:
        """All that has come out, with a word for where."""
        yield from self.answers
        yield "the log", self.gateway.output.read_bytes()
        for number, posted in enumerate(self.receiver.posted):
            yield f"what was posted {number}", posted.body
        for path in sorted((self.gateway.folder / "state").rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.gateway.folder)), path.read_bytes()
        yield from processes(self.gateway.pid)

    def found(self) -> list[str]:
        return [
            f"{secret} in {where}"
            for where, content in self.outputs()
            for secret, text in self.secrets.items()
            if text.encode() in content
        ]


def processes(main: int) -> Iterator[tuple[str, bytes]]:
    """Command lines of a gateway's processes, and what is around those of its local models."""
    for path in Path("/proc").iterdir():
        with suppress(OSError, StopIteration):
            status = (path / "status").read_text()
            parent = next(line for line in status.splitlines() if line.startswith("PPid:"))
            if path.name == str(main) or parent.split()[1] == str(main):
                command = (path / "cmdline").read_bytes()
                yield f"command line of {path.name}", command
                if b"gateway.local.worker" in command:
                    yield f"environment of {path.name}", (path / "environ").read_bytes()


@pytest.fixture(scope="module")
def vendor() -> Iterator[tuple[int, list[int]]]:
    with spiteful() as found:
        yield found


@pytest.fixture(scope="module")
def searched(
    vendor: tuple[int, list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Searched]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "stored.key").write_text(STORED)
    with receiving() as receiver:
        url = f"http://127.0.0.1:{vendor[0]}/v1"
        otlp = f'endpoint: "http://127.0.0.1:{receiver.port}", interval: 0.2'
        text = configuration(
            url,
            models="  second: {targets: [stored/gpt-4o, local/smollm2]}",
            extra=f"""\
server: {{workers: 2}}
telemetry:
  logs: {{level: debug, format: json}}
  otlp: {{{otlp}, headers: {{x-planted: "${{OTLP_HEADER}}"}}}}
""",
        ).replace(
            "channels:\n",
            "channels:\n"
            f'  stored: {{vendor: openai, kind: openai, base_url: "{url}", '
            "api_key: file:stored.key}\n",
            1,
        )
        gateway = RunningGateway(folder, text, key=VENDOR_KEY, environ={"OTLP_HEADER": OTLP})
        made = gateway.run("keys", "create", "app", policy=False)
        assert made.returncode == 0, made.stderr
        with gateway:
            yield Searched(gateway, receiver, made.stdout.strip())


def chat(model: str = "gpt-4o", **fields: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": f"Repeat: {CANARY}"}]
    return {"model": model, "messages": said, "max_tokens": 2, "temperature": 0} | fields


def test_whatever_a_vendor_does(searched: Searched, vendor: tuple[int, list[int]]) -> None:
    """It tells the app, in every way of failing, what it was sent; streamed and not."""
    for status in (*FAULTS, 200, 302, 0, 500, 429, 451, 403, 401):
        vendor[1].append(status)
        for stream in (False, True):
            for model in ("gpt-4o", "second", "only-cloud"):
                searched.ask(f"vendor answers {status}", chat(model, stream=stream))
    assert any(b"vendor" in content for _, content in searched.answers)
    assert searched.found() == []


def test_whatever_an_app_does(searched: Searched) -> None:
    """Keys of nobody, bodies that are none, words where numbers ought to be, no such path."""
    assert searched.ask("a foreign key", chat(), key=FOREIGN) == 401
    wrong = searched.key[:-1] + ("a" if searched.key[-1] != "a" else "b")
    assert searched.ask("a key that is nearly one", chat(), key=wrong) == 401
    assert searched.ask("no JSON", b'{"model": "gpt-4o", "messages": "' + CANARY.encode()) == 400
    assert searched.ask("a word for a number", chat(max_tokens=[CANARY])) == 400
    assert searched.ask("an unknown role", chat(messages=[{"role": 7, "content": CANARY}])) == 400
    searched.ask("messages", chat(max_tokens=CANARY), path="/v1/messages")
    searched.ask("embeddings", {"model": "gpt-4o", "input": CANARY}, path="/v1/embeddings")
    searched.ask("no such path", chat(), path="/v1/nothing")
    # What an app wrongly said is told back to it; to nobody else.
    searched.answers = [one for one in searched.answers if one[0] != "a word for a number"]
    assert searched.found() == []


def test_whatever_is_asked_of_the_gateway_itself(searched: Searched) -> None:
    """Also of the command line."""
    for path in ("/metrics", "/readyz", "/livez", "/openapi.json", "/v1/models", "/admin/status"):
        searched.get(path)
    searched.get("/admin/explain?model=gpt-4o")
    for arguments in (("status",), ("doctor",), ("keys", "list"), ("status", "--format", "json")):
        done = searched.gateway.run(*arguments, policy=arguments[0] == "doctor")
        searched.answers.append((" ".join(arguments), (done.stdout + done.stderr).encode()))
    assert len(searched.answers) > 10
    assert searched.found() == []


def test_whatever_ends_in_the_middle(searched: Searched) -> None:
    """A local model's worker and a serving process are killed while they answer."""
    run = searched.gateway.folder / "state" / RUN

    def asking() -> None:
        searched.ask("killed", chat("second", max_tokens=400, stream=True))

    workers = [name for name, _ in processes(searched.gateway.pid) if "environment" in name]
    assert workers, "the environment of the worker was not looked at"
    for pid in (int(workers[0].split()[-1]), running(run)[0].pid):
        asked = [threading.Thread(target=asking) for _ in range(4)]
        for thread in asked:
            thread.start()
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)
        for thread in asked:
            thread.join(90)
    time.sleep(1)
    assert searched.receiver.posted
    assert searched.found() == []


def test_the_search_finds_what_is_there(searched: Searched) -> None:
    """What stands in a log or a record is found: the ids of requests do."""
    records = searched.gateway.records()
    id = next(one["id"] for one in records if one["outcome"] == "served")
    searched.secrets = {"an id": id}
    where = searched.found()
    assert "an id in the log" in where
    assert any("state/audit/" in one for one in where)
    assert any("posted" in one for one in where)


def test_what_the_gateway_writes_is_for_its_own_user(tmp_path: Path) -> None:
    """Whatever umask it was started with: who can write to its state could make keys."""
    careless = ("sh", "-c", 'umask 0; exec "$@"', "sh")
    with RunningGateway(tmp_path, configuration(), prefix=careless) as gateway:
        assert gateway.ask()[0] == 200
        gateway.last_record()
        state = tmp_path / "state"
        found = [state, *state.rglob("*")]
        assert (state / RUN / "operator.json") in found
        assert [path for path in found if path.lstat().st_mode & 0o077] == []
