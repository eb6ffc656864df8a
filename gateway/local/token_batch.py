"""The tokens of one computation, in llama.cpp's own form."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.local.batch import Chunk
from gateway.local.native import llama


class TokenBatch:
    """Room for ``size`` tokens, filled anew for each computation. ``native`` is what llama.cpp is
    given.
    """

    def __init__(self, size: int) -> None:
        self.native = llama.llama_batch_init(size, 0, 1)

    def fill(self, chunks: Sequence[Chunk], *, every: bool = False) -> list[int]:
        """Put in these chunks and nothing else; where the last token of each stands. Of that one
        an output is wanted where its chunk says so, or of ``every`` token.
        """
        batch = self.native
        lasts: list[int] = []
        at = 0
        for chunk in chunks:
            for offset, token in enumerate(chunk.tokens):
                batch.token[at] = token
                batch.pos[at] = chunk.start + offset
                batch.n_seq_id[at] = 1
                batch.seq_id[at][0] = chunk.slot
                batch.logits[at] = every
                at += 1
            batch.logits[at - 1] = every or chunk.output
            lasts.append(at - 1)
        batch.n_tokens = at
        return lasts

    def close(self) -> None:
        llama.llama_batch_free(self.native)
