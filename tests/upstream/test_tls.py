"""TLS to a vendor: checked against the CA, the name and the clock, with a server that is real."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme

from gateway.domain.events import FailureKind
from tests.simulators.vendor import VendorSimulator

if TYPE_CHECKING:
    from tests.upstream.conftest import MakeBench

PASSED = datetime(2020, 1, 1, tzinfo=UTC)


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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = PASSED if expired else None
    since = PASSED - timedelta(days=30) if expired else None
    issued = authority.issue_cert("vendor.test", not_before=since, not_after=until)
    issued.configure_cert(context)
    # typeshed wants the type of the socket too; a name that is recorded is all that matters here.
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with VendorSimulator(tls=context) as vendor:
        yield vendor, names


@pytest.fixture
def ours(authority: trustme.CA) -> ssl.SSLContext:
    """What an operator's CA bundle makes."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


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


@pytest.mark.parametrize(("expired", "host"), [(False, "other.test"), (True, "vendor.test")])
async def test_a_certificate_that_does_not_hold(
    make_bench: MakeBench,
    ours: ssl.SSLContext,
    authority: trustme.CA,
    expired: bool,
    host: str,
) -> None:
    """Another name and a passed date are TLS failures, and no request is sent."""
    with secure(authority, expired=expired) as (vendor, _):
        bench = make_bench(
            host=host, scheme="https", port=vendor.port, allow_private=True, tls=ours
        )
        assert await bench.kind() is FailureKind.TLS
        assert vendor.requests == []


async def test_an_unknown_ca(make_bench: MakeBench, authority: trustme.CA) -> None:
    """Without the operator's bundle the system's trust store decides, and it does not know us."""
    with secure(authority) as (vendor, _):
        bench = make_bench(host="vendor.test", scheme="https", port=vendor.port, allow_private=True)
        assert await bench.kind() is FailureKind.TLS
        assert vendor.requests == []
