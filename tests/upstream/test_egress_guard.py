"""The egress guard: policy before DNS, DNS before a socket."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from gateway.domain.events import FailureKind
from gateway.upstream.channel import Channel
from gateway.upstream.guard import EgressGuard, EgressRefused
from gateway.upstream.pool import Pool
from tests.simulators.vendor import VendorSimulator
from tests.upstream import channels

if TYPE_CHECKING:
    from tests.upstream.conftest import Bench, MakeBench


def channel(host: str, *, locality: str = "cloud", allow_private: bool = False) -> Channel:
    url = f"https://{host}/v1"
    return channels.channel(url, locality=locality, allow_private=allow_private)


def guard(*addresses: str, offline: bool = False) -> EgressGuard:
    async def resolve(name: str, port: int) -> list[str]:
        return list(addresses)

    return EgressGuard(resolve, offline=offline)


def always() -> bool:
    return True


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
        await EgressGuard(resolve).check(channel("vendor.test"), lambda: bool(allowed))


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
        # The other ends of each private range, and what is reserved.
        *("127.255.255.254", "172.16.0.1", "172.31.255.254", "100.127.255.254", "192.0.0.1"),
        *("198.18.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.7", "240.0.0.1"),
        *("fc00::1", "fdff::1", "100::1", "2001:db8::1", "2001:10::1"),
        # NAT64 for one's own network is no way out, whatever it carries.
        *("64:ff9b:1::808:808", "64:ff9b:1:a00:0:500::"),
        # Teredo, ISATAP and 6to4 around private addresses.
        *("2001:0:808:808::f5ff:fffa", "2606:4700::5efe:a00:5", "2606:4700::200:5efe:a00:5"),
        *("2002:7f00:1::1", "2002:c0a8:101::1"),
    ],
)
async def test_private_addresses_of_a_cloud_name(address: str) -> None:
    """Every way to write an inner address is refused, unless the channel may be private."""
    with pytest.raises(EgressRefused, match="allow_private"):
        await guard(address).check(channel("vendor.test"), always)
    assert await guard(address).check(channel("vendor.test", allow_private=True), always)
    assert await guard(address).check(channel("lab.test", locality="sovereign"), always)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "0.0.0.0"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
        *("::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::", "fd00:ec2::23"),
        *("fd20:ce::254", "fd00:c1::a9fe:a9fe", "168.63.129.16"),
        *("0.0.0.1", "0.255.255.255", "255.255.255.255", "224.0.0.1", "239.255.255.250"),
        *("::", "::2", "ff02::1", "febf::1", "169.254.170.2", "192.0.0.192", "fd00:42::42"),
        # Around 169.254.169.254: local NAT64 with prefixes of 48, 56 and 64 bits; Teredo, as its
        # server and as its client; ISATAP; 6to4. And mapped: other metadata, "this network".
        *("64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0"),
        *("2001:0:a9fe:a9fe::1", "2001:0:808:808::5601:5601", "2606:4700::5efe:a9fe:a9fe"),
        *("2002:a9fe:a9fe::5", "::ffff:168.63.129.16", "::ffff:0.0.0.0", "::ffff:224.0.0.1"),
    ],
)
async def test_metadata_is_never_dialled(address: str) -> None:
    """Neither a name nor a written-out address leads to link-local or metadata, whoever says so."""
    with pytest.raises(EgressRefused):
        await guard(address).check(
            channel("lab.test", locality="sovereign", allow_private=True), always
        )
    written = f"[{address}]" if ":" in address else address
    with pytest.raises(EgressRefused):
        await guard().check(channel(written, locality="sovereign", allow_private=True), always)


async def test_a_written_out_address_is_the_operators_word() -> None:
    """A literal private address of a cloud channel is dialled, and not looked up."""
    assert await guard().check(channel("10.0.0.5"), always) == [("10.0.0.5", 443)]


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
async def test_public_addresses_of_a_cloud_name(address: str) -> None:
    """What a vendor's name usually resolves to is dialled."""
    assert len(await guard(address).check(channel("vendor.test"), always)) == 1


async def test_only_the_addresses_that_may_be_dialled_are_left() -> None:
    """An inner address among public ones is left out."""
    answer = ("10.0.0.5", "8.8.8.8", "169.254.169.254", "::1", "8.8.8.8", "1.1.1.1")
    checked = await guard(*answer).check(channel("vendor.test"), always)
    assert checked == [("8.8.8.8", 443), ("1.1.1.1", 443)]


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        # Spellings that a C library takes for an address although they are none by the letter.
        *[("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1")],
        *[("127.1", "127.0.0.1"), ("0x7f.0.0.1", "127.0.0.1"), ("10.5", "10.0.0.5")],
        # The same in digits that IDNA makes plain, and the machine's own name.
        *[("１２７.0.0.1", "127.0.0.1"), ("①②⑦。0。0。1", "127.0.0.1"), ("localhost", "127.0.0.1")],
    ],
)
async def test_another_spelling_is_what_the_system_makes_of_it(host: str, reached: str) -> None:
    """By the system's own resolver: a cloud channel is refused, ``allow_private`` leads there."""
    real = EgressGuard()
    with pytest.raises(EgressRefused, match="allow_private"):
        await real.check(channel(host), always)
    allowed = await real.check(channel(host, allow_private=True), always)
    assert (reached, 443) in allowed


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "0"])
async def test_another_spelling_of_what_is_never_dialled(host: str) -> None:
    """169.254.169.254 and 0.0.0.0, by the system's own resolver, whoever says so."""
    with pytest.raises(EgressRefused, match="metadata"):
        await EgressGuard().check(channel(host, locality="sovereign"), always)


@pytest.mark.parametrize("host", ["localhost.", "api.localhost", "metadata.google.internal"])
async def test_names_are_judged_by_what_they_resolve_to(host: str) -> None:
    """A dot at the end and a telling name change nothing: an inner address is refused."""
    inner = "169.254.169.254" if host.startswith("metadata") else "127.0.0.1"
    with pytest.raises(EgressRefused, match="resolves"):
        await guard(inner).check(channel(host), always)


async def test_a_zone_changes_nothing() -> None:
    """Link-local stays link-local with a zone, in a name's answer and written out."""
    with pytest.raises(EgressRefused):
        await guard("fe80::1%lo").check(channel("lab.test", locality="sovereign"), always)
    with pytest.raises(EgressRefused):
        await guard().check(channel("[fe80::1%25lo]", locality="sovereign"), always)


def test_a_name_in_look_alike_letters_is_another_name() -> None:
    """A Cyrillic letter does not become the Latin one: what is asked for is its own ASCII name."""
    assert channel("\u0430pi.openai.com").host == "xn--pi-6kc.openai.com"
    assert channel("ａpi.openai.com").host == "api.openai.com"


async def test_what_was_checked_is_what_is_dialled(make_bench: MakeBench) -> None:
    """A name that leads elsewhere when it is asked again is asked once for a connection, and every
    address of one answer was checked: the inner one among them is not dialled when the others fail.
    """
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def rebinding(name: str, port: int) -> list[str]:
        return next(answers)

    bench = make_bench(host="vendor.test", allow_private=True, resolve=rebinding)
    assert "vendor answer" in await bench.text()
    assert bench.looked_up == ["vendor.test"]
    # The next connection asks anew, and is judged by the new answer.
    bench.vendor.drop_connections()
    assert await bench.kind() is FailureKind.EGRESS_REFUSED
    assert (len(bench.vendor.connections), len(bench.looked_up)) == (1, 2)


async def test_policy_is_asked_again_before_the_next_address(
    vendor: VendorSimulator, tls: ssl.SSLContext
) -> None:
    """A ban that comes while the first address of a name is tried keeps the second from it."""
    answers = iter([True, True, True, False])
    pool = Pool(guard("127.0.0.2", "127.0.0.1"), tls)
    there = channels.channel(f"http://vendor.test:{vendor.port}/v1", allow_private=True)
    with pytest.raises(EgressRefused, match="policy"):
        await pool.take(there, lambda: next(answers), 1)
    assert vendor.connections == []


async def test_a_ban_ends_the_handshake_with_a_vendor(tls: ssl.SSLContext) -> None:
    """A connection that is being made when its channel is swept is given up at once."""
    allowed = {"vendor"}
    pool = Pool(guard(), tls)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(5)
        there = channels.channel(f"https://127.0.0.1:{silent.getsockname()[1]}/v1", connect=20)
        taking = asyncio.create_task(pool.take(there, lambda: bool(allowed), 20))
        peer, _ = await asyncio.to_thread(silent.accept)
        with peer:
            assert await asyncio.to_thread(peer.recv, 1)
            allowed.clear()
            pool.sweep("vendor")
            async with asyncio.timeout(10):
                with pytest.raises(EgressRefused, match="policy"):
                    await taking


async def test_offline_leaves_what_is_sovereign(make_bench: MakeBench) -> None:
    """A cloud channel is refused without a look-up, its address written out or not."""
    for host in ("vendor.test", "127.0.0.1"):
        bench = make_bench(host=host, allow_private=True, offline=True)
        failure = await bench.failure()
        assert failure.kind is FailureKind.EGRESS_REFUSED
        assert failure.message == "offline: true forbids channel vendor, which is cloud"
        assert (bench.looked_up, bench.vendor.connections) == ([], [])


async def test_offline_a_sovereign_name_may_not_lead_out() -> None:
    """A name is answered by others; an address that is written out is the operator's word."""
    lab = channel("lab.test", locality="sovereign")
    assert await guard("10.0.0.5", offline=True).check(lab, always) == [("10.0.0.5", 443)]
    assert await guard("8.8.8.8", "fd00::1", offline=True).check(lab, always) == [("fd00::1", 443)]
    with pytest.raises(EgressRefused, match="write it out"):
        await guard("8.8.8.8", offline=True).check(lab, always)
    written = channel("8.8.8.8", locality="sovereign")
    assert await guard(offline=True).check(written, always) == [("8.8.8.8", 443)]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 307, 308])
@pytest.mark.parametrize("stream", [False, True])
async def test_redirects_are_not_followed(bench: Bench, status: int, stream: bool) -> None:
    """Wherever they lead, and with every status that could lead there."""
    with VendorSimulator() as elsewhere:
        head = f"HTTP/1.1 {status} X\r\nLocation: {elsewhere.url}/chat/completions\r\n"
        bench.vendor.behave("raw", data=f"{head}Content-Length: 0\r\n\r\n".encode())
        failure = await bench.failure(stream=stream)
    assert (failure.kind, failure.status) == (FailureKind.MALFORMED, status)
    assert failure.message == "the vendor redirects: never followed"
    assert (len(bench.vendor.requests), elsewhere.connections) == (1, [])


async def test_proxy_variables_are_ignored(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor is dialled itself, whatever the environment says."""
    with VendorSimulator() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        assert "vendor answer" in await make_bench().text()
        assert proxy.connections == []


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
