"""Published lists, read from files in the shape in which each is published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.published_lists import READERS
from gateway.vendors.published import json_stream, tables, xml_stream
from gateway.vendors.published.rows import (
    Alias,
    Identifier,
    Item,
    Listed,
    Malformed,
    Published,
    Scheme,
    UnreadableList,
    identifier,
)

LISTS = Path(__file__).parent / "lists"
FILES = {
    "csl-json": "csl.json",
    "csl-csv": "csl.csv",
    "ofac-sdn": "sdn.xml",
    "sam-csv": "sam.csv",
    "generic": "generic.csv",
}
LEI = Identifier(Scheme.LEI, "549300EXAMPLE0000073")


def chunks(data: bytes, size: int = 1 << 16) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def read(format: str, data: bytes | None = None, size: int = 1 << 16) -> list[Item]:
    raw = (LISTS / FILES[format]).read_bytes() if data is None else data
    return list(READERS[format](chunks(raw, size)))


def listed(items: list[Item]) -> list[Listed]:
    return [item for item in items if isinstance(item, Listed)]


def malformed(items: list[Item]) -> list[tuple[int, str]]:
    return [(item.line, item.reason) for item in items if isinstance(item, Malformed)]


@pytest.mark.parametrize("file", ["sdn.xml", "sdn.csv"])
def test_the_sdn_list_in_both_its_forms(file: str) -> None:
    """Uid, name, type and programs; only the XML has identifiers and the strength of an alias."""
    items = read("ofac-sdn", (LISTS / file).read_bytes())
    company, person, vessel = listed(items)
    assert (company.id, company.name) == ("9001", "EXAMPLE LABS & SONS, L.L.C.")
    assert company.scope == ("EXAMPLE1", "EXAMPLE2")
    assert company.authority.startswith("Office of Foreign Assets Control")
    assert [row.kind for row in (company, person, vessel)] == ["entity", "individual", "vessel"]
    assert person.name == "DOE, Jane"
    if file == "sdn.xml":
        assert company.aliases == (Alias("EXLABS", strong=True), Alias("THE LABS", strong=False))
        assert company.identifiers == {LEI}
        assert vessel.note == "(Linked To: EXAMPLE LABS)"
        assert malformed(items) == [
            (38, "'' is no number of an entry"),
            (42, "an entry without a name"),
        ]
        assert items[0] == Published(date(2026, 11, 20), 5)
    else:
        assert company.note == "a.k.a. 'EXLABS'."
        assert malformed(items) == [(4, "4 fields where SDN.CSV has 12")]


@pytest.mark.parametrize("format", ["csl-json", "csl-csv"])
def test_the_consolidated_screening_list_in_both_its_forms(format: str) -> None:
    """The same two rows; how sure an alias is, neither says."""
    items = read(format)
    company, person = listed(items)[:2]
    assert (company.id, company.name) == ("e5a9eff64cec4a74", "Example Labs & Sons, L.L.C.")
    assert company.authority == "Entity List (EL) - Bureau of Industry and Security"
    assert company.aliases == (Alias("ExLabs", None), Alias("The Labs", None))
    assert company.identifiers == {LEI}
    assert (company.kind, company.scope) == ("entity", ("EL",))
    assert (company.start, company.end) == (date(2026, 3, 5), None)
    assert company.source_url == "https://www.example.org/entity-list"
    assert company.note == "99 FR 1; For all items subject to the EAR."
    assert (person.kind, person.scope) == ("individual", ("SDN", "EXAMPLE1", "EXAMPLE2"))
    assert person.source_url == "https://www.trade.gov/consolidated-screening-list"


def test_what_is_wrong_in_the_consolidated_list_is_told_by_line() -> None:
    """A row over two lines moves no other row's line."""
    assert malformed(read("csl-csv")) == [
        (5, "'soon' is not a date"),
        (6, "a row without a name"),
    ]
    items = read("csl-json")
    assert malformed(items) == [
        (7, "'soon' is not a date"),
        (8, "'alt_names' is no list of names"),
        (9, "an entry that is no object"),
    ]
    assert items[-1] == Published(date(2026, 11, 19))


def test_exclusions_of_sam() -> None:
    """American dates, an open end, numbers of two registers, and people under other columns."""
    items = read("sam-csv")
    company, other, person = listed(items)
    assert (company.id, company.name) == ("S4MREXAMP", "EXAMPLE LABS & SONS LLC")
    assert company.authority == "GSA (SAM.gov exclusions)"
    assert {str(number) for number in company.identifiers} == {"uei EXAMP1E00007", "cage 1EXA7"}
    assert (company.start, company.end) == (date(2025, 12, 13), None)
    assert company.scope == ("SAM", "Reciprocal")
    assert company.note.startswith("Prohibition/Restriction. Prohibition is limited")
    assert (other.kind, other.end) == ("entity", date(2026, 11, 20))
    assert other.authority == "SAM.gov exclusions"
    assert (person.kind, person.name) == ("individual", "DOE JANE")
    assert malformed(items) == [(5, "'2023/11/21' is not a date")]


def test_a_list_of_ones_own() -> None:
    """Every column arrives; what is missing or wrong in a row is told."""
    items = read("generic")
    (row,) = listed(items)
    assert (row.id, row.authority, row.statute) == ("D-1", "Example Ministry", "1 Example Code 2")
    assert row.aliases == (Alias("ExLabs", strong=True), Alias("The Labs", strong=False))
    assert (row.identifiers, row.scope) == (frozenset({LEI}), ("example", "federal"))
    assert (row.start, row.end, row.note) == (date(2026, 3, 5), date(2026, 9, 4), "a letter")
    assert malformed(items) == [
        (3, "'source_url' is no http:// or https:// URL"),
        (4, "'123' is no LEI"),
        (5, "a row without 'name'"),
    ]


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("size", [1, 7, 100])
def test_where_a_chunk_ends_does_not_matter(format: str, size: int) -> None:
    """One byte at a time gives what the whole file gives."""
    assert read(format, size=size) == read(format)


@pytest.mark.parametrize("file", ["sdn.csv"])
@pytest.mark.parametrize("size", [1, 7])
def test_nor_in_the_classic_file(file: str, size: int) -> None:
    """The form is told by the first character, however few come at first."""
    data = (LISTS / file).read_bytes()
    assert read("ofac-sdn", data, size) == read("ofac-sdn", data)


XML = b'<?xml version="1.0"?>'
ENTRY = b"<sdnEntry><uid>1</uid><lastName>A</lastName></sdnEntry>"
ENTITIES = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<sdnList><sdnEntry><uid>1</uid><lastName>&b;</lastName></sdnEntry></sdnList>"
)
OUTSIDE = b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><sdnList></sdnList>'


@pytest.mark.parametrize(
    ("format", "data", "line", "message"),
    [
        ("ofac-sdn", XML + ENTITIES, 1, "a document type declaration is not allowed"),
        ("ofac-sdn", XML + OUTSIDE, 1, "a document type declaration is not allowed"),
        ("ofac-sdn", XML + b"<sdnList>&b;</sdnList>", 1, "not well-formed XML: undefined entity"),
        ("ofac-sdn", XML + b"\n<sdnList>" + ENTRY, 2, "not well-formed XML: no element found"),
        ("ofac-sdn", XML + b"<html></html>", 1, "expected <sdnList>, not <html>"),
        ("ofac-sdn", XML + b'<Sanctions xmlns="x"></Sanctions>', 1, "download SDN.XML"),
        ("ofac-sdn", XML + b"<sdnList>" + b"<a>" * 20, 1, "nested too deeply: at most 16 levels"),
        ("ofac-sdn", b"a,b,c\n" * 20, 1, "not SDN.CSV: it has 12 columns and no heading"),
        ("csl-json", b"[]", 1, "expected '{', not '['"),
        ("csl-json", b"{}", 1, "it has no 'results'"),
        ("csl-json", b"", 1, "expected '{', not 'the end of the file'"),
        ("csl-json", b'{"results":[\n{"name":"A"},\n{"name":', 3, "not the JSON of such a list"),
        ("csl-json", b'{"results":[\n{"name":"A"}]} x', 2, "expected the end of the file"),
        ("csl-json", b'{"results":[' + b"[" * 2000, 1, "not the JSON of such a list"),
        ("csl-json", b'{"results":["\xff"]}', 1, "not valid UTF-8"),
        ("csl-csv", b"", 1, "expected a first row with the names of the columns"),
        ("csl-csv", b"name,type\nA,B\n", 1, "expected a column 'source'; there are: name, type"),
        ("sam-csv", b"Name\n", 1, "expected a column 'Classification'"),
        (
            "generic",
            b"id,name,authority,scope,source_url,colour\n",
            1,
            "unexpected column 'colour'",
        ),
        ("generic", b"id,name,authority,scope,source_url,id\n", 1, "unexpected column 'id'"),
        ("generic", b"\xff\xfei\x00d\x00", 1, "this is UTF-16: save the file as UTF-8"),
    ],
)
def test_what_is_not_the_list_is_refused(format: str, data: bytes, line: int, message: str) -> None:
    """With the line, and what was expected."""
    with pytest.raises(UnreadableList) as caught:
        read(format, data)
    assert message in caught.value.message
    assert caught.value.line == line


HEAD = b"id,name,authority,scope,source_url\n"
GOOD = b"D-1,Example Two,Example Ministry,example,https://www.example.org/1\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'D-0,"Example"x,A,b,https://www.example.org\n', "not valid CSV"),
        (b"D-0,Example\xe9,A,b,https://www.example.org\n", "not valid UTF-8"),
        (b"D-0,Example,A\n", "3 fields where 5 are named"),
    ],
)
def test_a_row_that_is_wrong_loses_no_other(row: bytes, reason: str) -> None:
    """It is told with its line, and the next one is read."""
    items = read("generic", HEAD + GOOD + row + GOOD)
    ((line, told),) = malformed(items)
    assert line == 3
    assert reason in told
    assert [found.line for found in listed(items)] == [2, 4]


def test_a_quote_that_is_never_closed_tells_what_it_swallowed() -> None:
    """The lines up to the end of the file are named, not lost in silence."""
    items = read("generic", HEAD + GOOD + b'D-0,"Example,A\n' + GOOD * 3)
    ((line, told),) = malformed(items)
    assert (line, len(listed(items))) == (3, 1)
    assert "up to line 6" in told


def test_what_is_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless line, entry or text ends the reading before it fills the memory."""
    monkeypatch.setattr(tables, "MAX_LINE", 1000)
    monkeypatch.setattr(json_stream, "MAX_ENTRY", 1000)
    monkeypatch.setattr(xml_stream, "MAX_CHARACTERS", 1000)
    monkeypatch.setattr(xml_stream, "MAX_PARTS", 100)
    for format, data, message in (
        ("generic", b"a" * 2000, "a line of over 1000 bytes"),
        ("csl-json", b'{"results":["' + b"a" * 2000, "an entry of over 1000 characters"),
        ("ofac-sdn", b"<sdnList><sdnEntry>" + b"a" * 2000, "an entry of over 1000 characters"),
        ("ofac-sdn", b"<sdnList><sdnEntry>" + b"<a/>" * 200, "an entry of over 100 elements"),
    ):
        with pytest.raises(UnreadableList, match=message):
            read(format, data, size=100)


@pytest.mark.parametrize(
    ("scheme", "text", "value"),
    [
        (Scheme.LEI, "5493 00example0000073", "549300EXAMPLE0000073"),
        (Scheme.LEI, "549300EXAMPLE0000074", None),
        (Scheme.LEI, "549300EXAMPLE000007", None),
        (Scheme.UEI, "EXAMP1E00007", "EXAMP1E00007"),
        (Scheme.UEI, "EXAMPLE0000O", None),
        (Scheme.UEI, "0XAMP1E00007", None),
        (Scheme.CAGE, "1exa7", "1EXA7"),
        (Scheme.CAGE, "1EXI7", None),
        (Scheme.CAGE, "", None),
    ],
)
def test_a_number_has_the_form_of_its_register(
    scheme: Scheme, text: str, value: str | None
) -> None:
    """Check digits of an LEI, and no letter that a register does not use."""
    found = identifier(scheme, text)
    assert (found.value if found else None) == value


@given(st.sampled_from(sorted(FILES)), st.binary(max_size=40), st.data())
def test_no_damage_ends_in_anything_but_a_refusal(
    format: str, damage: bytes, data: st.DataObject
) -> None:
    """A file that was cut, overwritten or is no list at all: rows, or the reason why not."""
    raw = (LISTS / FILES[format]).read_bytes()
    at = data.draw(st.integers(0, len(raw)))
    kept = data.draw(st.integers(0, len(raw)))
    with suppress(UnreadableList):
        items = read(format, raw[:at] + damage + raw[kept:])
        assert all(isinstance(item, Listed | Malformed | Published) for item in items)
