"""llama.cpp's context for embeddings: from the tokens of several texts to a vector of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.domain.local_model import Pooling
from gateway.errors import ModelFileError
from gateway.local.batch import Chunk
from gateway.local.native import DecodeFailed, llama
from gateway.local.store import POOLINGS
from gateway.local.token_batch import TokenBatch

PIECE = 256
"""Tokens of one computation, where a text can be computed in parts. llama.cpp also computes what
could come behind each of them, and keeps room for it.
"""
SEQUENCES = 32
"""Texts of one computation at most."""


class VectorStore:
    """llama.cpp's context for texts of ``context`` tokens at most. ``whole`` says that a token sees
    what comes behind it, so that a text cannot be computed in parts. Raises ModelFileError where
    there is no memory for it.
    """

    def __init__(
        self, model: Any, *, context: int, threads: int, pooling: Pooling, whole: bool
    ) -> None:
        self.pooling = pooling
        self.whole = whole
        self.batch = context if whole else min(PIECE, context)
        self.sequences = SEQUENCES
        params = llama.llama_context_default_params()
        params.embeddings = True
        params.pooling_type = {kind: number for number, kind in POOLINGS.items()}[pooling]
        params.kv_unified = True
        # One text of which a part is computed, and a batch of others.
        params.n_ctx = context + self.batch
        params.n_seq_max = SEQUENCES
        params.n_batch = self.batch
        params.n_ubatch = self.batch
        params.n_threads = threads
        params.n_threads_batch = threads
        params.no_perf = True
        self._handle = llama.llama_init_from_model(model, params)
        if not self._handle:
            raise ModelFileError(
                f"llama.cpp cannot make a context for embeddings of {context} tokens; there may be "
                "too little memory: lower `context`"
            )
        self._memory = llama.llama_get_memory(self._handle)
        encodes = llama.llama_model_has_encoder(model)
        self._compute = llama.llama_encode if encodes else llama.llama_decode
        self._width = int(llama.llama_model_n_embd_out(model))
        self._tokens = TokenBatch(self.batch)

    def vectors(self, chunks: Sequence[Chunk]) -> list[NDArray[np.float32]]:
        """Compute all chunks in one batch; the pooled vector of each, for its tokens alone. Each is
        of another sequence. Raises DecodeFailed where the state is lost.
        """
        self._tokens.fill(chunks, every=True)
        code = int(self._compute(self._handle, self._tokens.native))
        if code != 0:
            raise DecodeFailed(f"llama.cpp returned {code} for a batch of texts")
        return [self._vector(chunk.slot) for chunk in chunks]

    def _vector(self, slot: int) -> NDArray[np.float32]:
        pointer = llama.llama_get_embeddings_seq(self._handle, slot)
        # A copy: the next batch is computed into the same memory.
        return np.ctypeslib.as_array(pointer, shape=(self._width,)).copy()

    def drop(self, slot: int) -> None:
        """Nothing of the sequence is left. A model that takes texts whole may keep nothing."""
        if self._memory:
            llama.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def close(self) -> None:
        self._tokens.close()
        llama.llama_free(self._handle)
