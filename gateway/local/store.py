"""llama.cpp's context: the memory of many sequences, and the computing of one batch."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.domain.local_model import Pooling
from gateway.errors import ModelFileError
from gateway.local.batch import Chunk, NoRoom
from gateway.local.native import DecodeFailed, llama
from gateway.local.token_batch import TokenBatch

BATCH = 512
"""Tokens of one ``llama_decode`` at most, where nothing else is configured."""
POOLINGS = {
    llama.LLAMA_POOLING_TYPE_MEAN: Pooling.MEAN,
    llama.LLAMA_POOLING_TYPE_CLS: Pooling.CLS,
    llama.LLAMA_POOLING_TYPE_LAST: Pooling.LAST,
}


class Store:
    """llama.cpp's context: the keys and values of ``sequences`` answers, each of ``context`` tokens
    at most and with room of its own: in a room that all share, each token of one would be held
    against the tokens of all. ``batch`` tokens go through in one ``decode``, ``ubatch`` of them in
    one computation. ``causal`` says that a token sees only what stands before it, ``pooling`` how
    the file wants embeddings. Raises ModelFileError where there is no memory for it.
    """

    def __init__(
        self,
        model: Any,
        *,
        context: int,
        sequences: int,
        threads: int,
        batch: int = BATCH,
        ubatch: int = BATCH,
    ) -> None:
        params = llama.llama_context_default_params()
        params.kv_unified = False
        params.n_ctx = context * sequences
        params.n_seq_max = sequences
        params.n_batch = batch
        params.n_ubatch = ubatch
        params.n_outputs_max = sequences
        params.n_threads = threads
        params.n_threads_batch = threads
        params.no_perf = True
        self.handle = llama.llama_init_from_model(model, params)
        self._vocabulary = int(llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model)))
        if not self.handle:
            raise ModelFileError(
                f"llama.cpp cannot make a context of {sequences} slots of {context} tokens; "
                "there may be too little memory: lower `context` or `slots`"
            )
        self._memory = llama.llama_get_memory(self.handle)
        self.causal = bool(self._memory) and bool(llama.llama_get_causal_attn(self.handle))
        self.pooling = POOLINGS.get(int(llama.llama_pooling_type(self.handle)))
        self._batch = batch
        self._tokens = TokenBatch(batch)
        self._vectors: Any = None

    def logits(self, row: int) -> NDArray[np.float32]:
        """The logits of output ``row`` of the last decode, where llama.cpp has them."""
        pointer = llama.llama_get_logits_ith(self.handle, row)
        return np.ctypeslib.as_array(pointer, shape=(self._vocabulary,))

    def decode(self, chunks: Sequence[Chunk]) -> list[int]:
        """Compute all chunks in one batch; the output row of each, -1 where none was wanted.

        Raises NoRoom where the chunks were not computed and nothing else has changed, DecodeFailed
        where the state is lost.
        """
        lasts = self._tokens.fill(chunks)
        self._compute(self._tokens.native)
        return [last if chunk.output else -1 for last, chunk in zip(lasts, chunks, strict=True)]

    def embed(self, chunk: Chunk, vectors: NDArray[np.float32], *, causal: bool) -> list[int]:
        """Compute a chunk from embeddings, one row of ``vectors`` for each token, instead of from
        its tokens. Where it is not ``causal`` they all look at each other, and there can be no more
        than ``ubatch``. Returns and raises as ``decode``.
        """
        if self._vectors is None:
            self._vectors = llama.llama_batch_init(self._batch, vectors.shape[1], 1)
        batch = self._vectors
        at = 0
        llama.llama_set_causal_attn(self.handle, causal)
        try:
            while at < len(vectors):
                rows = np.ascontiguousarray(vectors[at : at + self._batch])
                ctypes.memmove(batch.embd, rows.ctypes.data, rows.nbytes)
                for offset in range(len(rows)):
                    batch.pos[offset] = chunk.start + at + offset
                    batch.n_seq_id[offset] = 1
                    batch.seq_id[offset][0] = chunk.slot
                    batch.logits[offset] = 0
                at += len(rows)
                batch.logits[len(rows) - 1] = chunk.output and at == len(vectors)
                batch.n_tokens = len(rows)
                self._compute(batch)
        except NoRoom:
            # What went in before is of no use without the rest.
            llama.llama_memory_seq_rm(self._memory, chunk.slot, chunk.start, -1)
            raise
        finally:
            llama.llama_set_causal_attn(self.handle, True)
        return [batch.n_tokens - 1 if chunk.output else -1]

    def _compute(self, batch: Any) -> None:
        code = int(llama.llama_decode(self.handle, batch))
        if code == 1:
            raise NoRoom
        if code != 0:
            raise DecodeFailed(f"llama_decode returned {code}")

    def keep(self, slot: int, count: int) -> bool:
        """Drop all but the first ``count`` tokens of a sequence. False where the model cannot: one
        with a state instead of keys and values, or with a window that has moved on. Then nothing of
        the sequence is left.
        """
        cut = llama.llama_memory_seq_rm
        if count and self._whole(slot) and cut(self._memory, slot, count, -1):
            return True
        cut(self._memory, slot, -1, -1)
        return count == 0

    def copy(self, source: int, slot: int) -> None:
        """Let a slot hold what another does, and nothing of its own. All of the slot's memory is
        copied, before the next batch is computed.
        """
        llama.llama_memory_seq_cp(self._memory, source, slot, -1, -1)

    def _whole(self, slot: int) -> bool:
        """Whether a sequence can be looked at from its first token on."""
        return int(llama.llama_memory_seq_pos_min(self._memory, slot)) == 0

    def close(self) -> None:
        self._tokens.close()
        if self._vectors is not None:
            llama.llama_batch_free(self._vectors)
        llama.llama_free(self.handle)
