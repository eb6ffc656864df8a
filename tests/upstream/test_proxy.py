"""Channels behind a real proxy: what it is asked, what it may answer, what it never sees."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager

import pytest
import trustme
import uvloop

from gateway.domain.events import Failed, FailureKind
from gateway.upstream.framing import MOST_HEAD
from gateway.upstream.guard import EgressGuard
from gateway.upstream.proxy import Proxy
from gateway.upstream.relay import RelayBackend
from gateway.upstream.tls import system_trust
from tests.simulators.proxy import ESTABLISHED, ProxySimulator
from tests.simulators.vendor import VendorSimulator
from tests.upstream import channels
from tests.upstream.conftest import NoDeepSeek
from tests.upstream.raw_peer import Relay

AUTHORITY = trustme.CA()
TOO_EARLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def server_side() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("vendor.test", "proxy.test").configure_cert(context)
    return context


def client_side() -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.fixture(params=[False, True], ids=["plain vendor", "vendor with TLS"])
def vendor(request: pytest.FixtureRequest) -> Iterator[VendorSimulator]:
    with VendorSimulator(tls=server_side() if request.param else None) as simulator:
        yield simulator


@pytest.fixture(params=[False, True], ids=["plain proxy", "proxy with TLS"])
def proxy(request: pytest.FixtureRequest, vendor: VendorSimulator) -> Iterator[ProxySimulator]:
    with ProxySimulator(vendor.port, server_side() if request.param else None) as simulator:
        yield simulator


looked_up: list[str] = []


@asynccontextmanager
async def behind(
    proxy: ProxySimulator,
    vendor: VendorSimulator,
    *,
    credentials: str | None = None,
    at: str = "127.0.0.1",
    host: str = "vendor.test",
    denied: Collection[str] = (),
    proxy_trust: ssl.SSLContext | None = None,
) -> AsyncIterator[Relay]:
    """A relay to the vendor by its name, which only the proxy can resolve."""
    looked_up.clear()

    async def resolve(name: str, port: int) -> list[str]:
        looked_up.append(name)
        return [at]

    scheme = "https" if vendor.url.startswith("https") else "http"
    trust = (proxy_trust or client_side()) if proxy.tls else None
    channel = channels.channel(
        f"{scheme}://{host}:4321/v1",
        api_key="sk-planted",
        locality="sovereign",
        wait=5,
        trust=client_side() if scheme == "https" else None,
        proxy=Proxy("proxy.test", proxy.port, trust, credentials),
    )
    backend = RelayBackend({"vendor": channel}, EgressGuard(resolve), NoDeepSeek(denied))
    try:
        yield Relay(backend)
    finally:
        await backend.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_requests_go_through_the_tunnel(
    proxy: ProxySimulator, vendor: VendorSimulator, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """One tunnel for many of them, asked for by name; the proxy alone is looked up, and sees no
    key of the vendor's.
    """

    async def three() -> None:
        async with behind(proxy, vendor, credentials="user:pass word") as relay:
            for _ in range(3):
                assert "vendor answer" in str(await relay.ask())
            assert "vendor answer" in str(await relay.ask("x" * 3_000_000))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(three())
    assert looked_up == ["proxy.test"]
    [tunnel] = proxy.tunnels
    assert tunnel.authority == "vendor.test:4321"
    assert tunnel.headers["host"] == "vendor.test:4321"
    scheme, _, encoded = tunnel.headers["proxy-authorization"].partition(" ")
    assert (scheme, base64.b64decode(encoded)) == ("Basic", b"user:pass word")
    assert "authorization" not in tunnel.headers
    assert [seen.connection for seen in vendor.requests] == [0, 0, 0, 0]
    assert all("proxy-authorization" not in seen.headers for seen in vendor.requests)


ANSWERS = [
    (b"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\n\r\n", "does not accept its credentials", 0),
    (b"HTTP/1.1 403 Forbidden\r\n\r\n", "it answered 403", 0),
    (b"HTTP/1.1 502 X\r\nContent-Length: 5\r\n\r\nsorry", "it answered 502", 0),
    (b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1/\r\n\r\n", "it answered 302", 0),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + ESTABLISHED, "it answered 100", 0),
    (TOO_EARLY, "more than its answer", 1),
    (ESTABLISHED + b"\r\n", "more than its answer", 1),
    (b"SSH-2.0-x\r\n", "not HTTP", 1),
    (b"\r\n" + ESTABLISHED, "not HTTP", 1),
    (b"HTTP/1.1 2000 X\r\n\r\n", "not HTTP", 1),
    (b"HTTP/1.1 200 X\r\nA : b\r\n\r\n", "not HTTP", 1),
    (b"HTTP/1.1 200 X\r\n folded\r\n\r\n", "not HTTP", 1),
    (b"HTTP/1.1 200 X\r\nA: " + b"b" * MOST_HEAD + b"\r\n\r\n", "too long", 1),
    (b"", "closed the connection", 0),
    (b"HTTP/1.1 20", "closed the connection", 0),
]


@pytest.mark.parametrize("vendor", [False], indirect=True)
@pytest.mark.parametrize(("answer", "message", "malformed"), ANSWERS)
async def test_what_the_proxy_may_not_answer(
    proxy: ProxySimulator, vendor: VendorSimulator, answer: bytes, message: str, malformed: int
) -> None:
    """Nothing is sent to the vendor, and the message says that it was the proxy."""
    proxy.answer = answer
    async with behind(proxy, vendor) as relay:
        failed = await relay.ask()
    assert isinstance(failed, Failed)
    assert failed.kind is (FailureKind.MALFORMED if malformed else FailureKind.REFUSED)
    assert "proxy" in failed.message
    assert message in failed.message
    assert "proxy.test" not in failed.message
    assert vendor.requests == []


@pytest.mark.parametrize("vendor", [False], indirect=True)
@pytest.mark.parametrize("proxy", [False], indirect=True)
@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "100.100.100.200", "0.0.0.0"])
async def test_a_proxy_is_never_at_an_address_that_nobody_is_dialled_at(
    proxy: ProxySimulator, vendor: VendorSimulator, address: str
) -> None:
    """The guard's last word holds for what the operator wrote, too."""
    async with behind(proxy, vendor, at=address) as relay:
        failed = await relay.ask()
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.EGRESS_REFUSED
    assert proxy.connections == 0


@pytest.mark.parametrize("vendor", [False], indirect=True)
@pytest.mark.parametrize("proxy", [False], indirect=True)
async def test_no_way_leads_through_a_proxy_to_where_nobody_is_dialled(
    proxy: ProxySimulator, vendor: VendorSimulator
) -> None:
    """A vendor's address that is written out is looked at, although the proxy would dial it."""
    async with behind(proxy, vendor, host="169.254.169.254") as relay:
        failed = await relay.ask()
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.EGRESS_REFUSED
    assert proxy.connections == 0


@pytest.mark.parametrize("vendor", [False], indirect=True)
@pytest.mark.parametrize("proxy", [False], indirect=True)
async def test_a_denied_channel_does_not_reach_its_proxy(
    proxy: ProxySimulator, vendor: VendorSimulator
) -> None:
    """Not even its name is looked up."""
    async with behind(proxy, vendor, denied={"vendor"}) as relay:
        failed = await relay.ask()
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.EGRESS_REFUSED
    assert (proxy.connections, looked_up) == (0, [])


@pytest.mark.parametrize("vendor", [False], indirect=True)
async def test_a_proxy_that_is_not_there(vendor: VendorSimulator) -> None:
    """It is told apart from a vendor that is not there."""
    with ProxySimulator(vendor.port) as gone:
        pass
    async with behind(gone, vendor) as relay:
        failed = await relay.ask()
    assert isinstance(failed, Failed)
    assert (failed.kind, "proxy" in failed.message) == (FailureKind.REFUSED, True)


@pytest.mark.parametrize("vendor", [False], indirect=True)
async def test_a_proxy_whose_certificate_is_not_trusted(vendor: VendorSimulator) -> None:
    """It is not told the vendor's name."""
    with ProxySimulator(vendor.port, server_side()) as proxy:
        async with behind(proxy, vendor, proxy_trust=system_trust()) as relay:
            failed = await relay.ask()
        assert proxy.tunnels == []
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.TLS
    assert failed.message == "TLS with the proxy failed: the certificate's issuer is not trusted"


async def test_the_environments_proxy_is_ignored(
    proxy: ProxySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the configuration names is on the way."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy.url)
    with VendorSimulator() as direct:
        channel = channels.channel(direct.url)
        backend = RelayBackend({"vendor": channel}, EgressGuard(), NoDeepSeek())
        assert "vendor answer" in str(await Relay(backend).ask())
        await backend.close()
    assert proxy.connections == 0


def test_a_proxy_does_not_show_its_credentials() -> None:
    """Nor does a URL without a port pass, or credentials without a colon."""
    trust = system_trust()
    assert "secret" not in repr(Proxy.parse("http://proxy.test:8080", "user:secret", trust))
    for url, credentials in (("http://proxy.test", None), ("http://proxy.test:1", "user")):
        with pytest.raises(ValueError):
            Proxy.parse(url, credentials, trust)
