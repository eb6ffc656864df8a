"""TLS to a vendor: checked against the CA, the name and the clock, with a server that is real."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.config.tls import TlsSection
from gateway.domain.events import Failed, FailureKind
from gateway.upstream.guard import EgressGuard
from gateway.upstream.relay import RelayBackend
from tests.simulators.vendor import VendorSimulator
from tests.upstream import channels
from tests.upstream.conftest import NoDeepSeek
from tests.upstream.raw_peer import RawPeer, Relay, raw_peer, read_request

if TYPE_CHECKING:
    from tests.upstream.conftest import MakeBench

PASSED = datetime(2020, 1, 1, tzinfo=UTC)
LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that lives as long as these tests."""
    return trustme.CA()


@contextmanager
def secure(
    authority: trustme.CA, *, expired: bool = False
) -> Iterator[tuple[VendorSimulator, list[str | None]]]:
    """A vendor called vendor.test, and the server names that it was asked for."""
    names: list[str | None] = []
    context = server_context(authority, expired=expired)
    # typeshed wants the type of the socket too; a name that is recorded is all that matters here.
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with VendorSimulator(tls=context) as vendor:
        yield vendor, names


def server_context(authority: trustme.CA, *, expired: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = PASSED if expired else None
    since = PASSED - timedelta(days=30) if expired else None
    issued = authority.issue_cert("vendor.test", not_before=since, not_after=until)
    issued.configure_cert(context)
    return context


@contextmanager
def alerting(context: ssl.SSLContext) -> Iterator[int]:
    """A server whose handshakes fail with an alert, as those of asyncio do not; its port. It gives
    one answer a connection.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    answer = b'{"model":"m","choices":[{"message":{"content":"vendor answer"}}]}'

    def serve() -> None:
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            with context.wrap_socket(
                raw, server_side=True, do_handshake_on_connect=False
            ) as secured:
                try:
                    secured.do_handshake()
                    request = b""
                    while not request.endswith(b"}]}"):
                        request += secured.recv(1 << 16)
                    secured.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 65\r\n\r\n" + answer)
                except OSError:
                    drain(socket.socket(fileno=secured.detach()))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def drain(peer: socket.socket) -> None:
    """Close a connection so that what was sent last arrives: unread bytes would make it a reset."""
    with peer, suppress(OSError):
        peer.settimeout(2)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(1 << 16):
            pass


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server whose certificate for vendor.test is its own issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vendor.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("vendor.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "self.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


@pytest.fixture
def ours(ca: Path) -> ssl.SSLContext:
    """What an operator's CA bundle makes."""
    return TlsSection(ca=ca).context()


@asynccontextmanager
async def relay(
    port: int, trust: ssl.SSLContext | None, host: str = "vendor.test"
) -> AsyncIterator[Relay]:
    """A relay to ``host``, which is this machine, with the channel's own trust."""

    async def here(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    channel = channels.channel(
        f"https://{host}:{port}/v1", locality="sovereign", trust=trust, wait=10
    )
    backend = RelayBackend({"vendor": channel}, EgressGuard(here), NoDeepSeek())
    try:
        yield Relay(backend)
    finally:
        await backend.close()


async def why(port: int, trust: ssl.SSLContext | None, host: str = "vendor.test") -> str:
    """Why TLS fails. It holds no name of a host."""
    async with relay(port, trust, host) as asked:
        failed = await asked.ask()
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.TLS, failed
    assert host not in failed.message
    return failed.message.removeprefix("TLS with the vendor failed: ")


async def test_a_good_certificate_with_the_operators_ca(
    make_bench: MakeBench, ours: ssl.SSLContext, authority: trustme.CA
) -> None:
    """The handshake names the vendor, answers and streams arrive, and the connection is kept."""
    with secure(authority) as (vendor, names):
        bench = make_bench(
            host="vendor.test", scheme="https", port=vendor.port, allow_private=True, tls=ours
        )
        assert "vendor answer" in await bench.text()
        assert "vendor" in await bench.text(stream=True)
        assert names == ["vendor.test"]
        assert len(vendor.connections) == 1


async def test_a_private_ca_counts_for_its_channel_only(
    ours: ssl.SSLContext, authority: trustme.CA
) -> None:
    """What one channel trusts, another does not; nor does it trust what the system does."""
    with secure(authority) as (vendor, _):
        async with relay(vendor.port, ours) as asked:
            assert "vendor answer" in str(await asked.ask())
        assert await why(vendor.port, None) == "the certificate's issuer is not trusted"
        assert len(vendor.requests) == 1
    only = ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode())
    assert ours.get_ca_certs(binary_form=True) == [only]


async def test_failures_are_told_apart(
    ours: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    """No request is sent to any of them."""
    with secure(authority) as (vendor, _):
        other = await why(vendor.port, ours, "other.test")
        assert other == "the certificate is for another name"
        address = await why(vendor.port, ours, "127.0.0.1")
        assert address == "the certificate is for another name"
        unknown = TlsSection(ca=written(tmp_path, trustme.CA())).context()
        assert await why(vendor.port, unknown) == "the certificate's issuer is not trusted"
        assert vendor.requests == []
    with secure(authority, expired=True) as (vendor, _):
        assert await why(vendor.port, ours) == "the certificate has expired"
        assert vendor.requests == []
    with VendorSimulator(tls=self_signed(tmp_path)) as vendor:
        assert await why(vendor.port, ours) == "the certificate is self-signed"
        assert vendor.requests == []
    async with raw_peer(RawPeer(script=plainly)) as peer:
        assert await why(peer.port, ours) == "the peer does not speak TLS"


async def plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    await reader.read(1)


def written(folder: Path, authority: trustme.CA) -> Path:
    file = folder / "other-ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


async def test_an_old_version_of_tls(ours: ssl.SSLContext, authority: trustme.CA) -> None:
    """1.1 is not spoken, whatever the server would like."""
    context = server_context(authority)
    with pytest.warns(DeprecationWarning, match="TLSv1"):  # noqa: PT031 - each line warns
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with alerting(context) as port:
        assert "1.2 or newer" in await why(port, ours)


@LOOPS
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate(
    authority: trustme.CA, ca: Path, tmp_path: Path, version: ssl.TLSVersion, loop: Loop
) -> None:
    """A server that demands one is answered where it is configured. With TLS 1.3 its refusal comes
    after the handshake.
    """
    clients, strangers = trustme.CA(), trustme.CA()
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    clients.configure_trust(context)
    shown = TlsSection(ca=ca, **pair(tmp_path, "client", clients))
    strange = TlsSection(ca=ca, **pair(tmp_path, "stranger", strangers))

    async def all_three() -> None:
        with alerting(context) as port:
            async with relay(port, shown.context()) as asked:
                assert "vendor answer" in str(await asked.ask())
            assert "client certificate" in await why(port, TlsSection(ca=ca).context())
            assert "client certificate" in await why(port, strange.context())

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(all_three())


@LOOPS
def test_a_request_in_pieces_goes_out_as_one(
    authority: trustme.CA, ours: ssl.SSLContext, loop: Loop
) -> None:
    said = b'{"choices":[{"message":{"content":"vendor answer"}}]}'
    peer = RawPeer(answer=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))
    text = "0123456789" * 30_000

    async def both() -> None:
        async with raw_peer(peer, server_context(authority)), relay(peer.port, ours) as asked:
            for alone in (True, False):
                assert "vendor answer" in str(await asked.ask(text, alone=alone))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(both())
    assert len(peer.requests) == 2
    assert len({request for _, request in peer.requests}) == 1


def pair(folder: Path, name: str, authority: trustme.CA) -> dict[str, Path]:
    """The files of a certificate and its key."""
    issued = authority.issue_cert(f"{name}.test")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    return {"certificate": certificate, "key": key}


@LOOPS
@pytest.mark.parametrize("closed", [True, False])
def test_a_body_to_the_close_ends_by_the_peers_word_only(
    authority: trustme.CA, ours: ssl.SSLContext, closed: bool, loop: Loop
) -> None:
    """Below TLS, a FIN can be forged: a body that has no other end is cut off by it, not ended."""
    answer = b'HTTP/1.1 200 X\r\n\r\n{"model":"m","choices":[{"message":{"content":"whole"}}]}'

    async def ending(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()
        if not closed:
            await asyncio.sleep(0.05)
            # The FIN alone, from below TLS.
            below = socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))
            below.shutdown(socket.SHUT_WR)
            below.close()
            await asyncio.sleep(0.2)

    async def ask() -> Failed | str:
        peer = RawPeer(script=ending)
        async with raw_peer(peer, server_context(authority)), relay(peer.port, ours) as asked:
            return await asked.ask()

    with asyncio.Runner(loop_factory=loop) as runner:
        came = runner.run(ask())
    if closed:
        assert "whole" in str(came)
    else:
        assert isinstance(came, Failed)
        assert came.kind is FailureKind.TRUNCATED
