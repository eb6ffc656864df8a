"""What the doctor says of channels, and of who would be dialled; and whether they can be."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.doctor.checkout import Checkout
from tests.simulators.vendor import VendorSimulator
from tests.upstream.test_tls import server_context

LAB = "10.0.0.5:8000"


def test_a_cloud_channel_that_may_lead_inwards_is_told_of(checkout: Checkout) -> None:
    assert checkout.only("private") == []
    checkout.configured(('"${NO_KEY}"', '"${NO_KEY}", allow_private: true'))
    assert [row[:2] for row in checkout.only("private")] == [("info", "channel openai")]


def test_who_would_be_dialled_is_told(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers of our own; a vendor once it has its key, as long as policy leaves it to somebody and
    nobody says offline.
    """
    ((_, _, before),) = checkout.only("egress")
    assert before.endswith("10.0.0.5:8000 (channel lab), 127.0.0.1:8000 (channel near)")
    monkeypatch.setenv("NO_KEY", "planted")
    ((_, _, message),) = checkout.only("egress")
    assert message == f"{before}, vendor.test:443 (channel openai)"
    checkout.ruled("version: 1\nvendors: {openai: deny}\n")
    assert checkout.only("egress")[0][2] == before
    checkout.ruled("version: 1\nvendors: {openai: allow}\n")
    checkout.configured(more="offline: true\n")
    assert checkout.only("egress")[0][2] == before
    checkout.configured(("api_key: ", 'proxy: "http://10.1.1.1:3128", api_key: '))
    assert "10.1.1.1:3128 (channel openai to vendor.test:443)" in checkout.only("egress")[0][2]


def test_issuers_and_collectors_are_dialled_too(checkout: Checkout) -> None:
    """But for a key in a file, or while nobody outside may be."""
    more = (
        "access: {oidc: {issuer: i, audience: a, jwks: 'https://id.test/jwks'}}\n"
        "telemetry: {otlp: {endpoint: 'https://otlp.test:4318'}}\n"
    )
    checkout.configured(more=more)
    message = checkout.only("egress")[0][2]
    assert "id.test:443 (access.oidc)" in message
    assert "otlp.test:4318 (telemetry.otlp)" in message
    checkout.configured(more=f"{more}offline: true\n")
    assert ".test" not in checkout.only("egress")[0][2]


def test_variables_for_proxies_are_said_to_be_ignored(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no proxy is configured."""
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert checkout.only("proxies") == []
    monkeypatch.setenv("https_proxy", "http://10.1.1.1:3128")
    assert [row[:2] for row in checkout.only("proxies")] == [("warning", "https_proxy")]
    checkout.configured(more='upstream: {proxy: "http://10.1.1.1:3128"}\n')
    assert checkout.only("proxies") == []


def test_a_name_behind_a_proxy_while_offline_is_wrong(checkout: Checkout) -> None:
    """An address is well."""
    proxied = 'proxy: "http://10.1.1.1:3128"'
    checkout.configured(
        (f'base_url: "http://{LAB}/v1"', f'base_url: "http://lab.test/v1", {proxied}'),
        more="offline: true\n",
    )
    assert [row[:2] for row in checkout.only("proxies", 1)] == [("error", "channel lab")]
    checkout.configured(
        (f'"http://{LAB}/v1"', f'"http://{LAB}/v1", {proxied}'), more="offline: true\n"
    )
    assert checkout.only("proxies") == []


@pytest.fixture
def free(tmp_path: Path) -> Checkout:
    """One that may dial; ``near`` is not there."""
    made = Checkout.made(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    made.configured(("127.0.0.1:8000", f"127.0.0.1:{port}"))
    return made


@contextmanager
def listening(answer: bytes = b"") -> Iterator[tuple[int, list[bytes]]]:
    """A server that takes whoever comes, hears what they say first, and answers; its port."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(answer)
                    heard.append(connection.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def connected(free: Checkout, code: int) -> dict[str, str]:
    result = free.run("--format", "json", "--only", "connect", "--connect")
    assert result.exit_code == code, result.output
    return {row["subject"]: row["message"] for row in json.loads(result.output)["findings"]}


def lab(free: Checkout, url: str, more: str = "") -> None:
    text = free.config.read_text().replace('"http://10.0.0.5:8000/v1"', f'"{url}"{more}')
    free.config.write_text(text)


def test_each_host_is_connected_to_and_asked_nothing(free: Checkout) -> None:
    """Only when that is asked for; who is not there is said with the reason."""
    with listening() as (port, heard):
        lab(free, f"http://127.0.0.1:{port}")
        assert free.only("connect") == []
        assert heard == []
        told = connected(free, 1)
    assert heard == [b""]
    assert told.pop("egress") == f"reached: 127.0.0.1:{port}"
    assert list(told) == ["channel near"]
    assert "the connection could not be made (Connection refused)" in told["channel near"]


def test_a_channel_that_policy_denies_is_not_connected_to(free: Checkout) -> None:
    """Nor one without its key."""
    with listening() as (port, heard):
        text = free.config.read_text().replace(
            '"https://vendor.test/v1", api_key: "${NO_KEY}"',
            f'"http://127.0.0.1:{port}/v1", api_key: "${{PATH}}", allow_private: true',
        )
        free.config.write_text(text.replace("http://10.0.0.5:8000", f"http://127.0.0.1:{port}"))
        free.ruled("version: 1\nrules: [{id: ours, match: {vendor: [self]}, verdict: deny}]\n")
        assert connected(free, 0) == {}
    assert heard == []


def test_a_certificate_is_looked_at(free: Checkout) -> None:
    """By the trust that the channel has; a peer that speaks no TLS is said to."""
    authority = trustme.CA()
    ca = free.folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with VendorSimulator(tls=server_context(authority)) as vendor:
        url = f"https://localhost:{vendor.port}"
        lab(free, url)
        assert "is not trusted" in connected(free, 1)["channel lab"]
        text = free.config.read_text()
        free.config.write_text(text.replace(f'"{url}"', f'"{url}", tls: {{ca: ca.pem}}'))
        assert "for another name" in connected(free, 1)["channel lab"]
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, _):
        free.config.write_text(text.replace(f'"{url}"', f'"https://127.0.0.1:{port}"'))
        assert "does not speak TLS" in connected(free, 1)["channel lab"]
