"""gateway.yaml, the environment and the flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config.secrets import LITERAL, Secret
from gateway.config.settings import load_settings
from gateway.errors import DocumentError, StateError


def mistakes(
    file: Path,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    with pytest.raises(DocumentError) as caught:
        load_settings(file, overrides or {}, environ or {})
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value.message


def test_the_defaults_are_the_specification_s(config: Path) -> None:
    """What the file does not say is as the specification has it, with absolute paths."""
    settings = load_settings(config, {}, {})
    assert (settings.server.host, settings.server.port, settings.server.workers) == (
        "127.0.0.1",
        8080,
        1,
    )
    assert (settings.server.max_body_mb, settings.server.deadline) == (20, 600)
    assert settings.upstream.first_token_timeout == 30
    assert settings.state.dir == config.parent.parent / "var"
    assert settings.local.manifests == config.parent.parent / "models"
    assert settings.policy.dir == config.parent / "policies"
    model = settings.local.models["smollm2"]
    assert (model.context, model.slots, model.queue, model.gpu_layers) == (4096, 8, 64, None)
    assert settings.channels["openai"].facts("openai").vendor == "openai"


def test_flags_beat_the_environment_and_that_beats_the_file(config: Path) -> None:
    """Each layer gives only what it says; a flag that was not given is none."""
    config.write_text(config.read_text() + "server: {port: 1, host: a, workers: 2}\n")
    environ = {"GATEWAY_SERVER__PORT": "2", "GATEWAY_SERVER__HOST": "b"}
    settings = load_settings(config, {"server.port": 3, "server.host": None}, environ)
    assert (settings.server.port, settings.server.host, settings.server.workers) == (3, "b", 2)


@pytest.mark.parametrize(
    ("line", "flag", "variable", "offline"),
    [
        *[("", None, "", False), ("offline: true", None, "", True), ("", None, "true", True)],
        *[("", True, "", True), ("offline: true", None, "false", False)],
    ],
)
def test_offline_is_a_word_at_the_top(
    config: Path, line: str, flag: bool | None, variable: str, offline: bool
) -> None:
    """In the file, as GATEWAY_OFFLINE, or as a flag; not unless one of them says so."""
    config.write_text(f"{config.read_text()}{line}\n")
    environ = {"GATEWAY_OFFLINE": variable}
    assert load_settings(config, {"offline": flag}, environ).offline is offline
    assert "GATEWAY_OFFLINE: " in mistakes(config, environ={"GATEWAY_OFFLINE": "perhaps"})


def test_a_flag_s_path_is_relative_to_the_working_folder(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--policy is what the shell completes; a variable's path is relative to the file."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(config, {"policy.dir": "p"}, {"GATEWAY_STATE__DIR": "s"})
    assert settings.policy.dir == tmp_path / "p"
    assert settings.state.dir == config.parent / "s"


def test_a_variable_finds_names_whatever_their_case(config: Path) -> None:
    """A shell has no lower case or hyphen to offer, so names fold."""
    environ = {"GATEWAY_MODELS__GPT_4O__TARGETS": "[local/smollm2]"}
    (group,) = load_settings(config, {}, environ).models["gpt-4o"].targets
    assert list(group.any) == ["local/smollm2"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("GATEWAY_SERVR__PORT", "1", "GATEWAY_SERVR__PORT: unknown key 'servr'"),
        ("GATEWAY_SERVER__PROT", "1", "GATEWAY_SERVER__PROT: unknown key 'prot'"),
        ("GATEWAY_SERVER__PORT", "x", "GATEWAY_SERVER__PORT: expected a whole number"),
        ("GATEWAY_SERVER__PORT", "99999", "GATEWAY_SERVER__PORT: expected a number less than"),
        ("GATEWAY_BOGUS", "1", "GATEWAY_BOGUS: unknown key 'bogus'"),
        ("GATEWAY_PORT", "9000", "GATEWAY_PORT: unknown key 'port'"),
        (
            "GATEWAY_CHANNELS__OPENAI__API_KEY",
            "sk-1",
            f"GATEWAY_CHANNELS__OPENAI__API_KEY: {LITERAL}",
        ),
    ],
)
def test_a_wrong_variable_is_named(config: Path, name: str, value: str, expected: str) -> None:
    """An error of the environment names the variable, and no line of a file."""
    message = mistakes(config, environ={name: value})
    assert message.startswith(expected)
    assert "gateway.yaml" not in message
    assert "sk-1" not in message


def test_a_wrong_flag_is_named(config: Path) -> None:
    """An error of a flag names the flag."""
    assert mistakes(config, {"server.port": -1}).startswith("--port: expected a number greater")


def test_variables_of_others_are_left_alone(config: Path) -> None:
    """The build's cache and what Kubernetes puts there for a service of this name are no errors."""
    environ = {
        "GATEWAY_WHEEL_CACHE": "/x",
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_PORT": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "GATEWAY_SERVER__PORT": "",
    }
    assert load_settings(config, {}, environ).server.port == 8080


FIVE_MISTAKES = """\
server: {prot: 9000}
channels:
  openai: {vendor: opnai, kind: openai, base_url: https://api.openai.com/v1}
  bedrock: {vendor: amazon, kind: litellm, base_url: https://example.com}
  lab: {vendor: self, kind: openai, base_url: http://10.0.0.5/v1}
models:
  gpt-4o: {targets: [opena/gpt-4o]}
"""


def test_five_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """The whole text of one file's mistakes, with positions and nearest words."""
    file = tmp_path / "gateway.yaml"
    file.write_text(FIVE_MISTAKES)
    lines = FIVE_MISTAKES.splitlines()
    expected = [
        (1, 10, "unknown key 'prot'", "did you mean 'port'?"),
        (3, 20, "unknown vendor 'opnai'", "did you mean 'openai'?"),
        (
            4,
            12,
            "kind litellm needs provider: which API it is",
            "known: anthropic, bedrock, cohere, gemini, vertex_ai, watsonx",
        ),
        (
            5,
            8,
            "a cloud channel over plain http would send keys and prompts unencrypted",
            "use https, or say locality: sovereign if it is inside your own boundary",
        ),
        (7, 22, "no channel 'opena' is configured", "did you mean 'openai'?"),
    ]
    golden = ""
    for line, column, message, hint in expected:
        golden += f"{file}:{line}:{column}: {message}\n    {lines[line - 1]}\n"
        golden += "    " + " " * (column - 1) + "^\n"
        golden += f"    {hint}\n" if hint else ""
    assert mistakes(file) == golden.rstrip("\n")


@pytest.mark.parametrize(
    ("literal", "column"),
    [
        ("sk-live-0123456789", 14),
        ('"hunter2hunter2"', 14),
        ("12345678", 14),
        ("[hunter2]", 15),
        ("|\n      hunter2", 14),
    ],
)
def test_a_literal_key_is_refused_and_never_printed(
    config: Path, literal: str, column: int
) -> None:
    """Whatever stands where a reference must: the error says what to do, and not what it was."""
    config.write_text(config.read_text().replace("${OPENAI_API_KEY}", literal))
    with pytest.raises(DocumentError) as caught:
        load_settings(config, {}, {})
    shown = str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    assert f"gateway.yaml:6:{column}: {LITERAL}" in shown
    for word in ("hunter2", "12345678", "sk-live"):
        assert word not in shown


def test_a_secret_is_found_where_it_is_said_to_be(tmp_path: Path) -> None:
    """Environment or file, trimmed; what is missing or empty is None."""
    (tmp_path / "key").write_text("abc\n")
    environ = {"A": "xyz", "EMPTY": " "}
    assert Secret.parse("${A}").resolve(environ, tmp_path) == "xyz"
    assert Secret.parse("${EMPTY}").resolve(environ, tmp_path) is None
    assert Secret.parse("${NONE}").resolve(environ, tmp_path) is None
    assert Secret.parse("file:key").resolve({}, tmp_path) == "abc"
    assert Secret.parse("file:none").resolve({}, tmp_path) is None
    assert repr(Secret.parse("${A}")) == "Secret(${A})"


def test_a_secret_that_could_split_a_header_is_refused(tmp_path: Path) -> None:
    """A key with a line break is no key, and is not printed."""
    with pytest.raises(StateError, match=r"secret at \$\{A\}") as caught:
        Secret.parse("${A}").resolve({"A": "abc\nx: y"}, tmp_path)
    assert "abc" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://a/b", "expected an http:// or https:// URL"),
        ("https://u:geheim@a/b", "credentials in a URL are not allowed"),
        ("https://a/b?k=geheim", "without a query or fragment"),
        ("https://a/b#geheim", "without a query or fragment"),
        ("http://a.example/v1", "plain http"),
        ("https://a:x/", "expected a URL"),
    ],
)
def test_a_base_url_is_an_address_and_nothing_else(config: Path, url: str, expected: str) -> None:
    """Scheme, credentials, query and plain http are judged before anything is dialled."""
    config.write_text(config.read_text().replace("https://api.openai.com/v1", f'"{url}"'))
    message = mistakes(config)
    assert expected in message
    assert "geheim" not in message


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost:9", "[::1]:9"])
def test_plain_http_to_this_machine_is_fine(config: Path, host: str) -> None:
    """A loopback address cannot be listened to from outside."""
    config.write_text(
        config.read_text().replace("https://api.openai.com/v1", f'"http://{host}/v1/"')
    )
    assert load_settings(config, {}, {}).channels["openai"].base_url == f"http://{host}/v1"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  openai:\n", "  local:\n", "2:3: the channel name 'local' is reserved"),
        ("  openai:\n", "  Open AI:\n", "expected a name of a-z"),
        ("[openai/gpt-4o,", "[gpt-4o,", "expected a target as <channel>/<model id>, got 'gpt-4o'"),
        ("[openai/gpt-4o, local/smollm2]", "[local/smolm2]", "did you mean 'smollm2'?"),
        ("[openai/gpt-4o, local/smollm2]", "[]", "8:21: must not be empty"),
        ("-instruct}", "-instruct, gpu_layers: all}", "expected a whole number"),
        ("-instruct}", "-instruct, threads: 0}", "expected auto or a whole number"),
        ("-instruct}", "-instruct, preload: yes}", "expected true or false"),
        ("-instruct}", "-instruct, context: all}", "expected a whole number"),
        ("-instruct}", "-instruct, slots: 0}", "expected a number greater than or equal to 1"),
        ("-instruct}", "-instruct, batch: 32}", "expected a number greater than or equal to 64"),
        ("-instruct}", "-instruct, ubatch: 1024}", "ubatch may not be more than batch"),
        ("-instruct}", "-instruct, slots: 100, batch: 64, ubatch: 64}", "slots may not be more"),
    ],
)
def test_names_and_limits_are_checked(config: Path, old: str, new: str, expected: str) -> None:
    """Reserved and malformed names, unknown targets and wrong limits have a clear message."""
    config.write_text(config.read_text().replace(old, new, 1))
    assert expected in mistakes(config)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A wrong --config is a DocumentError with the path."""
    assert "none.yaml:1:1: cannot be read: No such file" in mistakes(tmp_path / "none.yaml")


def test_a_group_has_its_weights(config: Path) -> None:
    """A list weighs each the same; a target by itself is a group of one."""
    environ = {
        "GATEWAY_MODELS__GPT_4O__TARGETS": "[{any: {openai/a: 3, openai/b: 0.5}, by: least_busy}, "
        "{any: [openai/c, openai/d]}, local/smollm2]"
    }
    first, second, last = load_settings(config, {}, environ).models["gpt-4o"].targets
    assert (first.any, first.by) == ({"openai/a": 3, "openai/b": 0.5}, "least_busy")
    assert (second.any, second.by) == ({"openai/c": 1, "openai/d": 1}, "weight")
    assert last.any == {"local/smollm2": 1}


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("[{any: [openai/a, opnai/b]}]", "no channel 'opnai' is configured"),
        ("[{any: {openai/a: 0}}]", "expected a number greater than 0"),
        ("[{any: [openai/a], by: wight}]", "expected 'weight' or 'least_busy'"),
        ("[{any: []}]", "must not be empty"),
        ("[{any: [openai/a, 5]}]", "a mapping of targets to their weights"),
        ("[{each: [openai/a]}]", "unknown key 'each'"),
        ("[5]", "expected a target as <channel>/<model id>, or a group"),
        ("[openai/a, {any: [openai/b, openai/a]}]", "openai/a stands twice"),
    ],
)
def test_mistakes_in_a_group(config: Path, targets: str, expected: str) -> None:
    """Each is told with what would be right."""
    assert expected in mistakes(config, environ={"GATEWAY_MODELS__GPT_4O__TARGETS": targets})


def test_equivalent_targets_are_named(config: Path) -> None:
    """Those of the model whose vectors are of one space."""
    environ = {
        "GATEWAY_MODELS__GPT_4O__TARGETS": "[{any: [openai/a, openai/b]}, local/smollm2]",
        "GATEWAY_MODELS__GPT_4O__EQUIVALENT": "[openai/b, openai/a]",
    }
    model = load_settings(config, {}, environ).models["gpt-4o"]
    assert model.equivalent == ("openai/b", "openai/a")


@pytest.mark.parametrize(
    ("equivalent", "expected"),
    [
        (
            "[openai/gpt-4o, local/smolm2]",
            "8:81: 'local/smolm2' is none of the targets of this model",
        ),
        ("[openai/gpt-4o, local/smolm2]", "did you mean 'local/smollm2'?"),
        ("[openai/gpt-4o, openai/gpt-4o]", "8:81: openai/gpt-4o stands twice under equivalent"),
        ("[openai/gpt-4o]", "one target is equivalent to nothing"),
        ("[openai/gpt-4o, 5]", "8:81: expected a string"),
        ("openai/gpt-4o", "8:65: expected a list"),
    ],
)
def test_mistakes_in_what_is_equivalent(config: Path, equivalent: str, expected: str) -> None:
    """Each has its place: an embedding that another space answered would be noticed by nobody."""
    old = "targets: [openai/gpt-4o, local/smollm2]"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, f"{old}, equivalent: {equivalent}", 1))
    assert expected in mistakes(config)
