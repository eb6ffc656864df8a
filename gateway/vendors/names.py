"""Names of companies, made comparable without guessing: what is left must agree exactly."""

from __future__ import annotations

import unicodedata

_SUFFIXES = """
    ab ag aktiengesellschaft as asa bhd bv co company corp corporation dac fzco fze gmbh inc
    incorporated jsc kft kg kgaa kk lda limited llc llp lp ltd ltda nv oao ojsc ooo oy oyj pao pbc
    pjsc plc pte pty sa sarl sas sasu se sl spa srl sro ug zao
"""
LEGAL_SUFFIXES = frozenset(_SUFFIXES.split())
"""Words that say what kind of legal person it is. They count only at the end, and whole."""

_JOINED = "'’`."
"""What stands within a word and parts none: ``L.L.C.`` is ``llc``."""


def normalized(name: str) -> tuple[str, ...]:
    """The words of a name: Unicode NFKC, without case, punctuation and legal suffixes.

    A name that is nothing but suffixes keeps its first word.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    # Once more, for what a dot has parted from its accent.
    joined = unicodedata.normalize("NFKC", _joined(folded.replace("&", " and ")))
    letters = (c if c.isalnum() or unicodedata.combining(c) else " " for c in joined)
    words = "".join(letters).split()
    while len(words) > 1 and words[-1] in LEGAL_SUFFIXES:
        words.pop()
    return tuple(words)


def _joined(text: str) -> str:
    return "".join(character for character in text if character not in _JOINED)


def contains(words: tuple[str, ...], part: tuple[str, ...]) -> bool:
    """Whether ``part`` stands in ``words`` whole and in one piece."""
    size = len(part)
    return any(words[at : at + size] == part for at in range(len(words) - size + 1))


def shortened(words: tuple[str, ...]) -> frozenset[str]:
    """The letters of a name together, and with any one of them left out.

    Two names that share one of these differ by a letter, by two letters that changed places, or
    only by their blanks. Names of under five letters give nothing: too many would be alike.
    """
    letters = "".join(words)
    if len(letters) < 5:
        return frozenset()
    return frozenset({letters, *(letters[:at] + letters[at + 1 :] for at in range(len(letters)))})
