"""How the next token is chosen: llama.cpp's chain of samplers, and a grammar where one is asked.

Sampling stays in C, and a step makes no Python loop over the vocabulary.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gateway.domain.call import Sampling
from gateway.domain.events import Scored
from gateway.local.guide import Guide
from gateway.local.native import llama
from gateway.local.scores import scored
from gateway.local.store import Store

TEMPERATURE = 0.8
TOP_P = 0.95
TOP_K = 40
MIN_P = 0.05
"""What is left open by a request: llama.cpp's own defaults."""
RANDOM_SEED = 0xFFFFFFFF
"""What llama.cpp takes for: choose a seed yourself."""
CANDIDATE = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
"""``llama_token_data``."""


Bias: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float32]]


class Candidates:
    """Room for what may come next, of a vocabulary of ``size`` tokens. One serves all answers."""

    def __init__(self, size: int) -> None:
        self._ids = np.arange(size, dtype=np.int32)
        self._data = np.zeros(size, dtype=CANDIDATE)

    def choose(self, chain: Any, logits: NDArray[np.float32]) -> int:
        """What a chain of samplers chooses by these logits. It remembers nothing of it."""
        data = self._data
        data["id"] = self._ids
        data["logit"] = logits
        data["p"] = 0
        array = llama.llama_token_data_array(
            data=data.ctypes.data_as(llama.llama_token_data_p),
            size=len(logits),
            selected=-1,
            sorted=False,
        )
        llama.llama_sampler_apply(chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


class Sampler:
    """One answer's way of choosing. Without a ``chain`` of llama.cpp's samplers it is the likeliest
    token; ``bias`` has token ids, and what is added to the logits of each. With a ``guide`` only
    what it allows is chosen; with ``likely`` so many of the likeliest tokens are told beside each
    chosen one, by their ``name``.
    """

    def __init__(
        self,
        store: Store,
        chain: Any | None,
        candidates: Candidates,
        bias: Bias | None,
        name: Callable[[int], bytes],
        guide: Guide | None,
        likely: int | None,
    ) -> None:
        self._store = store
        self._chain = chain
        self._candidates = candidates
        self._bias = bias
        self._name = name
        self._guide = guide
        self._likely = likely
        self.scored: Scored | None = None
        self.complete = False

    def sample(self, row: int) -> int:
        """The token chosen from output ``row`` of the last decode; remembered for penalties. Sets
        ``complete`` where nothing more may come behind it, and ``scored``.
        """
        unseen = self._guide is None and self._likely is None and self._chain is not None
        if unseen and self._bias is None:
            return self._by_llama(row)
        logits = self._store.logits(row)
        told = logits if self._likely is None or self._bias is None else logits.copy()
        if self._bias is not None:
            # In llama.cpp's own room, which the next decode fills anew: its samplers see it, too.
            tokens, added = self._bias
            logits[tokens] += added
        if unseen:
            return self._by_llama(row)
        token = self._choose(logits)
        if self._guide is not None and not self._guide.allows(token):
            # Choosing again among what is allowed comes to the same probabilities as choosing
            # there at once, and is seldom needed.
            allowed = np.where(self._guide.allowed()[: len(logits)], logits, -np.inf)
            token = self._choose(allowed)
        if self._chain is not None:
            llama.llama_sampler_accept(self._chain, token)
        if self._likely is not None:
            self.scored = scored(told, token, self._likely, self._name)
        if self._guide is not None:
            self.complete = self._guide.take(token)
        return token

    def close(self) -> None:
        if self._chain is not None:
            llama.llama_sampler_free(self._chain)

    def _by_llama(self, row: int) -> int:
        """Without a look at the logits here."""
        return int(llama.llama_sampler_sample(self._chain, self._store.handle, row))

    def _choose(self, logits: NDArray[np.float32]) -> int:
        if self._chain is None:
            return int(logits.argmax())
        return self._candidates.choose(self._chain, logits)


def make_chain(sampling: Sampling, seed: int, *, vocabulary: int, context: int) -> Any | None:
    """llama.cpp's samplers for one answer; ``None`` where the likeliest token is taken as it is
    (``temperature`` of 0), since they would first write out the whole vocabulary, of ``vocabulary``
    tokens.
    """
    samplers = list(_samplers(sampling, seed, vocabulary, context))
    if not samplers:
        return None
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for sampler in samplers:
        llama.llama_sampler_chain_add(chain, sampler)
    return chain


def _samplers(sampling: Sampling, seed: int, vocabulary: int, context: int) -> Iterator[Any]:
    heat = TEMPERATURE if sampling.temperature is None else sampling.temperature
    penalties = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty)
    if penalties != (1.0, 0.0, 0.0):
        yield llama.llama_sampler_init_penalties(vocabulary, context, *penalties)
        if heat <= 0:
            yield llama.llama_sampler_init_greedy()
    if heat > 0:
        top_k = TOP_K if sampling.top_k is None else sampling.top_k
        top_p = TOP_P if sampling.top_p is None else sampling.top_p
        min_p = MIN_P if sampling.min_p is None else sampling.min_p
        yield llama.llama_sampler_init_top_k(top_k)
        yield llama.llama_sampler_init_top_p(top_p, 1)
        yield llama.llama_sampler_init_min_p(min_p, 1)
        yield llama.llama_sampler_init_temp(heat)
        yield llama.llama_sampler_init_dist(seed % RANDOM_SEED)


def make_bias(sampling: Sampling, vocabulary: int, ends: Iterable[int]) -> Bias | None:
    """What is added to logits, if anything. Tokens that the vocabulary does not have are not there
    to be favoured or avoided.
    """
    added = {token: add for token, add in sampling.logit_bias if token < vocabulary}
    if sampling.ignore_end:
        added |= dict.fromkeys(ends, -math.inf)
    if not added:
        return None
    return np.array(list(added), np.int32), np.array(list(added.values()), np.float32)
