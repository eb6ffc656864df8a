"""``server.cors``: which pages may call."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.fixed import with_fixed
from gateway.config.settings import load_settings
from gateway.errors import DocumentError


def written(config: Path, cors: str) -> Path:
    config.write_text(f"{config.read_text()}server: {{cors: {cors}}}\n")
    return config


@pytest.mark.parametrize(
    ("cors", "origins"),
    [
        ('{origins: "*"}', ("*",)),
        ("{origins: https://a.example}", ("https://a.example",)),
        (
            '{origins: [http://localhost:3000, "http://[::1]:804430"]}',
            None,
        ),
        (
            '{origins: [http://localhost:3000, "http://[::1]:8044", chrome-extension://abc]}',
            ("http://localhost:3000", "http://[::1]:8044", "chrome-extension://abc"),
        ),
    ],
)
def test_origins(config: Path, cors: str, origins: tuple[str, ...] | None) -> None:
    """One or several, or any; a port that is none is refused."""
    if origins is None:
        with pytest.raises(DocumentError):
            load_settings(written(config, cors), {}, {})
        return
    section = load_settings(written(config, cors), {}, {}).server.cors
    assert section is not None
    assert (section.origins, section.headers, section.max_age) == (origins, (), 600)


def test_it_is_off_unless_it_is_said(config: Path) -> None:
    assert load_settings(config, {}, {}).server.cors is None


@pytest.mark.parametrize(
    "origin",
    [
        *["app.example", "https://app.example/", "https://app.example/x", "https://", "null"],
        *["https://App.example", "https://app.example:443", "http://app.example:80", "file:///x"],
        *[
            "https://*.example",
            "https://user@app.example",
            "https://app..example",
            "https://ä.example",
        ],
        *["https://app.example?x", "https://app.example:", "https://a b.example"],
    ],
)
def test_what_no_browser_sends_is_no_origin(config: Path, origin: str) -> None:
    """It would allow nobody, and look as if it did; the message has the position and a way out."""
    with pytest.raises(DocumentError) as caught:
        load_settings(written(config, f'{{origins: ["{origin}"]}}'), {}, {})
    (problem,) = caught.value.problems
    assert problem.message == "expected an origin as browsers write it, or '*'"
    assert problem.line == len(config.read_text().splitlines())
    assert "https://app.example" in problem.hint


@pytest.mark.parametrize(
    ("cors", "expected"),
    [
        ("{origins: []}", "must not be empty"),
        ("{}", "origins"),
        ('{origins: ["*", https://a.example]}', "'*' stands for every origin"),
        ('{origins: "*", headers: ["*"]}', "expected the name of a request header"),
        ('{origins: "*", headers: ["a b"]}', "expected the name of a request header"),
        ('{origins: "*", credentials: true}', "unknown key 'credentials'"),
        ('{origins: "*", max_age: -1}', "max_age"),
    ],
)
def test_mistakes_are_named(config: Path, cors: str, expected: str) -> None:
    """No word lets browsers send credentials of their own."""
    with pytest.raises(DocumentError) as caught:
        load_settings(written(config, cors), {}, {})
    assert expected in caught.value.message


def test_it_can_be_a_variable(config: Path) -> None:
    """As every value."""
    environ = {"GATEWAY_SERVER__CORS__ORIGINS": "[https://a.example]"}
    section = load_settings(config, {}, environ).server.cors
    assert section is not None
    assert section.origins == ("https://a.example",)


def test_a_change_takes_a_restart(config: Path) -> None:
    """And is named."""
    before = load_settings(config, {}, {})
    after = load_settings(written(config, '{origins: "*"}'), {}, {})
    settings, restart = with_fixed(after, before)
    assert (settings.server.cors, restart) == (None, ("server.cors",))
