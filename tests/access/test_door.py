"""The door: what a request shows and says, and who is taken for a program on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from starlette.types import Scope

from gateway.access.callers import Access
from gateway.access.keyring import Keyring
from gateway.access.keys import LABELS, make
from gateway.domain.decision import Labels
from gateway.errors import Forbidden, InvalidRequest, Unauthenticated
from gateway.http.door import MOST_KNOWN, Door, is_here
from gateway.http.head import Head
from tests.exchange.asgi import asked

Header = tuple[bytes, bytes]
NOW = datetime.now(UTC)
WRITTEN, KEY = make("shop", NOW, may_set=LABELS)
ONE = WRITTEN.encode()
PAGE = b"https://page.example"


def door(*origins: str, keys: bool = False) -> Door:
    return Door(Access(Keyring([KEY] if keys else [])), origins)


def request(
    *headers: Header, host: Iterable[bytes] = (b"localhost:8080",), peer: str | None = "127.0.0.1"
) -> Scope:
    found = asked(headers=[*((b"host", one) for one in host), *headers])
    found["headers"] = [one for one in found["headers"] if host or one[0] != b"host"]
    return {**found, "client": None if peer is None else (peer, 1)}


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer " + ONE)],
        [(b"authorization", b"bearer  " + ONE + b" ")],
        [(b"x-api-key", ONE)],
        [(b"x-api-key", ONE), (b"authorization", b"Bearer " + ONE)],
        [(b"x-api-key", b""), (b"authorization", b"Bearer " + ONE)],
        [(b"x-api-key", ONE), (b"authorization", b"Bearer ")],
    ],
)
def test_both_dialects_take_either_way(headers: list[Header]) -> None:
    assert door(keys=True).who(Head.of(request(*headers, peer="10.0.0.5")), NOW).key == KEY


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", ONE), (b"authorization", b"Bearer another")],
        [(b"x-api-key", ONE), (b"x-api-key", b"another")],
        [(b"authorization", b"Bearer another"), (b"authorization", b"Bearer " + ONE)],
        [(b"authorization", b"Basic YTpi"), (b"x-api-key", ONE)],
    ],
)
def test_two_different_keys_are_an_error(headers: list[Header]) -> None:
    """Whichever of them was meant: a proxy may have added one."""
    for keys in (True, False):
        with pytest.raises(InvalidRequest, match="two different keys") as refused:
            door(keys=keys).who(Head.of(request(*headers)), NOW)
        assert refused.value.code == "ambiguous_credentials"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_api_key"),
        ([(b"authorization", b"")], "missing_api_key"),
        ([(b"authorization", b"Bearer ")], "missing_api_key"),
        ([(b"authorization", b"Bearer")], "missing_api_key"),
        ([(b"authorization", b"Basic " + ONE)], "invalid_api_key"),
        ([(b"authorization", b"Bearer " + ONE + b"\xff")], "invalid_api_key"),
        ([(b"cookie", b"x-api-key=" + ONE)], "missing_api_key"),
    ],
)
def test_without_a_good_key_nobody_is_near_enough(headers: list[Header], code: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        door(keys=True).who(Head.of(request(*headers)), NOW)
    assert refused.value.code == code


def test_labels_by_header() -> None:
    headers = [
        (b"x-gateway-team", b"red"),
        (b"x-gateway-data-class", b"cui"),
        (b"x-gateway-tags", b"eu, night"),
        (b"x-gateway-tags", b"pilot"),
    ]
    claimed = (
        door(keys=True).who(Head.of(request((b"x-api-key", ONE), *headers)), NOW).labels.claimed
    )
    assert claimed == Labels(team="red", data_class="cui", tags=frozenset({"eu", "night", "pilot"}))
    assert door().who(Head.of(request(*headers)), NOW).labels.claimed == claimed


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-gateway-dataclass", b"cui")],
        [(b"x-gateway-data_class", b"cui")],
        [(b"x-gateway-", b"cui")],
        [(b"x-gateway-team", b"red"), (b"x-gateway-team", b"blue")],
        [(b"x-gateway-team", b"")],
        [(b"x-gateway-team", b"\xff")],
        [(b"x-gateway-tags", b"a,,b")],
    ],
)
def test_what_cannot_be_meant_is_not_passed_over(headers: list[Header]) -> None:
    """A misspelt label may be what makes a prompt confidential."""
    with pytest.raises(InvalidRequest, match="x-gateway-"):
        door().who(Head.of(request(*headers)), NOW)


def test_a_key_that_may_set_nothing_may_not_even_set_its_own() -> None:
    written, key = make("own", datetime.now(UTC), labels=Labels(team="red"))
    own = Door(Access(Keyring([key])))
    with pytest.raises(Forbidden):
        own.who(
            Head.of(request((b"x-api-key", written.encode()), (b"x-gateway-team", b"red"))), NOW
        )


def _near(scope: Scope, *origins: str) -> bool:
    """Whether a gateway without keys answers it."""
    try:
        return door(*origins).who(Head.of(scope), NOW).key is None
    except Unauthenticated:
        return False


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host", [b"localhost", b"LOCALHOST:80", b"127.0.0.1:8080", b"127.255.255.254", b"[::1]:9"]
)
def test_a_program_on_this_machine(peer: str, host: bytes) -> None:
    assert _near(request(host=[host], peer=peer))


@pytest.mark.parametrize(
    "peer", ["10.0.0.5", "::ffff:10.0.0.5", "169.254.1.1", "fe80::1", "", "unix:", None]
)
def test_another_machine(peer: str | None) -> None:
    assert not _near(request(peer=peer))
    assert not is_here(request(peer=peer))


@pytest.mark.parametrize(
    "host",
    [
        (),
        (b"",),
        (b"gateway.example",),
        (b"localhost.evil.example",),
        (b"127.0.0.1.evil.example",),
        (b"evil.example:8080",),
        (b"localhost@evil.example",),
        (b"localhost:8080:80",),
        (b"localhost:",),
        (b"127.0.0.256",),
        (b"128.0.0.1",),
        (b"0.0.0.0",),
        (b"[::2]",),
        (b"10.0.0.5:8080",),
        (b"localhost\n",),
        (b"localhost", b"evil.example"),
        (b"localhost", b"localhost"),
    ],
)
def test_a_name_that_only_leads_here(host: tuple[bytes, ...]) -> None:
    """DNS rebinding: a page of evil.example whose name leads to 127.0.0.1 by now."""
    assert not _near(request(host=host))


@pytest.mark.parametrize(
    "header",
    [
        (b"forwarded", b"for=10.0.0.5"),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-forwarded-host", b"localhost"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-server", b""),
        (b"x-real-ip", b"127.0.0.1"),
        (b"via", b"1.1 proxy"),
        (b"cf-connecting-ip", b"127.0.0.1"),
    ],
)
def test_a_reverse_proxy(header: Header) -> None:
    """Whatever it says: that it says it for somebody is enough."""
    assert not _near(request(header))


def test_a_reverse_proxy_that_says_nothing() -> None:
    """nginx as it comes: its Host is that of its own upstream, and it speaks HTTP/1.0."""
    assert not _near({**request(host=[b"127.0.0.1:8080"]), "http_version": "1.0"})


@pytest.mark.parametrize(
    ("headers", "origins", "expected"),
    [
        ([(b"origin", PAGE)], (), False),
        ([(b"origin", b"null")], (), False),
        ([(b"origin", b"http://localhost:3000")], (), False),
        ([(b"origin", b"http://localhost:8080")], (), True),
        ([(b"origin", PAGE)], ("https://page.example",), True),
        ([(b"origin", PAGE)], ("*",), True),
        ([(b"origin", PAGE)], ("https://other.example",), False),
        ([(b"origin", b"https://page.example.evil")], ("https://page.example",), False),
        ([(b"sec-fetch-site", b"cross-site")], (), False),
        ([(b"sec-fetch-site", b"same-site")], ("*",), False),
        ([(b"sec-fetch-site", b"none")], (), True),
        ([(b"sec-fetch-site", b"same-origin")], (), True),
    ],
)
def test_a_web_page(headers: list[Header], origins: tuple[str, ...], expected: bool) -> None:
    """A form that any page can send here, without being able to read the answer, costs as much."""
    assert _near(request(*headers), *origins) is expected


def test_with_a_key_it_does_not_matter_where_a_request_comes_from() -> None:
    headers = [(b"x-api-key", ONE), (b"x-forwarded-for", b"10.0.0.5"), (b"origin", PAGE)]
    assert (
        door(keys=True)
        .who(Head.of(request(*headers, host=[b"gw.example"], peer="10.0.0.9")), NOW)
        .key
        == KEY
    )


def _shown(door: Door, *headers: Header, now: datetime = NOW) -> str | None:
    key = door.who(Head.of(request(*headers, peer="10.0.0.5")), now).key
    return None if key is None else key.name


def test_who_is_known_is_forgotten_at_once() -> None:
    """A key that is revoked, or gone, or that ends at an instant; one that is changed is as it is
    now.
    """
    ring = Keyring([KEY])
    own, shown = Door(Access(ring)), (b"x-api-key", ONE)
    assert [_shown(own, shown) for _ in range(3)] == ["shop"] * 3
    ring.replace([replace(KEY, name="other")])
    assert _shown(own, shown) == "other"
    ring.replace([replace(KEY, expires=NOW + timedelta(seconds=2))])
    assert _shown(own, shown, now=NOW + timedelta(seconds=1)) == "shop"
    with pytest.raises(Unauthenticated, match="has expired"):
        _shown(own, shown, now=NOW + timedelta(seconds=2))
    ring.replace([replace(KEY, revoked=NOW)])
    with pytest.raises(Unauthenticated, match="was revoked"):
        _shown(own, shown)
    ring.replace([])
    with pytest.raises(Unauthenticated, match="has no keys"):
        _shown(own, shown)


def test_who_is_known_is_known_by_all_that_is_shown_and_said() -> None:
    """By nothing that looks like it, and with what each request says of itself."""
    own, shown = door(keys=True), (b"x-api-key", ONE)
    for team in (b"red", b"blue", b"red"):
        caller = own.who(Head.of(request(shown, (b"x-gateway-team", team))), NOW)
        assert caller.labels.claimed == Labels(team=team.decode())
    assert own.who(Head.of(request(shown)), NOW).labels.claimed is None
    for another in (ONE[:-1] + b"!", ONE + b"x", b"2\n" + ONE):
        with pytest.raises(Unauthenticated):
            _shown(own, (b"x-api-key", another))
    with pytest.raises(InvalidRequest, match="two different keys"):
        _shown(own, shown, (b"authorization", b"x-gateway-team"), (b"authorization", b"red"))


def test_what_is_known_is_bounded() -> None:
    """And holds no key as it is written."""
    own = door(keys=True)
    for number in range(MOST_KNOWN + 2):
        own.who(Head.of(request((b"x-api-key", ONE), (b"x-gateway-team", b"%d" % number))), NOW)
    assert len(own._known) <= MOST_KNOWN
    assert ONE not in repr(own._known).encode()
