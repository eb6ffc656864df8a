"""An import from the file to what lies in ``proposed``: real folders, a table of its own."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.designations import load_designation_files, load_designations
from gateway.config.proposed import proposals_text
from gateway.config.published_lists import Import, Order, import_list
from gateway.config.shipped import load_catalog
from gateway.errors import DocumentError, StateError
from gateway.vendors.designations import Status
from gateway.vendors.identity_table import IdentityTable, LegalIdentity
from gateway.vendors.proposals import Certain, Source, propose
from gateway.vendors.published.rows import Listed, plain, web_address

LISTS = Path(__file__).parent / "lists"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CATALOG = load_catalog()
TABLE = IdentityTable(
    [
        LegalIdentity(
            vendor="mistral",
            legal_names=("Example Labs and Sons",),
            identifiers=frozenset(),
            parents=("Example Trading",),
            source="https://example.org",
            retrieved=date(2026, 11, 24),
            checked=True,
        )
    ]
)
HEAD = "id,name,authority,scope,source_url,effective,ends\n"
LINE = "D-1,Example Labs & Sons LLC,Ministry,federal,https://example.org/1,2026-03-05,\n"


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """An import of a small generic list, as of a fixed instant."""
    return Order(
        file=written(tmp_path, HEAD + LINE + other(5)),
        format="generic",
        designations=tmp_path / "designations",
        state_dir=tmp_path / "state",
        now=NOW,
        published=date(2026, 11, 20),
    )


def written(folder: Path, text: str) -> Path:
    file = folder / "list.csv"
    file.write_text(text)
    return file


def other(rows: int) -> str:
    return "".join(
        f"O-{number},Another Company {number},Ministry,federal,https://example.org/2,,\n"
        for number in range(rows)
    )


def imported(order: Order) -> Import:
    return import_list(order, CATALOG, TABLE)


def refused(order: Order) -> str:
    with pytest.raises(StateError) as caught:
        imported(order)
    return caught.value.message


@pytest.mark.parametrize(
    ("format", "file", "ids"),
    [
        ("csl-json", "csl.json", ["csl-json-e5a9eff64cec4a74-mistral"]),
        ("csl-csv", "csl.csv", ["csl-csv-e5a9eff64cec4a74-mistral"]),
        ("ofac-sdn", "sdn.xml", ["ofac-sdn-9001-mistral"]),
        ("ofac-sdn", "sdn.csv", ["ofac-sdn-9001-mistral"]),
        ("sam-csv", "sam.csv", ["sam-csv-s4mrexamp-mistral"]),
        ("generic", "generic.csv", ["generic-d-1-mistral"]),
    ],
)
def test_every_format_becomes_a_file_that_loads(
    order: Order, format: str, file: str, ids: list[str]
) -> None:
    """Moved up by a person, the proposal is a designation in force; until then it is none."""
    done = imported(replace(order, format=format, file=LISTS / file))
    assert done.proposed_file.parent == order.designations / "proposed"
    assert load_designations(order.designations, CATALOG) == ()
    done.proposed_file.rename(order.designations / "moved.yaml")
    facts = load_designations(order.designations, CATALOG)
    assert [fact.id for fact in facts] == ids
    (fact,) = facts
    assert (fact.vendor, fact.sha256, fact.retrieved) == ("mistral", done.source.sha256, NOW.date())
    assert fact.status_at(NOW) is (Status.EXPIRED if format == "generic" else Status.IN_FORCE)
    assert "Example Labs" in fact.note or "EXAMPLE LABS" in fact.note


def test_a_list_tells_from_when_to_when(order: Order) -> None:
    """In force from its first day to the end of its last, and expired after that."""
    file = written(order.file.parent, HEAD + LINE.replace(",\n", ",2026-09-04\n"))
    imported(replace(order, file=file)).proposed_file.rename(order.designations / "a.yaml")
    (fact,) = load_designations(order.designations, CATALOG)
    assert fact.status_at(datetime(2026, 3, 4, 23, tzinfo=UTC)) is None
    assert fact.status_at(datetime(2026, 9, 4, 23, tzinfo=UTC)) is Status.IN_FORCE
    assert fact.status_at(datetime(2026, 9, 5, tzinfo=UTC)) is Status.EXPIRED


def test_what_is_yet_to_begin_is_announced(order: Order) -> None:
    """From the day of the list; in force only from the day that the list names."""
    file = written(order.file.parent, HEAD + LINE.replace("2026-03-05", "2027-01-01"))
    imported(replace(order, file=file)).proposed_file.rename(order.designations / "a.yaml")
    (fact,) = load_designations(order.designations, CATALOG)
    assert fact.status_at(NOW) is Status.ANNOUNCED
    assert fact.status_at(datetime(2027, 1, 1, tzinfo=UTC)) is Status.IN_FORCE


def test_what_a_list_holds_cannot_break_out_of_the_file(order: Order) -> None:
    """Quotes, colons and line ends of a name are read back as a note, and nothing else."""
    name = '"Example Labs & Sons LLC"'
    note = '"x"": ""y\nstatus: vacated # \u2028 {[&*!|>"'
    head = HEAD.replace(",ends", ",note")
    line = f"D-1,{name},Ministry,federal,https://example.org/1,2026-03-05,{note}\n"
    file = written(order.file.parent, head + line)
    imported(replace(order, file=file)).proposed_file.rename(order.designations / "a.yaml")
    (fact,) = load_designations(order.designations, CATALOG)
    assert fact.status_at(NOW) is Status.IN_FORCE
    assert 'x": "y status: vacated # {[&*!|>' in fact.note


def test_doubts_and_what_could_not_be_read_go_to_the_review_list(order: Order) -> None:
    """With line, name, vendor and reason; none of it is proposed."""
    text = HEAD + LINE.replace("Labs & Sons", "Trading") + LINE.replace("2026-03-05", "soon")
    done = imported(replace(order, file=written(order.file.parent, text + other(3))))
    assert (done.proposals, done.doubts, done.malformed) == (0, 1, 1)
    review = done.review_file.read_text()
    assert "line 2, D-1: 'Example Trading LLC'" in review
    assert "mistral? the name 'Example Trading LLC' is 'Example Trading', but that is a" in review
    assert "line 3: 'soon' is not a date" in review
    assert done.warnings == ("1 rows could not be read (lines 3)",)
    assert "designations: []" in done.proposed_file.read_text()


def test_a_second_import_of_the_same_file_changes_nothing(order: Order) -> None:
    """Not even on another day, and not where the file was touched."""
    order = replace(order, published=None)
    first = imported(order)
    before = {path: path.read_bytes() for path in order.designations.rglob("*") if path.is_file()}
    os.utime(order.file, (1, 1))
    second = imported(replace(order, now=NOW + timedelta(days=3)))
    after = {path: path.read_bytes() for path in order.designations.rglob("*") if path.is_file()}
    assert after == before
    assert (second.source, second.proposals) == (first.source, first.proposals)


def test_what_is_in_force_already_is_not_proposed_again(order: Order) -> None:
    """A later list with the same row and without a date of its own tells nothing new."""
    file = written(order.file.parent, HEAD + LINE.replace("2026-03-05", "") + other(5))
    first = imported(replace(order, file=file))
    first.proposed_file.rename(order.designations / "moved.yaml")
    later = replace(order, file=file, published=date(2026, 11, 23))
    file.write_text(file.read_text() + other(1))
    done = imported(later)
    assert (done.proposals, done.unchanged, done.gone) == (0, 1, ())


def test_a_change_of_what_is_in_force_is_proposed(order: Order) -> None:
    """A row that got an end."""
    imported(order).proposed_file.rename(order.designations / "moved.yaml")
    text = order.file.read_text().replace("2026-03-05,", "2026-03-05,2026-12-31")
    done = imported(replace(order, file=written(order.file.parent, text)))
    assert (done.proposals, done.unchanged) == (1, 0)
    assert "2027-01-01" in done.proposed_file.read_text()


def test_what_is_listed_no_more_is_named(order: Order) -> None:
    """Only what came from this format; what to do about it, a person says."""
    imported(order).proposed_file.rename(order.designations / "moved.yaml")
    done = imported(replace(order, file=written(order.file.parent, HEAD + other(6))))
    assert done.gone == ("generic-d-1-mistral",)
    assert "  generic-d-1-mistral\n" in done.review_file.read_text()


def test_a_list_that_lost_more_than_half_is_refused(order: Order) -> None:
    """Against the last import of its format; nothing is written, and half is not yet more."""
    imported(replace(order, file=written(order.file.parent, HEAD + other(10))))
    short = replace(order, file=written(order.file.parent, HEAD + LINE + other(3)))
    before = sorted(order.designations.rglob("*"))
    message = refused(short)
    assert "has 4 rows, the last generic of 2026-11-20 had 10: nothing was written" in message
    assert "--accept-shrunk" in message
    assert sorted(order.designations.rglob("*")) == before
    assert imported(replace(short, format="generic", accept_shrunk=True)).rows == 4
    # What was accepted is what the next one is compared with.
    assert imported(replace(order, file=written(order.file.parent, HEAD + other(2)))).rows == 2


def test_another_format_is_not_compared(order: Order) -> None:
    """A short list of one kind says nothing of a long one of another."""
    imported(replace(order, file=written(order.file.parent, HEAD + other(10))))
    assert imported(replace(order, format="sam-csv", file=LISTS / "sam.csv")).rows == 3


@pytest.mark.parametrize(
    ("published", "warnings"),
    [
        (date(2026, 10, 25), ()),
        (date(2026, 10, 24), ("the list is of 2026-10-24, 31 days old: download it anew",)),
        (
            date(2026, 11, 25),
            ("the list is of 2026-11-25, which is yet to come: is the date right?",),
        ),
    ],
)
def test_a_list_of_over_thirty_days_is_warned_of(
    order: Order, published: date, warnings: tuple[str, ...]
) -> None:
    """It is imported all the same."""
    assert imported(replace(order, published=published)).warnings == warnings


def test_the_day_of_a_list_is_its_own_word_first(order: Order) -> None:
    """Then the operator's, then that of the file."""
    own = replace(order, format="ofac-sdn", file=LISTS / "sdn.xml")
    done = imported(replace(own, published=date(2026, 1, 1)))
    assert done.source.published == date(2026, 11, 20)
    assert done.warnings[0] == (
        "--published is not taken: the list says itself that it is of 2026-11-20"
    )
    assert imported(order).source.published == date(2026, 11, 20)
    os.utime(order.file, (1_793_000_000, 1_793_000_000))
    order.file.write_text(order.file.read_text() + other(1))
    os.utime(order.file, (1_793_000_000, 1_793_000_000))
    assert imported(replace(order, published=None)).source.published == date(2026, 10, 26)


def test_an_older_list_than_the_last_is_warned_of(order: Order) -> None:
    """Two files confused."""
    imported(order)
    older = replace(order, published=date(2026, 11, 10))
    older.file.write_text(older.file.read_text() + other(1))
    assert imported(older).warnings == (
        "the list is of 2026-11-10, older than the last import's (2026-11-20)",
    )


def test_a_list_that_counts_itself_is_counted(order: Order, tmp_path: Path) -> None:
    """A file that was cut off cleanly has fewer entries than it says."""
    text = (LISTS / "sdn.xml").read_text().replace("<Record_Count>5", "<Record_Count>19391")
    file = tmp_path / "sdn.xml"
    file.write_text(text)
    assert (
        "the list says that it has 19391 entries, but 5 were found"
        in imported(replace(order, format="ofac-sdn", file=file, published=None)).warnings
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", "1: this is a compressed file: unpack it first"),
        (b"", "1: expected a first row with the names of the columns"),
        (HEAD.encode(), "no row of generic could be read (0 malformed): is this the right file"),
        (b"a,b\n1,2\n", "1: expected a column 'id'; there are: a, b"),
    ],
)
def test_a_file_that_is_no_list_is_refused(order: Order, content: bytes, message: str) -> None:
    """With the file's name; nothing is written."""
    order.file.write_bytes(content)
    told = refused(order)
    assert told.startswith(str(order.file))
    assert message in told
    assert not order.designations.exists()


def test_a_file_that_is_not_there_is_refused(order: Order) -> None:
    """By its name."""
    assert "none.csv cannot be read: No such file" in refused(
        replace(order, file=order.file.parent / "none.csv")
    )


def test_a_damaged_memory_of_the_last_import_is_told(order: Order) -> None:
    """Without it a list that shrank would not be noticed."""
    imported(order)
    record = order.state_dir / "imports" / "generic.json"
    record.write_text("{")
    assert f"{record} is damaged" in refused(order)


def test_designations_that_do_not_load_are_told_first(order: Order) -> None:
    """What is in force is not known, so nothing can be compared with it."""
    order.designations.mkdir()
    (order.designations / "a.yaml").write_text("version: 2\n")
    with pytest.raises(DocumentError, match=r"a\.yaml:1:10"):
        imported(order)


def test_two_rows_with_one_number_give_two_ids_or_one(order: Order) -> None:
    """The same row twice is one fact; another row under the same number is another."""
    text = HEAD + LINE * 2 + LINE.replace("2026-03-05", "2026-04-05")
    done = imported(replace(order, file=written(order.file.parent, text)))
    assert done.proposals == 2
    assert "generic-d-1-mistral-2" in done.proposed_file.read_text()


@given(st.data())
def test_whatever_a_list_holds_its_proposal_loads(data: st.DataObject) -> None:
    """And says what the row said: no text of a list ends a value or begins another."""
    text = st.text().map(plain).filter(bool)
    day = st.dates(date(1990, 1, 1), date(2050, 1, 1))
    listed = Listed(
        line=1,
        id=data.draw(text),
        name=data.draw(text),
        authority=data.draw(text),
        source_url=web_address(data.draw(st.text().map("http://{}".format)), "https://e.org/"),
        scope=tuple(data.draw(st.lists(text, min_size=1))),
        statute=data.draw(st.text().map(plain)),
        start=data.draw(st.none() | day),
        end=data.draw(st.none() | day),
        note=data.draw(st.text().map(plain)),
    )
    source = Source("generic", "0" * 64, data.draw(day), NOW.date())
    facts = propose([Certain(listed, "mistral", "a reason")], source, {})
    content = proposals_text(facts, source, data.draw(st.text()), 1).encode()
    (loaded,) = load_designation_files(Path(), {"a.yaml": content}, CATALOG)
    assert replace(loaded, source="") == facts[0]
