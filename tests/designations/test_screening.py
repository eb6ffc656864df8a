"""What is certain of a row, what is in doubt, and what is nothing."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.shipped import load_catalog, load_identities
from gateway.vendors.identity_table import IdentityTable, LegalIdentity
from gateway.vendors.names import LEGAL_SUFFIXES, normalized
from gateway.vendors.published.rows import Alias, Identifier, Listed, Scheme
from gateway.vendors.screening import Screen

LEI = Identifier(Scheme.LEI, "549300EXAMPLE0000073")
UEI = Identifier(Scheme.UEI, "EXAMP1E00007")


def identity(vendor: str, *names: str, checked: bool = True, **more: Any) -> LegalIdentity:
    return LegalIdentity(
        vendor=vendor,
        legal_names=names,
        identifiers=more.get("identifiers", frozenset()),
        parents=more.get("parents", ()),
        source="https://example.org",
        retrieved=date(2026, 11, 24),
        checked=checked,
    )


TABLE = IdentityTable(
    [
        identity("mistral", "Mistral AI SAS", identifiers=frozenset({LEI})),
        identity("zai", "Beijing Zhipu Huazhang Technology Co., Ltd.", parents=("Zhipu Group",)),
        identity("cohere", "Cohere Inc.", checked=False),
        identity("xai", "X.AI Corp."),
    ]
)


def row(name: str, **more: Any) -> Listed:
    return Listed(
        line=1, id="1", name=name, authority="A", source_url="https://example.org", **more
    )


def judged(listed: Listed) -> list[tuple[str, bool, str]]:
    screen = Screen(load_catalog(), TABLE)
    return [(f.vendor, f.certain, f.reason) for f in screen.judge(listed)]


@pytest.mark.parametrize(
    ("listed", "vendor", "reason"),
    [
        (row("MISTRAL AI"), "mistral", "the name 'MISTRAL AI' is 'Mistral AI SAS'"),
        (row("Mistral A.I., S.A.S."), "mistral", "the name 'Mistral A.I., S.A.S.' is"),
        (row("\uff2d\uff29\uff33\uff34\uff32\uff21\uff2c AI"), "mistral", "is 'Mistral AI SAS'"),
        (row("BEIJING ZHIPU HUAZHANG TECHNOLOGY COMPANY LIMITED"), "zai", "is 'Beijing Zhipu"),
        (
            row("Another", identifiers=frozenset({LEI})),
            "mistral",
            "its LEI is 549300EXAMPLE0000073",
        ),
        (row("Another", aliases=(Alias("Mistral AI", True),)), "mistral", "the alias 'Mistral AI'"),
        (row("Mistral AI", identifiers=frozenset({UEI})), "mistral", "is 'Mistral AI SAS'"),
    ],
)
def test_certain_is_a_number_or_the_whole_legal_name(
    listed: Listed, vendor: str, reason: str
) -> None:
    """Case, width, punctuation and legal suffixes do not matter; nothing else is left out."""
    ((found, certain, why),) = judged(listed)
    assert (found, certain) == (vendor, True)
    assert reason in why


@pytest.mark.parametrize(
    ("listed", "vendor", "reason"),
    [
        (row("Mistral AI", kind="vessel"), "mistral", "but the list says vessel"),
        (row("Mistral AI", kind="individual"), "mistral", "but the list says individual"),
        (row("Another", aliases=(Alias("Mistral AI", False),)), "mistral", "but a weak alias"),
        (row("Another", aliases=(Alias("Mistral AI", None),)), "mistral", "of unknown strength"),
        (row("Zhipu Group"), "zai", "but that is a parent of it"),
        (row("Cohere"), "cohere", "but its row of the identity table is not checked"),
        (row("Groq Inc"), "groq", "but that is what the catalog calls it, not a legal name"),
        (row("Mistrall AI"), "mistral", "'Mistrall AI' is almost 'Mistral AI SAS'"),
        (row("Mistarl AI"), "mistral", "is almost 'Mistral AI SAS'"),
        (row("Mis tralAI"), "mistral", "is almost 'Mistral AI SAS'"),
        (row("Mistral AI Nederland BV"), "mistral", "contains 'Mistral AI SAS'"),
        (row("Mistral"), "mistral", "but that is what the catalog calls it"),
        (row("Zhipu Linghang Technology Co., Ltd."), "zai", "contains 'zhipu'"),
        (row("The Mistral AI Company of Paris"), "mistral", "contains 'Mistral AI SAS'"),
        (
            row("Mistral AI", identifiers=frozenset({Identifier(Scheme.LEI, "X" * 20)})),
            "mistral",
            "but the LEI is another",
        ),
    ],
)
def test_all_that_is_merely_alike_is_in_doubt(listed: Listed, vendor: str, reason: str) -> None:
    """It never becomes a proposal, and the reason says what a person has to look at."""
    ((found, certain, why),) = judged(listed)
    assert (found, certain) == (vendor, False)
    assert reason in why


@pytest.mark.parametrize(
    "name",
    [
        "Aerocaribbean Airlines",
        "Metallurgy Works",
        "Beijing Technology Co., Ltd.",
        "XAIO Trading",
        "!!!",
    ],
)
def test_what_shares_letters_and_no_words_is_nothing(name: str) -> None:
    """A word within a word, or one word of several, would flood the list of doubts."""
    assert judged(row(name)) == []


def test_a_row_that_fits_two_vendors_is_certain_of_neither() -> None:
    """A number of one beside the name of another is a mistake of the list or of the table."""
    found = judged(row("X.AI Corp.", identifiers=frozenset({LEI})))
    assert {(vendor, certain) for vendor, certain, _ in found} == {
        ("mistral", False),
        ("xai", False),
    }
    assert all("it fits mistral and xai alike" in why for _, _, why in found)


def test_a_certain_finding_stands_beside_a_doubtful_one() -> None:
    """A name that is merely alike takes nothing away from the legal one, whichever comes first."""
    names = ("Mistral AI", "Mistral AI France")
    for name, alias in (names, reversed(names)):
        listed = row(name, aliases=(Alias(alias, strong=True),))
        assert [(vendor, certain) for vendor, certain, _ in judged(listed)] == [("mistral", True)]


@given(
    st.lists(st.text("abcäß\u4e2d\u0660", min_size=1), min_size=1, max_size=4),
    st.sampled_from(sorted(LEGAL_SUFFIXES)),
)
def test_a_suffix_counts_only_whole_and_at_the_end(words: list[str], suffix: str) -> None:
    """It falls away behind a name, and stays before one and glued to one."""
    plain = [word for word in words if word not in LEGAL_SUFFIXES] or ["name"]
    name = " ".join(plain)
    assert normalized(f"{name}, {suffix.upper()}.") == normalized(name)
    assert normalized(f"{suffix} {name}") != normalized(name)
    assert normalized(f"{name}x{suffix}") != normalized(name)


@given(st.text())
@example("C.\u0327")
@example("\u2488\ufb01")
def test_normalizing_ends_and_changes_nothing_the_second_time(name: str) -> None:
    """Whatever a list holds, its words are stable."""
    words = normalized(name)
    assert normalized(" ".join(words)) == words


def test_a_name_of_nothing_but_suffixes_keeps_a_word() -> None:
    """Else it would be the same as every other such name."""
    assert normalized("Limited Company") == ("limited",)


ROW: dict[str, Any] = {
    "vendor": "mistral",
    "legal_names": ["Mistral AI SAS"],
    "source": "https://example.org",
    "retrieved": date(2026, 11, 24),
    "checked": True,
}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**ROW, "vendor": "mistrl"}], "row 1 .* names 'mistrl', which is no vendor"),
        ([{**ROW, "leis": []}], "row 1 .* has unknown keys: leis"),
        ([{k: v for k, v in ROW.items() if k != "checked"}], "row 1 .* lacks 'checked'"),
        ([{**ROW, "lei": ["549300EXAMPLE0000074"]}], "has a LEI that is none"),
        ([{**ROW, "legal_names": []}], "has an empty name"),
        ([{**ROW, "source": "somewhere"}], "has a source that is no URL"),
        ([ROW, {**ROW, "vendor": "cohere", "legal_names": ["mistral ai"]}], "to mistral and to co"),
        (
            [
                {**ROW, "uei": ["EXAMP1E00007"]},
                {**ROW, "vendor": "cohere", "legal_names": ["Cohere"], "uei": ["EXAMP1E00007"]},
            ],
            "gives uei EXAMP1E00007 to mistral and to cohere",
        ),
    ],
)
def test_a_wrong_row_of_the_table_is_refused(rows: list[dict[str, Any]], message: str) -> None:
    """Two vendors with one name or number would make a coin decide who is banned."""
    with pytest.raises(ValueError, match=message):
        IdentityTable.from_mapping({"identity": rows}, load_catalog())


def test_the_shipped_table_loads_and_finds_its_own_names() -> None:
    """Each checked name of it is certain; each unchecked one alone is in doubt."""
    catalog = load_catalog()
    table = load_identities(catalog)
    screen = Screen(catalog, table)
    checked = {normalized(n): r.vendor for r in table.rows if r.checked for n in r.legal_names}
    assert len(checked) >= 10
    for entry in table.rows:
        for name in entry.legal_names:
            certain = [f.vendor for f in screen.judge(row(name.upper())) if f.certain]
            assert certain == ([entry.vendor] if normalized(name) in checked else [])
