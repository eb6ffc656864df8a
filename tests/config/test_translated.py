"""Channels that are translated: what their configuration must say, and what is made of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.config.settings import Settings, load_settings
from gateway.config.translated import translations
from gateway.domain.decision import Labels, Verdict
from gateway.domain.target import Capability
from gateway.errors import DocumentError, StateError
from gateway.inventory import Inventory
from gateway.policy.evaluate import evaluate

BEDROCK = "bedrock: {vendor: amazon, kind: litellm, provider: bedrock, region: us-east-1"
AWS = 'aws_access_key_id: "${AWS_ID}", aws_secret_access_key: "${AWS_SECRET}"'
AWS_SET = {"AWS_ID": "AKIA0", "AWS_SECRET": "shh", "AWS_TOKEN": "session"}
VERTEX = (
    "vertex: {vendor: google, kind: litellm, provider: vertex_ai, region: europe-west1, "
    'project: p1, service_account: "file:account.json"}'
)


def settings(folder: Path, *channels: str, models: str = "{}") -> Settings:
    file = folder / "gateway.yaml"
    lines = "".join(f"  {channel}\n" for channel in channels)
    file.write_text(f"channels:\n{lines}models: {models}\n")
    return load_settings(file, {}, {})


def test_without_credentials_there_is_none(tmp_path: Path) -> None:
    """The specification's own example is no error; half of the credentials are none."""
    made = settings(tmp_path, f"{BEDROCK}}}", VERTEX)
    assert translations(made, {}) == {}
    made = settings(tmp_path, f"{BEDROCK}, {AWS}}}")
    assert translations(made, {"AWS_ID": "AKIA0"}) == {}


def test_bedrock(tmp_path: Path) -> None:
    """Its credentials by litellm's names, its one address, by its region."""
    made = settings(tmp_path, f'{BEDROCK}, {AWS}, aws_session_token: "${{AWS_TOKEN}}"}}')
    one = translations(made, AWS_SET)["bedrock"]
    assert one.credentials == {
        "aws_access_key_id": "AKIA0",
        "aws_secret_access_key": "shh",
        "aws_session_token": "session",
    }
    assert one.parameters == {"aws_region_name": "us-east-1"}
    assert one.addresses == ("https://bedrock-runtime.us-east-1.amazonaws.com",)
    assert one.base_url is None
    assert "shh" not in repr(one)


def test_a_base_url_takes_the_place_of_the_address(tmp_path: Path) -> None:
    made = settings(tmp_path, f"{BEDROCK}, base_url: https://bedrock.example.com, {AWS}}}")
    one = translations(made, AWS_SET)["bedrock"]
    assert one.addresses == (one.base_url,) == ("https://bedrock.example.com",)


def test_vertex(tmp_path: Path) -> None:
    """Its service account as it stands in the file, which also says where tokens are had."""
    account = json.dumps({"token_uri": "https://oauth2.googleapis.com/token"}, indent=1)
    (tmp_path / "account.json").write_text(account)
    one = translations(settings(tmp_path, VERTEX), {})["vertex"]
    assert one.credentials == {"vertex_credentials": account}
    assert one.parameters == {"vertex_project": "p1", "vertex_location": "europe-west1"}
    assert one.addresses == (
        "https://europe-west1-aiplatform.googleapis.com",
        "https://oauth2.googleapis.com/token",
    )
    worldwide = settings(tmp_path, VERTEX.replace("europe-west1", "global"))
    assert translations(worldwide, {})["vertex"].addresses[0] == (
        "https://aiplatform.googleapis.com"
    )


def test_a_service_account_that_is_none(tmp_path: Path) -> None:
    for text in ("hello", "{}", '{"token_uri": "http://elsewhere.test/token"}'):
        (tmp_path / "account.json").write_text(text)
        with pytest.raises(StateError, match=r"account\.json is no service account"):
            translations(settings(tmp_path, VERTEX), {})


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        ("a: {vendor: amazon, kind: litellm}", "kind litellm needs provider"),
        ("a: {vendor: amazon, kind: litellm, provider: bedrock}", "'bedrock' needs region"),
        (
            "a: {vendor: google, kind: litellm, provider: vertex_ai, region: global}",
            "'vertex_ai' needs project",
        ),
        (
            "a: {vendor: groq, kind: litellm, provider: groq}",
            "where provider 'groq' is, is not known: base_url must say it",
        ),
        ("a: {vendor: openai, kind: openai}", "missing key 'base_url'"),
        ('a: {vendor: amazon, kind: litellm, provider: x, aws_access_key_id: "AKIA0"}', "literal"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, channel: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        settings(tmp_path, channel)
    assert message in str(caught.value)
    assert "AKIA0" not in caught.value.problems[0].message


POLICY = """\
version: 1
default: allow
vendors:
  anthropic: deny
"""


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", Verdict.DENY),
        ("bedrock/anthropic.claude-3-haiku-20240307-v1:0", Verdict.DENY),
        ("bedrock/amazon.nova-pro-v1:0", Verdict.ALLOW),
        ("vertex/claude-sonnet-4-5@20250929", Verdict.DENY),
        ("vertex/gemini-2.5-pro", Verdict.ALLOW),
        ("claude/claude-sonnet-4-5", Verdict.DENY),
    ],
)
def test_a_ban_reaches_a_model_through_every_channel(
    tmp_path: Path, target: str, verdict: Verdict
) -> None:
    """The ids are read by the grammar of the API that is translated to."""
    claude = "claude: {vendor: anthropic, kind: anthropic, base_url: https://api.anthropic.com}"
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "10.yaml").write_text(POLICY)
    inventory = Inventory(settings(tmp_path, f"{BEDROCK}}}", VERTEX, claude))
    found = inventory.target(target)
    decision = evaluate(
        inventory.load_policy(), found.id, found.identity, Labels(), datetime.now(UTC)
    )
    assert decision.verdict is verdict


def test_what_an_api_has_no_words_for_is_known_before_it_is_asked(tmp_path: Path) -> None:
    inventory = Inventory(settings(tmp_path, f"{BEDROCK}}}", VERTEX))
    bedrock = inventory.target("bedrock/amazon.nova-pro-v1:0")
    wanted = frozenset({Capability.TOOLS, Capability.LOGPROBS, Capability.IMAGE_URLS})
    assert bedrock.lacks(wanted) == {Capability.LOGPROBS, Capability.IMAGE_URLS}
    assert inventory.target("vertex/gemini-2.5-pro").lacks(wanted) == {Capability.IMAGE_URLS}
