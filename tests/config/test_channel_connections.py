"""TLS files, proxies and several keys of a channel: what loads, and where a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from gateway.config.settings import load_settings
from gateway.dialled import channel_keys, channels
from gateway.domain.call import Api
from gateway.errors import DocumentError, StateError

AUTHORITY = trustme.CA()


def with_lines(config: Path, *lines: str, upstream: str = "") -> Path:
    """More lines of the channel, which begin on line 7; ``upstream`` is a section."""
    more = "".join(f"    {line}\n" for line in lines)
    key = "    api_key: ${OPENAI_API_KEY}\n"
    config.write_text(config.read_text().replace(key, key + more) + upstream)
    return config


@pytest.fixture
def files(config: Path) -> Path:
    """The folder of the configuration, with good files and bad ones."""
    folder = config.parent
    issued, other = AUTHORITY.issue_cert("a.test"), AUTHORITY.issue_cert("b.test")
    AUTHORITY.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "a.pem"))
    issued.private_key_pem.write_to_path(str(folder / "a.key"))
    other.private_key_pem.write_to_path(str(folder / "b.key"))
    (folder / "junk.pem").write_text("hello")
    locked = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    (folder / "locked.key").write_bytes(locked)
    return folder


def test_tls_files_are_relative_to_the_configuration(config: Path, files: Path) -> None:
    """And the channel trusts that CA alone."""
    with_lines(config, "tls: {ca: ca.pem, certificate: a.pem, key: a.key}")
    settings = load_settings(config, {}, {})
    trust = channels(settings, {})["openai"].trust
    assert trust is not None
    assert len(trust.get_ca_certs()) == 1
    assert settings.channels["openai"].tls is not None


WRONG = [
    ("tls: {ca: none.pem}", "7:15", "none.pem cannot be read: No such file or directory"),
    ("tls: {ca: .}", "7:15", "cannot be read: Is a directory"),
    ("tls: {ca: junk.pem}", "7:15", "junk.pem holds no certificate in PEM form"),
    ("tls: {ca: a.key}", "7:15", "a.key holds no certificate in PEM form"),
    ("tls: {certificate: a.pem}", "7:10", "certificate and key belong together"),
    ("tls: {certificate: junk.pem, key: a.key}", "7:24", "junk.pem holds no certificate"),
    ("tls: {certificate: a.pem, key: junk.pem}", "7:36", "junk.pem holds no private key"),
    ("tls: {certificate: a.pem, key: b.key}", "7:36", "b.key is not the key of the certificate"),
    ("tls: {certificate: a.pem, key: locked.key}", "7:36", "give a key without a password"),
    ("proxy: http://user:hunter2@proxy:1", "7:12", "use proxy_auth: ${NAME}"),
    ("proxy: http://proxy", "7:12", "expected http://host:port"),
    ("proxy: socks5://proxy:1", "7:12", "expected http://host:port"),
    ("proxy: http://proxy:1/path", "7:12", "expected http://host:port"),
    ("proxy: http://proxy:99999", "7:12", "expected http://host:port"),
    ("proxy_auth: ${A}", "5:5", "need a proxy beside them"),
]


@pytest.mark.parametrize(("line", "place", "message"), WRONG)
def test_a_mistake_is_told_at_its_place(
    config: Path, files: Path, line: str, place: str, message: str
) -> None:
    """At load, with what is wrong with the file."""
    with pytest.raises(DocumentError) as caught:
        load_settings(with_lines(config, line), {}, {})
    [problem] = caught.value.problems
    assert message in problem.message + problem.hint
    assert "hunter2" not in str(caught.value)
    line_number = int(place.partition(":")[0])
    assert problem.line in (line_number, 3)


def test_a_variable_can_name_a_file(config: Path, files: Path) -> None:
    """The mistake is told with the variable's name."""
    environ = {"GATEWAY_CHANNELS__OPENAI__TLS__CA": "none.pem"}
    with pytest.raises(DocumentError, match="GATEWAY_CHANNELS__OPENAI__TLS__CA"):
        load_settings(config, {}, environ)


def test_a_proxy_for_all_and_for_one(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel's own counts first; ``direct`` is none."""
    monkeypatch.setenv("PROXY_AUTH", "user:hunter2")
    section = 'upstream: {proxy: "http://proxy.test:3128", proxy_auth: "${PROXY_AUTH}"}\n'
    before = config.read_text()
    settings = load_settings(with_lines(config, upstream=section), {}, {})
    proxy = channels(settings, {})["openai"].proxy
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.tls) == ("proxy.test", 3128, None)
    assert proxy.credentials == "user:hunter2"
    config.write_text(before)
    settings = load_settings(with_lines(config, "proxy: direct", upstream=section), {}, {})
    assert channels(settings, {})["openai"].proxy is None
    config.write_text(before)
    own = "proxy: https://own.test:8443"
    proxy = channels(load_settings(with_lines(config, own, upstream=section), {}, {}), {})[
        "openai"
    ].proxy
    assert proxy is not None
    assert (proxy.host, proxy.credentials) == ("own.test", None)
    assert proxy.tls is not None


@pytest.mark.parametrize(("value", "why"), [(None, "not set"), ("hunter2", "user:password")])
def test_credentials_of_a_proxy_that_are_no_good(
    config: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, why: str
) -> None:
    """The gateway does not start without them, and does not show them."""
    monkeypatch.delenv("PROXY_AUTH", raising=False)
    if value is not None:
        monkeypatch.setenv("PROXY_AUTH", value)
    section = 'upstream: {proxy: "http://proxy.test:3128", proxy_auth: "${PROXY_AUTH}"}\n'
    settings = load_settings(with_lines(config, upstream=section), {}, {})
    with pytest.raises(StateError, match=why) as caught:
        channels(settings, {})
    assert "hunter2" not in str(caught.value)


def test_several_keys(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are set count, each once; a channel with none of them has no key."""
    text = config.read_text().replace("${OPENAI_API_KEY}", '["${A}", "${B}", "file:c", "${A2}"]')
    config.write_text(text)
    for name in ("A", "B", "A2"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings(config, {}, {})
    assert channel_keys(settings) == {}
    monkeypatch.setenv("A", "sk-a")
    monkeypatch.setenv("A2", "sk-a")
    (config.parent / "c").write_text("sk-c\n")
    assert channel_keys(settings) == {"openai": ("sk-a", "sk-c")}
    heads = channels(settings, channel_keys(settings))["openai"].heads[Api.CHAT]
    assert [b"Bearer sk-a\r\n" in head for head in heads] == [True, False]
