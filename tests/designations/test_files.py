"""Files of designations: what they become, and every mistake with its place."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from gateway.config.designations import load_designation_files, load_designations
from gateway.config.shipped import load_catalog
from gateway.errors import DocumentError
from gateway.vendors.designations import Designation, Status

FULL = """\
version: 1
designations:
  - id: example-1
    vendor: mistral
    authority: Example Authority
    statute: 1 Example Code 2
    scope: [federal, defense]
    status: enjoined
    announced: 2026-02-27
    effective: 2026-03-05
    phase_out_until: 2026-09-01
    source_url: https://example.org/1
    retrieved: 2026-04-01
    sha256: b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    note: "NO"
    history:
      - {on: 2026-02-27, status: announced, source_url: https://example.org/1}
      - {on: 2026-03-05, status: in_force, source_url: https://example.org/2, note: a letter}
      - {on: 2026-03-26T18:30:00-07:00, status: enjoined, source_url: https://example.org/3}
"""

SHORT = """\
version: 1
designations:
  - id: example-2
    vendor: mistral
    authority: Example Authority
    scope: [federal]
    status: in_force
    announced: 2026-02-27
    effective: 2026-03-05
    source_url: https://example.org/1
    retrieved: 2026-04-01
    note: a fact
"""


def load(text: str) -> tuple[Designation, ...]:
    return load_designation_files(Path("facts"), {"a.yaml": text.encode()}, load_catalog())


def refused(text: str) -> str:
    with pytest.raises(DocumentError) as caught:
        load(text)
    return caught.value.message


def test_every_key_arrives() -> None:
    """All of the specification's fields, and where the designation stands."""
    (fact,) = load(FULL)
    assert (fact.id, fact.vendor, fact.authority) == ("example-1", "mistral", "Example Authority")
    assert fact.statute == "1 Example Code 2"
    assert fact.scope == frozenset({"federal", "defense"})
    assert (fact.announced, fact.effective) == (date(2026, 2, 27), date(2026, 3, 5))
    assert (fact.phase_out_until, fact.retrieved) == (date(2026, 9, 1), date(2026, 4, 1))
    assert fact.sha256 is not None
    assert fact.sha256.startswith("b179")
    assert (fact.note, fact.source) == ("NO", "facts/a.yaml:3")
    assert [change.note for change in fact.history] == ["", "a letter", ""]
    assert fact.history[1].source_url == "https://example.org/2"


def test_the_status_is_told_as_of_any_moment() -> None:
    """Each change holds from its own instant on; the zone that it was written in counts."""
    (fact,) = load(FULL)
    enjoined = datetime(2026, 3, 27, 1, 30, tzinfo=UTC)
    assert fact.status_at(datetime(2026, 2, 26, tzinfo=UTC)) is None
    assert fact.status_at(datetime(2026, 3, 4, tzinfo=UTC)) is Status.ANNOUNCED
    assert fact.status_at(enjoined - timedelta(seconds=1)) is Status.IN_FORCE
    assert fact.status_at(enjoined) is Status.ENJOINED


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", [("2026-02-27", "announced"), ("2026-03-05", "in_force")]),
        ("    announced: 2026-02-27\n", "", [("2026-03-05", "in_force")]),
        ("announced: 2026-02-27", "announced: 2026-03-05", [("2026-03-05", "in_force")]),
        (
            "status: in_force\n    announced: 2026-02-27\n    effective: 2026-03-05",
            "status: announced\n    announced: 2026-02-27\n    effective: 2026-09-01",
            [("2026-02-27", "announced"), ("2026-09-01", "in_force")],
        ),
    ],
    ids=["both dates", "effective only", "one day", "takes effect later"],
)
def test_without_a_history_the_two_dates_tell_it(
    old: str, new: str, expected: list[tuple[str, str]]
) -> None:
    """Announced and effective are the changes; both on one day are one."""
    (fact,) = load(SHORT.replace(old, new) if old else SHORT)
    assert [(str(c.at.date()), str(c.status)) for c in fact.history] == expected
    assert {change.source_url for change in fact.history} == {"https://example.org/1"}


def test_a_change_after_retrieval_is_known_ahead() -> None:
    """An end that was published beforehand comes by itself; the status is that of the reading."""
    text = FULL.replace("status: enjoined\n", "status: in_force\n").replace(
        "2026-03-26T18:30:00-07:00, status: enjoined", "2027-03-26, status: expired"
    )
    (fact,) = load(text)
    assert fact.status_at(datetime(2027, 3, 25, tzinfo=UTC)) is Status.IN_FORCE
    assert fact.status_at(datetime(2027, 3, 26, tzinfo=UTC)) is Status.EXPIRED


MISTAKES = [
    ("vendor: mistral", "vendor: mistrl", "4:13: unknown vendor 'mistrl'", "did you mean"),
    ("vendor: mistral", "vendor: self", "4:13: unknown vendor 'self'", ""),
    (
        "status: in_force",
        "status: inforce",
        "7:13: expected 'announced', 'in_force'",
        "'in_force'?",
    ),
    ("scope: [federal]", "scope: federal", "6:12: expected a list", "write it as [a, b]"),
    ("scope: [federal]", "scope: []", "6:12: must not be empty", ""),
    ("note:", "nte:", "12:5: unknown key 'nte'", "did you mean 'note'?"),
    ("    retrieved: 2026-04-01\n", "", "3:5: missing key 'retrieved'", ""),
    ("retrieved: 2026-04-01", "retrieved: April", "11:16: expected a date, as 2026-03-05", ""),
    ("retrieved: 2026-04-01", "retrieved: 20260401", "11:16: expected a date", ""),
    ("https://example.org/1", "example.org", "10:17: expected an http:// or https:// URL", ""),
    ("effective: 2026-03-05", "sha256: ABC", "9:13: expected a sha256", ""),
    ("    effective: 2026-03-05\n", "", "7:13: the status 'in_force' needs the date 'effe", ""),
    (
        "    status: in_force\n    announced: 2026-02-27\n",
        "    status: announced\n",
        "7:13: the status 'announced' needs the date 'announced'",
        "",
    ),
    ("status: in_force", "status: stayed", "7:13: the status 'stayed' needs a history", "[{on: "),
    ("status: in_force", "status: vacated", "7:13: the status 'vacated' needs a history", ""),
    (
        "status: in_force",
        "status: announced",
        "7:13: expected 'in_force', the last of its history up to 2026-04-01 ('retrieved')",
        "",
    ),
    ("announced: 2026-02-27", "announced: 2026-03-06", "8:16: expected 'announced' on or", ""),
]


@pytest.mark.parametrize(("old", "new", "message", "hint"), MISTAKES)
def test_a_mistake_is_told_with_its_place(old: str, new: str, message: str, hint: str) -> None:
    """Line, column, what was expected, and what to write instead."""
    told = refused(SHORT.replace(old, new))
    assert told.startswith(f"facts/a.yaml:{message}")
    assert hint in told
    assert told.count("facts/a.yaml:") == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("status: enjoined\n", "status: in_force\n", "8:13: expected 'enjoined', the last of its"),
        ("2026-03-05, status", "2026-02-27, status", "18:14: expected a later date than that of"),
        ("2026-03-05, status", "2026-01-01, status", "18:14: expected a later date than that of"),
        (
            "retrieved: 2026-04-01",
            "retrieved: 2026-02-01",
            "17:14: expected a change on or before 'retrieved'",
        ),
        (", note: a letter", ", nte: a letter", "18:79: unknown key 'nte'"),
        (", source_url: https://example.org/3", "", "19:9: missing key 'source_url'"),
    ],
)
def test_a_history_is_held_to_its_dates(old: str, new: str, message: str) -> None:
    """It ascends, says where each change can be read, and ends in the status."""
    assert refused(FULL.replace(old, new)).startswith(f"facts/a.yaml:{message}")


def test_an_empty_history_is_none() -> None:
    """``history: []`` would be a designation that never was."""
    assert "must not be empty" in refused(SHORT + "    history: []\n")


def test_one_id_in_two_files_names_both_places(tmp_path: Path) -> None:
    """All problems of all files at once, this one among them."""
    (tmp_path / "a.yaml").write_text(SHORT)
    (tmp_path / "b.yaml").write_text(SHORT.replace("vendor: mistral", "vendor: mistrl"))
    with pytest.raises(DocumentError) as caught:
        load_designations(tmp_path, load_catalog())
    assert [problem.message for problem in caught.value.problems] == [
        f"the designation id 'example-2' is given a second time: first at {tmp_path}/a.yaml:3",
        "unknown vendor 'mistrl'",
    ]


def test_what_counts_is_the_yaml_of_the_folder_itself(tmp_path: Path) -> None:
    """Proposals in a sub-folder, hidden files and other endings are not in force."""
    (tmp_path / "a.yaml").write_text(SHORT)
    (tmp_path / ".b.yaml").write_text("nothing")
    (tmp_path / "README.md").write_text("nothing")
    (tmp_path / "proposed").mkdir()
    (tmp_path / "proposed" / "c.yaml").write_text(SHORT.replace("example-2", "example-3"))
    assert [fact.id for fact in load_designations(tmp_path, load_catalog())] == ["example-2"]


def test_a_missing_folder_is_no_designations(tmp_path: Path) -> None:
    """A gateway without facts is complete."""
    assert load_designations(tmp_path / "none", load_catalog()) == ()


def test_a_misnamed_file_is_refused(tmp_path: Path) -> None:
    """A fact that would silently not count."""
    (tmp_path / "a.yml").write_text(SHORT)
    with pytest.raises(DocumentError, match=r"a\.yml:1:1: .* ends in \.yaml: rename it"):
        load_designations(tmp_path, load_catalog())


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    """They come sorted by id, wherever they stand."""
    (tmp_path / "a.yaml").write_text(SHORT)
    (tmp_path / "b.yaml").write_text(FULL)
    assert [f.id for f in load_designations(tmp_path, load_catalog())] == ["example-1", "example-2"]
