"""A gateway started by its own command line, on a port of its own, with files of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

import msgspec
from anthropic import Anthropic
from openai import OpenAI

from gateway.audit.record import Record
from gateway.config.presence import RUN, running
from tests.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-planted-0123456789abcdef"
READY_WITHIN = 60.0
ID = "x-gateway-request-id"
Sdk = TypeVar("Sdk", OpenAI, Anthropic)

POLICY = """\
version: 1
default: deny
vendors:
  openai: allow
  anthropic: allow
"""


def configuration(vendor_url: str | None = None, *, models: str = "", extra: str = "") -> str:
    """A configuration with the shipped model; ``openai`` is at ``vendor_url``, if there is one."""
    url = vendor_url or "https://api.openai.com/v1"
    return f"""\
channels:
  openai: {{vendor: openai, kind: openai, base_url: "{url}", api_key: "${{VENDOR_KEY}}"}}
  anthropic:
    vendor: anthropic
    kind: openai
    base_url: https://api.anthropic.com/v1
    api_key: ${{ANTHROPIC_API_KEY}}
models:
  gpt-4o: {{targets: [openai/gpt-4o, local/smollm2]}}
  claude-sonnet-4-5: {{targets: [anthropic/claude-sonnet-4-5, local/smollm2]}}
  only-cloud: {{targets: [openai/gpt-4o]}}
{models}
local:
  manifests: {ROOT / "models"}
  models:
    smollm2: {{manifest: smollm2-135m-instruct, context: 2048, slots: 4, threads: 2}}
upstream: {{connect_timeout: 2, first_token_timeout: 20, answer_timeout: 20, idle_timeout: 20}}
state: {{dir: state}}
{extra}
"""


class RunningGateway:
    """``with RunningGateway(folder, text) as gateway``: up and ready; stopped at the end.

    Its commands begin with ``prefix``, and ``environ`` is added to what they find around them;
    ``serves`` is the module whose ``main`` is the command line that serves; with ``admin_port`` the
    configuration has what is for operators there. ``popen`` starts its process, and ``started`` is
    told of it at once; ``ready_after`` are the seconds from then to the first 200 of ``/readyz``.
    """

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        policy: str = POLICY,
        flags: tuple[str, ...] = (),
        key: str | None = KEY,
        prefix: tuple[str, ...] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
        serves: str = "gateway.cli",
        admin_port: int | None = None,
        popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen,
        started: Callable[[subprocess.Popen[bytes]], object] = lambda process: None,
    ) -> None:
        self.folder = folder
        self.config = folder / "gateway.yaml"
        self.policies = folder / "policies"
        self.policies.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config)
        (self.policies / "10-vendors.yaml").write_text(policy)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{admin_port or self.port}"
        self.output = folder / "output.txt"
        self._flags = flags
        self._key = key
        self._prefix = prefix
        self._environ = environ
        self._serves = serves
        self._popen = popen
        self._started = started
        self.ready_after = 0.0
        self.answered: str | None = None
        """The id of the last answer to a POST: by ``ask`` or ``post``, or to who is ``heard``."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def credential(self) -> str:
        """That of the gateway's own user."""
        found = json.loads((self.folder / "state" / "run" / "operator.json").read_text())
        return str(found["token"])

    @property
    def sdk(self) -> OpenAI:
        """The official client, pointed at the gateway; it does not retry."""
        client = OpenAI(base_url=f"{self.url}/v1", api_key="unused", max_retries=0, timeout=60)
        return self.heard(client)

    def heard(self, client: Sdk) -> Sdk:
        """The client of an app; what it is answered is known to ``last_record``."""
        client._client.event_hooks = {"response": [self._note]}
        return client

    def _note(self, answer: Any) -> None:
        if answer.request.method == "POST":
            self.answered = answer.headers.get(ID)

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start and wait for ``/readyz``."""
        command = [
            *self._prefix,
            *_cli(self._serves),
            "serve",
            *self._files(),
            "--port",
            str(self.port),
            *self._flags,
        ]
        began = time.monotonic()
        with self.output.open("ab") as output:
            self._process = self._popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=self._environment()
            )
        self._started(self._process)
        try:
            while not self._is_ready():
                assert self._process.poll() is None, self.output.read_text()
                assert time.monotonic() < began + READY_WITHIN, self.output.read_text()
                time.sleep(0.01)
        except BaseException:
            # Nobody will stop what has not been entered.
            self.kill()
            raise
        self.ready_after = time.monotonic() - began

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except TimeoutError:
            # With several workers the port is open before anybody serves there.
            return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """End it as an operator would; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=30)

    def kill(self) -> None:
        """End it as the kernel would, with no word to anybody."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=30)

    def run(self, *arguments: str, policy: bool = True) -> subprocess.CompletedProcess[str]:
        """Another command of the command line, on the same files; without ``policy`` it is not
        told the policy folder.
        """
        files = self._files() if policy else self._files()[:2]
        return subprocess.run(
            [*self._prefix, *_cli(), *arguments, *files],
            capture_output=True,
            text=True,
            timeout=60,
            env=self._environment(),
            check=False,
        )

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """As ``run``, without waiting for it; what it says is read from its pipes."""
        return subprocess.Popen(
            [*self._prefix, *_cli(), *arguments, *self._files()[:2]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment(),
        )

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and body; status 0 where nobody listens. Operators' paths are asked with the
        credential of this machine.
        """
        url = self.url if path.startswith("/v1") else self.admin_url
        request = urllib.request.Request(f"{url}{path}", headers=headers)
        if path.startswith("/admin"):
            request.add_header("authorization", f"Bearer {self.credential}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except (urllib.error.URLError, ConnectionError):
            return 0, {}

    def post(
        self, body: bytes, path: str = "/v1/chat/completions", **headers: str
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Status, body and headers of a raw request."""
        request = urllib.request.Request(f"{self.url}{path}", data=body, method="POST")
        request.add_header("content-type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                got = answer.status, json.load(answer), _lower(answer.headers)
        except urllib.error.HTTPError as error:
            got = error.code, json.load(error), _lower(error.headers)
        self.answered = got[2].get(ID)
        return got

    def ask(
        self, model: str = "gpt-4o", **fields: Any
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """A plain chat completion of a few tokens."""
        question = [{"role": "user", "content": "In which country is the city of Paris?"}]
        body = {"model": model, "messages": question, "max_tokens": 16, "temperature": 0} | fields
        return self.post(json.dumps(body).encode())

    def records(self) -> list[dict[str, Any]]:
        """All audit records of requests written so far, with what their lines leave out."""
        return [whole(line) for line in self.audit_lines() if line["kind"] == "request"]

    def events(self, event: str | None = None) -> list[dict[str, Any]]:
        """What the audit log has of happenings so far, or of those of one name."""
        lines = [line for line in self.audit_lines() if line["kind"] == "event"]
        return [line for line in lines if event in (None, line["event"])]

    def audit_lines(self) -> list[dict[str, Any]]:
        """The lines of the audit log, but for one that is just being written."""
        files = sorted((self.folder / "state" / "audit").glob("*.jsonl"))
        texts = [file.read_bytes() for file in files]
        return [json.loads(line) for text in texts for line in text.split(b"\n")[:-1]]

    def last_record(self, id: str | None = None) -> dict[str, Any]:
        """The record of the answer with this id, or of the one that came last: it is written behind
        the answer, by another thread.
        """
        id = id or self.answered
        assert id is not None, "no answer has come of which an id is known"
        (record,) = until(lambda: [one for one in self.records() if one["id"] == id])
        return record

    def revisions(self) -> set[str]:
        """The policies that the serving processes say they have in force."""
        return {one.revision for one in running(self.folder / "state" / RUN)}

    @contextmanager
    def another_policy(self) -> Iterator[None]:
        """Around a change of the policy's files: until what comes of it is in force everywhere."""
        before = self.revisions()
        yield
        until(lambda: len(now := self.revisions()) == 1 and not now & before)

    def back_to(self, revisions: set[str]) -> None:
        """Until these are in force again."""
        until(lambda: self.revisions() == revisions)

    def configured(self, text: str) -> None:
        """Another configuration, once every serving process has it."""
        replaced(self.config, text)
        now = {sha256(text.encode()).hexdigest()}
        folder = self.folder / "state" / RUN
        until(lambda: {one.configuration for one in running(folder)} == now)

    def _files(self) -> tuple[str, ...]:
        return ("--config", str(self.config), "--policy", str(self.policies))

    def _environment(self) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= self._environ
        if self._key is not None:
            environment["VENDOR_KEY"] = self._key
        return environment


def replaced(file: Path, text: str) -> None:
    """As an editor does: beside, and renamed over, so that nobody reads it while it is empty."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    os.replace(beside, file)


def whole(line: dict[str, Any]) -> dict[str, Any]:
    """The record of a request's line: what is not there is ``None`` or empty."""
    record: dict[str, Any] = msgspec.to_builtins(msgspec.convert(line, Record))
    return record


def _cli(module: str = "gateway.cli") -> tuple[str, ...]:
    return (sys.executable, "-c", f"from {module} import main; main()")


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
