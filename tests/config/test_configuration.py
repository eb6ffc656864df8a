"""The configuration's store: what is tried, what is refused, and what goes together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config.fixed import with_fixed
from gateway.config.places import folders
from gateway.config.publication import Publication, Socket, publish, published
from gateway.config.references import contents, referred
from gateway.config.settings import load_settings
from gateway.errors import DocumentError, StateError

TEXT = """\
channels:
  one: {vendor: openai, kind: openai, base_url: https://a.example/v1, api_key: "file:keys/one"}
  two: {vendor: openai, kind: openai, base_url: https://b.example/v1, api_key: "${TWO}"}
local: {manifests: manifests, models: {small: {manifest: tiny}}}
policy: {public_keys: ["file:signer.pub"]}
"""


@dataclass
class Written:
    file: Path

    def say(self, text: str) -> None:
        self.file.write_text(text)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    written = Written(tmp_path / "gateway.yaml")
    written.say(TEXT)
    return written


def test_all_files_that_a_configuration_refers_to_are_found(written: Written) -> None:
    """Keys in files, those that sign policies, and manifests; a variable is no file."""
    folder = written.file.parent
    assert referred(load_settings(written.file, {}, {})) == {
        folder / "keys" / "one",
        folder / "signer.pub",
        folder / "manifests" / "tiny.yaml",
    }


def test_another_key_in_the_same_file_is_another_version(tmp_path: Path) -> None:
    """And so is a key that comes or goes; that it was touched is none."""
    key = tmp_path / "key"
    missing = contents([key])
    key.write_text("sk-1")
    first = contents([key])
    key.touch()
    assert contents([key]) == first != missing
    key.write_text("sk-2")
    assert contents([key]) not in (first, missing)
    assert "sk-2" not in repr(contents([key]))


def test_what_takes_a_restart_stays_and_is_named(written: Written) -> None:
    """All else is the new version's."""
    running = load_settings(written.file, {}, {})
    written.say(f"{TEXT}server: {{port: 9999, deadline: 5}}\nstate: {{dir: other}}\n")
    found, named = with_fixed(load_settings(written.file, {}, {}), running)
    assert named == ("server.port", "server.deadline", "state.dir")
    assert (found.server, found.state) == (running.server, running.state)
    written.say(TEXT.replace("https://b.example", "https://c.example"))
    found, named = with_fixed(load_settings(written.file, {}, {}), running)
    assert (named, found.channels["two"].base_url) == ((), "https://c.example/v1")
    assert found.folder == written.file.parent


@pytest.mark.parametrize(
    ("text", "environ", "folder"),
    [
        ("state: {dir: here}\nnonsense: 1\n", {}, "here"),
        ("models: {a: {targets: [gone/b]}}\n", {}, "../var"),
        ("state: {dir: here}\n", {"GATEWAY_STATE__DIR": "there"}, "there"),
        ("state: 3\n", {}, "../var"),
    ],
)
def test_the_state_is_found_though_the_rest_is_wrong(
    written: Written, text: str, environ: dict[str, str], folder: str
) -> None:
    """By the same precedence as if nothing were."""
    written.say(text)
    found = folders(written.file, {}, environ).state
    assert found.resolve() == (written.file.parent / folder).resolve()


def test_a_file_that_is_no_yaml_says_nothing_of_its_state(written: Written) -> None:
    """It is told where."""
    written.say("state: {dir: here\n")
    with pytest.raises(DocumentError, match=r"gateway\.yaml:2:1: not valid YAML"):
        folders(written.file, {}, {})


def test_what_is_published_is_read_as_it_was_written(tmp_path: Path) -> None:
    """By nobody else; where there is nothing, that is said."""
    with pytest.raises(StateError, match=r"configuration\.json cannot be read"):
        published(tmp_path / "run")
    told = Publication(3, TEXT.encode(), {"small": Socket("/run/small.sock", on_demand=True)})
    publish(tmp_path / "run", told)
    assert published(tmp_path / "run") == told
    assert (tmp_path / "run" / "configuration.json").stat().st_mode & 0o077 == 0
