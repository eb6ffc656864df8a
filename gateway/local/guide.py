"""The only file that imports llguidance: grammars to what a token may be, one step at a time.

A bad grammar is an error there; llama.cpp's own can end the process.
"""

from __future__ import annotations

import json
import re
from typing import Protocol

import llguidance
import numpy as np
from llguidance.gbnf_to_lark import any_to_lark
from numpy.typing import NDArray

from gateway.local.grammar import Grammar, GrammarFault

_LISTING = re.compile(r"^ *\d+ \| ", re.MULTILINE)
"""How the lines of a grammar begin that stand behind an error's reason."""
KEPT = 64
"""Compiled grammars that are kept: an app mostly asks with the same one again."""


class Vocabulary(Protocol):
    """What must be known of a model's tokens. ``pieces`` are their bytes, none of a control token;
    ``name`` gives the bytes of those too.
    """

    pieces: tuple[bytes, ...]
    ends: frozenset[int]

    def name(self, token: int) -> bytes: ...
    def encode(self, text: str) -> list[int]: ...


class _Tokenizer:
    """The vocabulary in the form that llguidance asks for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.eos_token_id = min(vocabulary.ends)
        self.bos_token_id = None
        self.tokens = [vocabulary.name(token) for token in range(len(vocabulary.pieces))]
        self.special_token_ids = [t for t, piece in enumerate(vocabulary.pieces) if not piece]
        self._encode = vocabulary.encode

    def __call__(self, text: str | bytes) -> list[int]:
        return self._encode(text if isinstance(text, str) else text.decode("utf-8", "replace"))


class Guide:
    """One answer on its way through its grammar."""

    def __init__(self, matcher: llguidance.LLMatcher, ends: frozenset[int]) -> None:
        self._matcher = matcher
        self._ends = ends

    def fork(self) -> Guide:
        """Another answer, at the same place."""
        return Guide(self._matcher.deep_copy(), self._ends)

    def allows(self, token: int) -> bool:
        """Whether this token may come next."""
        if token in self._ends:
            return self._matcher.is_accepting()
        return self._matcher.validate_tokens([token]) == 1

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens may come next: a flag for each of the vocabulary."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, bitorder="little").view(np.bool_)

    def take(self, token: int) -> bool:
        """Go on behind ``token``; whether the answer is complete and nothing more may come."""
        if token not in self._ends:
            self._matcher.consume_token(token)
        return self._matcher.is_stopped()


class Guides:
    """Compiles grammars for one model. Belongs to one thread."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        wrapped = llguidance.TokenizerWrapper(_Tokenizer(vocabulary))
        self._ends = vocabulary.ends
        self._tokenizer = llguidance.LLTokenizer(
            wrapped, eos_token=sorted(vocabulary.ends), slices=llguidance.LLTokenizer.json_slices()
        )
        self._kept: dict[Grammar, Guide] = {}

    def compile(self, grammar: Grammar, param: str) -> Guide:
        """A guide at its beginning. Raises GrammarFault, naming ``param``, where llguidance does
        not take the grammar.
        """
        kept = self._kept.get(grammar)
        if kept is None:
            matcher = llguidance.LLMatcher(self._tokenizer, _whole(grammar, param), log_level=0)
            if matcher.is_error():
                raise GrammarFault(_readable(matcher.get_error()), param)
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            kept = self._kept[grammar] = Guide(matcher, self._ends)
        return kept.fork()


def _whole(grammar: Grammar, param: str) -> str:
    if grammar.given is None:
        return grammar.lark
    try:
        given = any_to_lark(grammar.given)
    except Exception as error:  # what a grammar lacks has no narrower type there
        raise GrammarFault(_readable(str(error)), param) from error
    parts = [("main", grammar.lark), ("given", given)]
    return json.dumps({"grammars": [{"name": n, "lark_grammar": text} for n, text in parts]})


def _readable(error: str) -> str:
    """What an error says to whoever wrote the schema or grammar, in one line: without the place,
    which is one in the whole grammar, of which most is ours.
    """
    reason = _LISTING.split(error, maxsplit=1)[0]
    return re.sub(r"^at \d+\(\d+\): ", "", " ".join(reason.split()))[:500]
