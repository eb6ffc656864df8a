"""The only file that imports llama_cpp: a thin typed wrapper over its low-level bindings.

Sampling stays in C, and a step makes no Python loop over the vocabulary. ``llama_decode`` releases
the GIL (ctypes does for every foreign call), so sockets are served while the model computes.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as native
import numpy as np
from numpy.typing import NDArray

from gateway.domain.call import Sampling
from gateway.domain.events import Scored
from gateway.errors import ModelFileError
from gateway.local.batch import Chunk, NoRoom
from gateway.local.formats import literals
from gateway.local.guide import Guide
from gateway.local.scores import scored
from gateway.local.shield import Segment

LANES = 2
"""Answers with a seed that are generated at once."""
BATCH = 512
"""Tokens of one ``llama_decode`` at most."""
TEMPERATURE = 0.8
TOP_P = 0.95
TOP_K = 40
MIN_P = 0.05
"""What is left open by a request: llama.cpp's own defaults."""
RANDOM_SEED = 0xFFFFFFFF
"""What llama.cpp takes for: choose a seed yourself."""
CONTROL = native.LLAMA_TOKEN_ATTR_CONTROL | native.LLAMA_TOKEN_ATTR_UNKNOWN
CANDIDATE = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
"""``llama_token_data``."""
LOG_ERROR = 4
LOG_CONTINUE = 5


class DecodeFailed(Exception):
    """llama.cpp's state is no longer known; the process must go."""


def silence() -> object:
    """Let llama.cpp log nothing but errors, to standard error. Keep what is returned alive for as
    long as the library is used.
    """
    loud = False

    def log(level: int, text: bytes, _: object) -> None:
        nonlocal loud
        if level != LOG_CONTINUE:
            loud = level >= LOG_ERROR
        if loud:
            sys.stderr.write(text.decode("utf-8", "replace"))

    callback = native.llama_log_callback(log)
    native.llama_log_set(callback, ctypes.c_void_p(0))
    return callback


class Sampler:
    """One answer's chain of samplers. With a ``guide`` only what it allows is chosen; with
    ``likely`` so many of the likeliest tokens are told beside each chosen one.
    """

    def __init__(
        self,
        model: LlamaModel,
        store: Store,
        chain: Any,
        guide: Guide | None,
        likely: int | None,
    ) -> None:
        self._model = model
        self._store = store
        self._chain = chain
        self._guide = guide
        self._likely = likely
        self.scored: Scored | None = None
        self.complete = False

    def sample(self, row: int) -> int:
        """The token chosen from output ``row`` of the last decode; remembered for penalties. Sets
        ``complete`` where nothing more may come behind it, and ``scored``.
        """
        if self._guide is None and self._likely is None:
            return int(native.llama_sampler_sample(self._chain, self._store.handle, row))
        logits = self._store.logits(row, len(self._model.pieces))
        token = self._choose(logits)
        if self._guide is not None and not self._guide.allows(token):
            # Choosing again among what is allowed comes to the same probabilities as choosing
            # there at once, and is seldom needed.
            token = self._choose(np.where(self._guide.allowed()[: len(logits)], logits, -np.inf))
        native.llama_sampler_accept(self._chain, token)
        if self._likely is not None:
            self.scored = scored(logits, token, self._likely, self._model.name)
        if self._guide is not None:
            self.complete = self._guide.take(token)
        return token

    def close(self) -> None:
        native.llama_sampler_free(self._chain)

    def _choose(self, logits: NDArray[np.float32]) -> int:
        candidates = self._model.candidates
        candidates["id"] = self._model.ids
        candidates["logit"] = logits
        candidates["p"] = 0
        array = native.llama_token_data_array(
            data=candidates.ctypes.data_as(native.llama_token_data_p),
            size=len(logits),
            selected=-1,
            sorted=False,
        )
        native.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected].id)


class Store:
    """llama.cpp's context: the keys and values of ``sequences`` answers, each of ``context`` tokens
    at most. ``unified``: they share one store, so that a prompt's beginning can be shared, and all
    go through in one batch. Raises ModelFileError where there is no memory for it.
    """

    def __init__(
        self, model: Any, *, context: int, sequences: int, threads: int, unified: bool
    ) -> None:
        params = native.llama_context_default_params()
        params.kv_unified = unified
        params.n_ctx = context * sequences
        params.n_seq_max = sequences
        params.n_batch = BATCH
        params.n_ubatch = BATCH
        params.n_outputs_max = sequences
        params.n_threads = threads
        params.n_threads_batch = threads
        params.no_perf = True
        self.handle = native.llama_init_from_model(model, params)
        if not self.handle:
            raise ModelFileError(
                f"llama.cpp cannot make a context of {sequences} slots of {context} tokens; "
                "there may be too little memory: lower `context` or `slots`"
            )
        self._memory = native.llama_get_memory(self.handle)
        self._tokens = native.llama_batch_init(BATCH, 0, 1)

    def logits(self, row: int, vocabulary: int) -> NDArray[np.float32]:
        """The logits of output ``row`` of the last decode, where llama.cpp has them."""
        pointer = native.llama_get_logits_ith(self.handle, row)
        return np.ctypeslib.as_array(pointer, shape=(vocabulary,))

    def decode(self, chunks: Sequence[Chunk]) -> list[int]:
        """Compute all chunks in one batch; the output row of each, -1 where none was wanted.

        Raises NoRoom where the chunks were not computed and nothing else has changed, DecodeFailed
        where the state is lost.
        """
        batch = self._tokens
        rows: list[int] = []
        at = 0
        for chunk in chunks:
            for offset, token in enumerate(chunk.tokens):
                batch.token[at] = token
                batch.pos[at] = chunk.start + offset
                batch.n_seq_id[at] = 1
                batch.seq_id[at][0] = chunk.slot
                batch.logits[at] = 0
                at += 1
            batch.logits[at - 1] = chunk.output
            rows.append(at - 1 if chunk.output else -1)
        batch.n_tokens = at
        code = int(native.llama_decode(self.handle, batch))
        if code == 1:
            raise NoRoom
        if code != 0:
            raise DecodeFailed(f"llama_decode returned {code}")
        return rows

    def keep(self, slot: int, count: int) -> bool:
        """Drop all but the first ``count`` tokens of a sequence. False where the model cannot: one
        with a state instead of keys and values, or with a window that has moved on. Then nothing of
        the sequence is left.
        """
        cut = native.llama_memory_seq_rm
        if count and self._whole(slot) and cut(self._memory, slot, count, -1):
            return True
        cut(self._memory, slot, -1, -1)
        return count == 0

    def share(self, source: int, slot: int, count: int) -> bool:
        """Let an empty slot begin with the first ``count`` tokens of another: the memory is the
        same, nothing is copied. False where the model cannot, as for ``keep``.
        """
        if not self._whole(source):
            return False
        native.llama_memory_seq_cp(self._memory, source, slot, 0, count)
        return True

    def _whole(self, slot: int) -> bool:
        """Whether a sequence can be looked at from its first token on."""
        return int(native.llama_memory_seq_pos_min(self._memory, slot)) == 0

    def close(self) -> None:
        native.llama_batch_free(self._tokens)
        native.llama_free(self.handle)


class LlamaModel:
    """One GGUF file with one context that ``slots`` sequences of ``context`` tokens share.

    ``gpu_layers`` of ``None`` means all. Raises ModelFileError where llama.cpp does not load it.
    """

    def __init__(
        self,
        path: Path,
        *,
        context: int,
        slots: int,
        threads: int,
        gpu_layers: int | None,
    ) -> None:
        self._log = silence()
        native.llama_backend_init()
        params = native.llama_model_default_params()
        params.n_gpu_layers = -1 if gpu_layers is None else gpu_layers
        self._model = native.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ModelFileError(f"llama.cpp cannot load {path.name}; its log says why")
        self.context = context
        self.slots = slots
        self.batch = BATCH
        self.lanes = LANES
        self._threads = threads
        self._store = Store(
            self._model, context=context, sequences=slots, threads=threads, unified=True
        )
        self._lanes: Store | None = None
        self._vocab = native.llama_model_get_vocab(self._model)
        size = int(native.llama_vocab_n_tokens(self._vocab))
        self._vocabulary = size
        self.candidates = np.zeros(size, dtype=CANDIDATE)
        self.ids = np.arange(size, dtype=np.int32)
        self.ends = frozenset(t for t in range(size) if native.llama_vocab_is_eog(self._vocab, t))
        self.template = self._chat_template()
        self.pieces = self._shown(literals(self.template or ""))
        self.longest_piece = max((len(piece) for piece in self.pieces if piece), default=1)

    def _shown(self, marks: str) -> tuple[bytes, ...]:
        """The bytes of each token, none for one that controls; those are shown that stand in
        ``marks``, since the model's calls and thinking are read by them.
        """
        pieces = []
        for token in range(self._vocabulary):
            piece = self._piece(token, special=False)
            if not piece and token not in self.ends:
                control = self._piece(token, special=True)
                piece = control if control and control.decode("utf-8", "replace") in marks else b""
            pieces.append(piece)
        return tuple(pieces)

    def _chat_template(self) -> str | None:
        """The Jinja source in the file."""
        found = native.llama_model_chat_template(self._model, None)
        return found.decode("utf-8", "replace") if found else None

    @property
    def bos(self) -> str:
        return self._token_text(native.llama_vocab_bos(self._vocab))

    @property
    def eos(self) -> str:
        return self._token_text(native.llama_vocab_eos(self._vocab))

    @property
    def marks(self) -> frozenset[str]:
        """The texts that are read as control tokens where a format's marks count."""
        return frozenset(
            self._token_text(token)
            for token in range(self._vocabulary)
            if native.llama_vocab_get_attr(self._vocab, token) & CONTROL
        )

    def tokenize(self, prompt: Sequence[Segment]) -> list[int]:
        """Tokens of a rendered template. The beginning is not marked twice where the template has
        done it. May be called from any thread.
        """
        tokens: list[int] = []
        for index, segment in enumerate(prompt):
            marked = bool(self.bos) and segment.marks and segment.text.startswith(self.bos)
            tokens += self._tokens_of(segment, begin=index == 0 and not marked)
        return tokens

    def _tokens_of(self, segment: Segment, *, begin: bool) -> list[int]:
        data = segment.text.encode()
        room = len(data) + 8
        tokens = (native.llama_token * room)()
        count = native.llama_tokenize(
            self._vocab, data, len(data), tokens, room, begin, segment.marks
        )
        if count < 0:
            raise DecodeFailed(f"llama_tokenize wants {-count} tokens for {len(data)} bytes")
        return list(tokens[:count])

    def encode(self, text: str) -> list[int]:
        """Tokens of plain text by itself."""
        return self._tokens_of(Segment(text, marks=False), begin=False)

    def piece(self, token: int) -> bytes:
        """The bytes of a token; none for one that controls."""
        return self.pieces[token]

    def name(self, token: int) -> bytes:
        """The bytes of any token, one that controls as well."""
        return self.pieces[token] or self._piece(token, special=True)

    def is_end(self, token: int) -> bool:
        return token in self.ends

    def sampler(
        self,
        sampling: Sampling,
        seed: int,
        guide: Guide | None = None,
        likely: int | None = None,
        *,
        lane: bool = False,
    ) -> Sampler:
        """A chain for one answer. ``temperature`` of 0 takes the likeliest token always."""
        store = self._lanes_store() if lane else self._store
        chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        add = native.llama_sampler_chain_add
        if bias := self._bias(sampling):
            array = (native.llama_logit_bias * len(bias))(*bias)
            add(chain, native.llama_sampler_init_logit_bias(self._vocabulary, len(bias), array))
        if (
            sampling.presence_penalty
            or sampling.frequency_penalty
            or sampling.repeat_penalty != 1.0
        ):
            penalties = native.llama_sampler_init_penalties(
                self._vocabulary,
                self.context,
                sampling.repeat_penalty,
                sampling.frequency_penalty,
                sampling.presence_penalty,
            )
            add(chain, penalties)
        heat = TEMPERATURE if sampling.temperature is None else sampling.temperature
        if heat <= 0:
            add(chain, native.llama_sampler_init_greedy())
            return Sampler(self, store, chain, guide, likely)
        top_k = TOP_K if sampling.top_k is None else sampling.top_k
        top_p = TOP_P if sampling.top_p is None else sampling.top_p
        min_p = MIN_P if sampling.min_p is None else sampling.min_p
        add(chain, native.llama_sampler_init_top_k(top_k))
        add(chain, native.llama_sampler_init_top_p(top_p, 1))
        add(chain, native.llama_sampler_init_min_p(min_p, 1))
        add(chain, native.llama_sampler_init_temp(heat))
        add(chain, native.llama_sampler_init_dist(seed % RANDOM_SEED))
        return Sampler(self, store, chain, guide, likely)

    def _bias(self, sampling: Sampling) -> list[tuple[int, float]]:
        """What is added to logits. Tokens that the vocabulary does not have are not there to be
        favoured or avoided.
        """
        bias = [(token, add) for token, add in sampling.logit_bias if token < self._vocabulary]
        if sampling.ignore_end:
            bias += [(token, -math.inf) for token in self.ends]
        return bias

    def decode(self, chunks: Sequence[Chunk]) -> list[int]:
        """As ``Store.decode``; a chunk of a lane goes to the lanes' store."""
        return (self._lanes_store() if chunks[0].lane else self._store).decode(chunks)

    def keep(self, slot: int, count: int) -> bool:
        return self._store.keep(slot, count)

    def share(self, source: int, slot: int, count: int) -> bool:
        return self._store.share(source, slot, count)

    def clear(self, lane: int) -> None:
        """Nothing of the sequence in a lane is left."""
        if self._lanes is not None:
            self._lanes.keep(lane, 0)

    def _lanes_store(self) -> Store:
        # Made when it is first needed: most apps give no seed, and it takes memory.
        if self._lanes is None:
            self._lanes = Store(
                self._model,
                context=self.context,
                sequences=self.lanes,
                threads=self._threads,
                unified=False,
            )
        return self._lanes

    def close(self) -> None:
        for store in (self._store, self._lanes):
            if store is not None:
                store.close()
        native.llama_model_free(self._model)

    def _token_text(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = int(native.llama_token_to_piece(self._vocab, token, buffer, room, 0, special))
            if size >= 0:
                return buffer.raw[:size]
            room = -size
