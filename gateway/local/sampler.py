"""How the next token is chosen: llama.cpp's chain of samplers, and a grammar where one is asked.

Sampling stays in C, and a step makes no Python loop over the vocabulary.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
    """One answer's chain of samplers. With a ``guide`` only what it allows is chosen; with
    ``likely`` so many of the likeliest tokens are told beside each chosen one, by their ``name``.
    """

    def __init__(
        self,
        store: Store,
        chain: Any,
        candidates: Candidates,
        name: Callable[[int], bytes],
        guide: Guide | None,
        likely: int | None,
    ) -> None:
        self._store = store
        self._chain = chain
        self._candidates = candidates
        self._name = name
        self._guide = guide
        self._likely = likely
        self.scored: Scored | None = None
        self.complete = False

    def sample(self, row: int) -> int:
        """The token chosen from output ``row`` of the last decode; remembered for penalties. Sets
        ``complete`` where nothing more may come behind it, and ``scored``.
        """
        if self._guide is None and self._likely is None:
            return int(llama.llama_sampler_sample(self._chain, self._store.handle, row))
        logits = self._store.logits(row)
        token = self._candidates.choose(self._chain, logits)
        if self._guide is not None and not self._guide.allows(token):
            # Choosing again among what is allowed comes to the same probabilities as choosing
            # there at once, and is seldom needed.
            allowed = np.where(self._guide.allowed()[: len(logits)], logits, -np.inf)
            token = self._candidates.choose(self._chain, allowed)
        llama.llama_sampler_accept(self._chain, token)
        if self._likely is not None:
            self.scored = scored(logits, token, self._likely, self._name)
        if self._guide is not None:
            self.complete = self._guide.take(token)
        return token

    def close(self) -> None:
        llama.llama_sampler_free(self._chain)


def make_chain(
    sampling: Sampling, seed: int, *, vocabulary: int, context: int, ends: Iterable[int]
) -> Any:
    """llama.cpp's samplers for one answer. ``temperature`` of 0 takes the likeliest token always.
    ``vocabulary`` is its size, ``ends`` the tokens that end an answer.
    """
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    for sampler in _samplers(sampling, seed, vocabulary, context, ends):
        llama.llama_sampler_chain_add(chain, sampler)
    return chain


def _samplers(
    sampling: Sampling, seed: int, vocabulary: int, context: int, ends: Iterable[int]
) -> Iterator[Any]:
    if bias := _bias(sampling, vocabulary, ends):
        array = (llama.llama_logit_bias * len(bias))(*bias)
        yield llama.llama_sampler_init_logit_bias(vocabulary, len(bias), array)
    if sampling.presence_penalty or sampling.frequency_penalty or sampling.repeat_penalty != 1.0:
        yield llama.llama_sampler_init_penalties(
            vocabulary,
            context,
            sampling.repeat_penalty,
            sampling.frequency_penalty,
            sampling.presence_penalty,
        )
    heat = TEMPERATURE if sampling.temperature is None else sampling.temperature
    if heat <= 0:
        yield llama.llama_sampler_init_greedy()
        return
    yield llama.llama_sampler_init_top_k(TOP_K if sampling.top_k is None else sampling.top_k)
    yield llama.llama_sampler_init_top_p(TOP_P if sampling.top_p is None else sampling.top_p, 1)
    yield llama.llama_sampler_init_min_p(MIN_P if sampling.min_p is None else sampling.min_p, 1)
    yield llama.llama_sampler_init_temp(heat)
    yield llama.llama_sampler_init_dist(seed % RANDOM_SEED)


def _bias(sampling: Sampling, vocabulary: int, ends: Iterable[int]) -> list[tuple[int, float]]:
    """What is added to logits. Tokens that the vocabulary does not have are not there to be
    favoured or avoided.
    """
    bias = [(token, add) for token, add in sampling.logit_bias if token < vocabulary]
    if sampling.ignore_end:
        bias += [(token, -math.inf) for token in ends]
    return bias
