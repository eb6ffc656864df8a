"""The egress guard: policy before DNS, DNS before a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.domain.events import FailureKind
from gateway.upstream.channel import Channel
from gateway.upstream.guard import EgressGuard, EgressRefused
from tests.upstream import channels

if TYPE_CHECKING:
    from tests.upstream.conftest import MakeBench


def channel(host: str, *, locality: str = "cloud", allow_private: bool = False) -> Channel:
    url = f"https://{host}/v1"
    return channels.channel(url, locality=locality, allow_private=allow_private)


def guard(*addresses: str) -> EgressGuard:
    async def resolve(name: str, port: int) -> list[str]:
        return list(addresses)

    return EgressGuard(lambda name: True, resolve)


async def test_policy_is_asked_before_dns_and_before_a_socket(make_bench: MakeBench) -> None:
    """A denied channel's name is not looked up and nothing reaches the vendor."""
    bench = make_bench(host="vendor.test", allow_private=True)
    bench.denied.add("vendor")
    assert await bench.kind() is FailureKind.EGRESS_REFUSED
    assert bench.looked_up == []
    assert bench.vendor.connections == []


async def test_a_ban_during_dns_still_counts() -> None:
    """Policy that changes while the name resolves is obeyed."""
    allowed = {"vendor"}

    async def resolve(name: str, port: int) -> list[str]:
        allowed.clear()
        return ["8.8.8.8"]

    with pytest.raises(EgressRefused, match="policy"):
        await EgressGuard(allowed.__contains__, resolve).check(channel("vendor.test"))


async def test_a_cloud_name_at_home_is_refused_without_a_connection(
    make_bench: MakeBench,
) -> None:
    """A cloud channel's name that resolves to loopback never reaches the port."""
    bench = make_bench(host="vendor.test")
    assert await bench.kind() is FailureKind.EGRESS_REFUSED
    assert bench.looked_up == ["vendor.test"]
    assert bench.vendor.connections == []


async def test_allow_private_lets_a_name_lead_home(make_bench: MakeBench) -> None:
    """With the operator's word the same name is dialled."""
    assert "vendor answer" in await make_bench(host="vendor.test", allow_private=True).text()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.5", "192.168.1.1", "100.64.0.1", "::1", "fd00::1"),
        *("::ffff:10.0.0.5", "64:ff9b::a00:5", "2002:a00:5::"),
        *("::10.0.0.5", "::ffff:0:a00:5", "64:ff9b:1::a00:5", "fec0::1", "4000::1"),
    ],
)
async def test_private_addresses_of_a_cloud_name(address: str) -> None:
    """Every way to write an inner address is refused, unless the channel may be private."""
    with pytest.raises(EgressRefused, match="allow_private"):
        await guard(address).check(channel("vendor.test"))
    assert await guard(address).check(channel("vendor.test", allow_private=True))
    assert await guard(address).check(channel("lab.test", locality="sovereign"))


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "0.0.0.0"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
        *("::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::", "fd00:ec2::23"),
        *("fd20:ce::254", "fd00:c1::a9fe:a9fe", "168.63.129.16"),
    ],
)
async def test_metadata_is_never_dialled(address: str) -> None:
    """Neither a name nor a written-out address leads to link-local or metadata, whoever says so."""
    with pytest.raises(EgressRefused):
        await guard(address).check(channel("lab.test", locality="sovereign", allow_private=True))
    written = f"[{address}]" if ":" in address else address
    with pytest.raises(EgressRefused):
        await guard().check(channel(written, locality="sovereign", allow_private=True))


async def test_a_written_out_address_is_the_operators_word() -> None:
    """A literal private address of a cloud channel is dialled, and not looked up."""
    assert await guard().check(channel("10.0.0.5")) == [("10.0.0.5", 443)]


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
async def test_public_addresses_of_a_cloud_name(address: str) -> None:
    """What a vendor's name usually resolves to is dialled."""
    assert len(await guard(address).check(channel("vendor.test"))) == 1


async def test_only_the_addresses_that_may_be_dialled_are_left() -> None:
    """An inner address among public ones is left out."""
    checked = await guard("10.0.0.5", "8.8.8.8").check(channel("vendor.test"))
    assert checked == [("8.8.8.8", 443)]


@pytest.mark.parametrize(
    "url", ["ftp://x/v1", "https:///v1", "https://u:p@x/v1", "https://x/v1?k=1", "https://x/a b"]
)
def test_what_is_no_base_url(url: str) -> None:
    """Other schemes, users, queries and spaces are refused when the channel is made."""
    with pytest.raises(ValueError, match="base_url"):
        channels.channel(url)


def test_a_key_cannot_smuggle_a_header() -> None:
    """A key with a line's end is refused, and the refusal does not show it."""
    with pytest.raises(ValueError, match="Authorization") as caught:
        channels.channel("https://x.test/v1", api_key="sk-secret\r\nX: y")
    assert "sk-secret" not in str(caught.value)
