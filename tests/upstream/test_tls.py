"""TLS to a vendor: checked against the CA, the name and the clock, with a server that is real."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.domain.events import FailureKind
from tests.simulators.vendor import VendorSimulator

if TYPE_CHECKING:
    from tests.upstream.conftest import MakeBench

CERTIFICATES = Path(__file__).parent / "certificates"


@contextmanager
def secure(certificate: str) -> Iterator[tuple[VendorSimulator, list[str | None]]]:
    """A vendor with this certificate, and the server names that it was asked for."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / certificate)
    # typeshed wants the type of the socket too; a name that is recorded is all that matters here.
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with VendorSimulator(tls=context) as vendor:
        yield vendor, names


@pytest.fixture
def ours() -> ssl.SSLContext:
    """What an operator's CA bundle makes."""
    return ssl.create_default_context(cafile=CERTIFICATES / "ca.pem")


async def test_a_good_certificate_with_the_operators_ca(
    make_bench: MakeBench, ours: ssl.SSLContext
) -> None:
    """The handshake names the vendor, answers and streams arrive, and the connection is kept."""
    with secure("good.pem") as (vendor, names):
        bench = make_bench(
            host="vendor.test", scheme="https", port=vendor.port, allow_private=True, tls=ours
        )
        assert "vendor answer" in await bench.text()
        assert "vendor" in await bench.text(stream=True)
        assert names == ["vendor.test"]
        assert len(vendor.connections) == 1


@pytest.mark.parametrize(
    ("certificate", "host"), [("good.pem", "other.test"), ("expired.pem", "vendor.test")]
)
async def test_a_certificate_that_does_not_hold(
    make_bench: MakeBench, ours: ssl.SSLContext, certificate: str, host: str
) -> None:
    """Another name and a passed date are TLS failures, and no request is sent."""
    with secure(certificate) as (vendor, _):
        bench = make_bench(
            host=host, scheme="https", port=vendor.port, allow_private=True, tls=ours
        )
        assert await bench.kind() is FailureKind.TLS
        assert vendor.requests == []


async def test_an_unknown_ca(make_bench: MakeBench) -> None:
    """Without the operator's bundle the system's trust store decides, and it does not know us."""
    with secure("good.pem") as (vendor, _):
        bench = make_bench(host="vendor.test", scheme="https", port=vendor.port, allow_private=True)
        assert await bench.kind() is FailureKind.TLS
        assert vendor.requests == []
