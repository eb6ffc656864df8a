"""``90-toggles.yaml``: the one policy file that a program writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gateway.config.documents import parse_document
from gateway.config.policy_files import PolicyLoader
from gateway.config.policy_schema import PolicyFile
from gateway.config.schema import validate
from gateway.config.shipped import load_catalog
from gateway.config.sources import Sources, read_folder
from gateway.config.toggles import TOGGLES, Toggles
from gateway.errors import DocumentError, NotThere, Refused
from gateway.policy.compile import Policy
from tests.config.by_name import resolver

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
CATALOG = load_catalog()


def sources(folder: Path) -> Sources:
    return Sources(folder, folder.parent / "designations")


def load(folder: Path) -> Policy:
    read = sources(folder)
    return PolicyLoader(CATALOG, resolver).load(read, read.read())


def written(folder: Path) -> Toggles:
    return Toggles(sources(folder), CATALOG, PolicyLoader(CATALOG, resolver))


def put(folder: Path, vendor: str, reason: str = "drill", **more: Any) -> Policy:
    return written(folder).ban(vendor, reason=reason, now=NOW, **more)


def lift(folder: Path, vendor: str) -> Policy:
    return written(folder).unban(vendor)


def toggles(folder: Path) -> PolicyFile:
    file = folder / TOGGLES
    return validate(parse_document(file.read_bytes(), str(file)), PolicyFile)


def test_a_ban_is_one_rule_in_a_file_of_its_own(policies: Path) -> None:
    """All that was said stands in the rule; no hand-written file changes; the policy is the new."""
    before = (policies / "10-vendors.yaml").read_bytes()
    until = NOW + timedelta(days=3)
    policy = put(
        policies, "openai", 'a "quoted": #reason\n2nd é 🙂 NO', until=until, roles=["developer"]
    )
    (rule,) = toggles(policies).rules
    assert (rule.id, rule.verdict, rule.match.vendor) == ("ban-openai", "deny", ("openai",))
    assert rule.match.roles == ("developer",)
    assert rule.reason == 'a "quoted": #reason\n2nd é 🙂 NO'
    assert (rule.start, rule.end) == (NOW, until)
    assert (policies / "10-vendors.yaml").read_bytes() == before
    assert policy.revision == load(policies).revision
    assert not list(policies.glob("*.tmp"))


def test_a_second_ban_replaces_the_first_and_leaves_others(policies: Path) -> None:
    """One rule a vendor, with the last reason."""
    put(policies, "openai", "one")
    put(policies, "mistral")
    put(policies, "openai", "two")
    assert {r.id: r.reason for r in toggles(policies).rules} == {
        "ban-mistral": "drill",
        "ban-openai": "two",
    }


def test_unban_takes_back_what_ban_did(policies: Path) -> None:
    """The other toggles stay."""
    put(policies, "openai")
    put(policies, "mistral")
    lift(policies, "openai")
    assert [rule.id for rule in toggles(policies).rules] == ["ban-mistral"]
    lift(policies, "mistral")
    assert toggles(policies).rules == ()


@pytest.mark.parametrize("toggled", [True, False])
def test_unban_of_a_hand_written_denial_names_its_line(policies: Path, toggled: bool) -> None:
    """Nothing changes, whether or not there is a toggle too."""
    if toggled:
        put(policies, "anthropic")
    before = read_folder(policies)
    with pytest.raises(Refused, match="hand-written rule 'anthropic'") as caught:
        lift(policies, "anthropic")
    assert f"{policies / '10-vendors.yaml'}:5: nothing was changed" in caught.value.message
    assert read_folder(policies) == before


def test_unban_of_a_rule_in_the_general_form_names_its_line(policies: Path) -> None:
    """A rule with an id is named by it."""
    (policies / "20.yaml").write_text(
        "version: 1\nrules:\n  - match: {vendor: [mistral], locality: [cloud]}\n"
        "    id: no-mistral\n    verdict: deny\n"
    )
    with pytest.raises(Refused, match=r"rule 'no-mistral' at .*20\.yaml:4: "):
        lift(policies, "mistral")


def test_unban_of_what_is_not_banned_says_so(policies: Path) -> None:
    """A clear answer, and no file."""
    with pytest.raises(Refused, match="openai is not banned: no toggle and no rule"):
        lift(policies, "openai")
    assert not (policies / TOGGLES).exists()


def test_an_unknown_vendor_gets_the_nearest_word(policies: Path) -> None:
    """A typing mistake bans nobody."""
    with pytest.raises(NotThere, match="unknown vendor 'opnai': did you mean 'openai'"):
        put(policies, "opnai")
    assert not (policies / TOGGLES).exists()


@pytest.mark.parametrize(
    ("reason", "until", "expected"),
    [("  ", None, "a ban needs a reason"), ("x", NOW, "is not after now")],
)
def test_a_ban_that_says_too_little_is_refused(
    policies: Path, reason: str, until: datetime | None, expected: str
) -> None:
    """Reason and a sensible end, or nothing is written."""
    with pytest.raises(Refused, match=expected):
        put(policies, "openai", reason, until=until)
    assert not (policies / TOGGLES).exists()


def test_a_toggles_file_that_does_not_parse_is_left_alone(policies: Path) -> None:
    """Somebody's work in it is not overwritten; the message says where it is wrong."""
    (policies / TOGGLES).write_text("rules: [\n")
    with pytest.raises(Refused, match="so it is not rewritten") as caught:
        put(policies, "openai")
    assert f"{TOGGLES}:2:1: not valid YAML" in caught.value.message
    assert (policies / TOGGLES).read_text() == "rules: [\n"


def test_a_ban_over_a_broken_folder_changes_nothing(policies: Path) -> None:
    """The positions are those of the folder, not of the copy that was tried."""
    (policies / "20.yaml").write_text("version: 1\nbogus: 1\n")
    with pytest.raises(DocumentError) as caught:
        put(policies, "openai")
    assert caught.value.message.startswith(f"{policies / '20.yaml'}:2:1: unknown key 'bogus'")
    assert not (policies / TOGGLES).exists()


def test_the_mode_of_the_file_stays(policies: Path) -> None:
    """A new file can be read by the gateway's user; a chosen mode is kept."""
    put(policies, "openai")
    assert (policies / TOGGLES).stat().st_mode & 0o777 == 0o644
    (policies / TOGGLES).chmod(0o640)
    put(policies, "mistral")
    assert (policies / TOGGLES).stat().st_mode & 0o777 == 0o640


def test_two_writers_lose_nothing(policies: Path) -> None:
    """Each of several bans at once is in the file in the end."""
    vendors = ["openai", "mistral", "deepseek", "meta", "microsoft"]
    threads = [Thread(target=put, args=(policies, vendor)) for vendor in vendors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {rule.id for rule in toggles(policies).rules} == {f"ban-{v}" for v in vendors}
