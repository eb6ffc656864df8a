"""One GGUF model in this process: its weights, its vocabulary, and the stores of its answers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.domain.call import Sampling
from gateway.domain.local_model import Pooling
from gateway.errors import ModelFileError
from gateway.local.batch import Chunk
from gateway.local.complete import Infill
from gateway.local.formats import literals
from gateway.local.guide import Guide
from gateway.local.native import CONTROL, DecodeFailed, Devices, llama, silence
from gateway.local.pictures import PictureFault, Piece
from gateway.local.sampler import Candidates, Sampler, make_bias, make_chain
from gateway.local.shield import Segment
from gateway.local.store import BATCH, Store
from gateway.local.vectors import VectorStore
from gateway.local.vision import Vision


class LlamaModel:
    """One GGUF file with one context that ``slots`` sequences of ``context`` tokens share; with a
    ``projector`` it sees images.

    ``gpu_layers`` of its layers are on devices, the output among them; ``split`` says how many on
    which. ``pooling`` of ``None`` is what the file says; ``template`` takes the place of the file's
    own. Raises ModelFileError where llama.cpp does not load it, or a device is not there.

    ``generates`` says whether it does, or only gives vectors. A vector has ``width`` numbers, and
    is that of a text of ``longest_text`` tokens at most.
    """

    def __init__(
        self,
        path: Path,
        *,
        context: int,
        slots: int,
        threads: int,
        gpu_layers: int,
        split: Mapping[str, int] | None = None,
        pooling: Pooling | None = None,
        projector: Path | None = None,
        template: str | None = None,
        batch: int = BATCH,
        ubatch: int = BATCH,
    ) -> None:
        silence()
        llama.llama_backend_init()
        params = llama.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        devices = Devices(split or {})
        params.devices, params.tensor_split = devices.list, devices.shares
        self._model = llama.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise ModelFileError(f"llama.cpp cannot load {path.name}; its log says why")
        self._vision = (
            Vision(projector, self._model, threads=threads, gpu=gpu_layers != 0, most=ubatch)
            if projector is not None
            else None
        )
        self.sees = self._vision is not None
        self.context = context
        self.slots = slots
        self.batch = batch
        self._store = Store(
            self._model,
            context=context,
            sequences=slots,
            threads=threads,
            batch=batch,
            ubatch=ubatch,
        )
        self._threads = threads
        self._vectors: VectorStore | None = None
        self.generates = self._store.causal and bool(llama.llama_model_has_decoder(self._model))
        self.pooling = pooling or self._store.pooling
        self.width = int(llama.llama_model_n_embd_out(self._model))
        self.longest_text = min(context, int(llama.llama_model_n_ctx_train(self._model)))
        self._vocab = llama.llama_model_get_vocab(self._model)
        self.infill = self._infill()
        size = int(llama.llama_vocab_n_tokens(self._vocab))
        self._vocabulary = size
        self._candidates = Candidates(size)
        self.ends = frozenset(t for t in range(size) if llama.llama_vocab_is_eog(self._vocab, t))
        self.template = self._chat_template() if template is None else template
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

    def _infill(self) -> Infill | None:
        """The marks of a text to be filled in, of a model that has all of them."""
        marks = Infill(
            int(llama.llama_vocab_fim_pre(self._vocab)),
            int(llama.llama_vocab_fim_suf(self._vocab)),
            int(llama.llama_vocab_fim_mid(self._vocab)),
        )
        return marks if min(marks) >= 0 else None

    def _chat_template(self) -> str | None:
        """The Jinja source in the file."""
        found = llama.llama_model_chat_template(self._model, None)
        return found.decode("utf-8", "replace") if found else None

    @property
    def bos(self) -> str:
        return self._token_text(llama.llama_vocab_bos(self._vocab))

    @property
    def eos(self) -> str:
        return self._token_text(llama.llama_vocab_eos(self._vocab))

    @property
    def marks(self) -> frozenset[str]:
        """The texts that are read as control tokens where a format's marks count."""
        return frozenset(
            self._token_text(token)
            for token in range(self._vocabulary)
            if llama.llama_vocab_get_attr(self._vocab, token) & CONTROL
        )

    def tokenize(self, prompt: Sequence[Segment], *, begin: bool = True) -> list[int]:
        """Tokens of a rendered template, or of what is behind its ``begin``. That is not marked
        twice where the template has done it. May be called from any thread.
        """
        tokens: list[int] = []
        for segment in prompt or [Segment("", marks=True)]:
            marked = bool(self.bos) and segment.marks and segment.text.startswith(self.bos)
            tokens += self._tokens_of(segment, begin=begin and not marked)
            begin = False
        return tokens

    def look(self, images: Sequence[bytes]) -> list[list[Piece]]:
        """As ``Vision.look``."""
        if self._vision is None:
            raise PictureFault("this model takes no images")
        return self._vision.look(images)

    def _tokens_of(self, segment: Segment, *, begin: bool) -> list[int]:
        data = segment.text.encode()
        room = len(data) + 8
        tokens = (llama.llama_token * room)()
        count = llama.llama_tokenize(
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
    ) -> Sampler:
        """How one answer's tokens are chosen."""
        size = self._vocabulary
        chain = make_chain(sampling, seed, vocabulary=size, context=self.context)
        bias = make_bias(sampling, size, self.ends)
        return Sampler(self._store, chain, self._candidates, bias, self.name, guide, likely)

    def decode(self, chunks: Sequence[Chunk]) -> list[int]:
        """As ``Store.decode``; an image is encoded first, which may raise NotSeen."""
        picture = chunks[0].picture
        if picture is None or self._vision is None:
            return self._store.decode(chunks)
        vectors = self._vision.encode(picture)
        return self._store.embed(chunks[0], vectors, causal=self._vision.causal)

    def keep(self, slot: int, count: int) -> bool:
        return self._store.keep(slot, count)

    def copy(self, source: int, slot: int) -> None:
        self._store.copy(source, slot)

    def encoder(self) -> VectorStore:
        """What computes vectors; ``pooling`` must be known."""
        # Made when it is first needed: it takes memory, and most apps want none.
        if self._vectors is None:
            if self.pooling is None:
                raise DecodeFailed("vectors are wanted of a model without a pooling")
            self._vectors = VectorStore(
                self._model,
                context=self.longest_text,
                threads=self._threads,
                pooling=self.pooling,
                whole=not self.generates,
            )
        return self._vectors

    def close(self) -> None:
        if self._vectors is not None:
            self._vectors.close()
        self._store.close()
        if self._vision is not None:
            self._vision.close()
        llama.llama_model_free(self._model)

    def _token_text(self, token: int) -> str:
        return self._piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def _piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = int(llama.llama_token_to_piece(self._vocab, token, buffer, room, 0, special))
            if size >= 0:
                return buffer.raw[:size]
            room = -size
