"""Seeing: llama.cpp's mtmd, by which images become embeddings that a model reads as tokens.

An image is prepared in the thread for prompts (``look``: decoded, scaled, perhaps cut into parts)
and encoded in the thread that computes (``encode``), when its place in a prompt comes. mtmd can
prepare in one thread while it encodes in another.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gateway.errors import ModelFileError
from gateway.local.batch import NotSeen
from gateway.local.native import llama, mtmd, silence_images
from gateway.local.pictures import Crowded, Picture, PictureFault, Piece, check, marks
from gateway.local.projector import image_side, read_projector

HELD = 512 << 20
"""Bytes of images at most that are prepared and not let go."""
NOWHERE = b"/dev/null"
"""Where mtmd is to look for programs that decode what it cannot: there are none."""


class Vision:
    """The projector at ``path`` for a loaded model. An image whose tokens look at each other may
    have ``most`` of them. Raises ModelFileError where it is not one that this model can use.
    """

    def __init__(self, path: Path, model: Any, *, threads: int, gpu: bool, most: int) -> None:
        self._most = most
        params = mtmd.mtmd_context_params_default()
        params.use_gpu = gpu
        params.n_threads = threads
        params.print_timings = False
        self._context = mtmd.mtmd_init_from_file(str(path).encode(), model, params)
        if not self._context:
            raise ModelFileError(
                f"llama.cpp cannot load the projector {path.name} for this model; its log says why"
            )
        if not mtmd.mtmd_support_vision(self._context):
            raise ModelFileError(f"the projector {path.name} does not see images")
        if mtmd.mtmd_decode_use_mrope(self._context):
            raise ModelFileError(
                f"{path.name}: models whose images have positions in two dimensions (M-RoPE, as "
                "Qwen-VL) are not supported; serve this one without its projector"
            )
        silence_images()
        self._width = int(llama.llama_model_n_embd_inp(model))
        self.causal = not mtmd.mtmd_decode_use_non_causal(self._context, None)
        self._options = mtmd.mtmd_helper_init_opt_default()
        self._options.video_params.ffmpeg_bin_dir = NOWHERE
        self._last: int | None = None
        self._held = _Held()
        vocabulary = int(llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model)))
        self._bytes_a_token = self._try(path, vocabulary)

    def _try(self, path: Path, vocabulary: int) -> int:
        """Prepare images without pixels, one of the usual size and one that is cut where any are:
        the bytes that a token of an image takes. Raises ModelFileError where something would come
        of it that the model cannot read.
        """
        side = image_side(read_projector(path))
        large, usual = (
            list(self._prepared(mtmd.mtmd_bitmap_init(width, side, None)))
            for width in (4 * side, side)
        )
        tokens = [
            token for piece in (*large, *usual) if isinstance(piece, tuple) for token in piece
        ]
        if any(not 0 <= token < vocabulary for token in tokens):
            raise ModelFileError(
                f"the projector {path.name} is for another model: this one has no tokens for the "
                "beginning and end of an image"
            )
        size = sum(piece.size for piece in usual if isinstance(piece, _Part))
        return side * side * 3 * ctypes.sizeof(ctypes.c_float) // max(size, 1)

    def look(self, images: Sequence[bytes]) -> list[list[Piece]]:
        """What stands in a prompt for each image file of a request. May be called from any thread.
        Raises PictureFault where one cannot be looked at, Crowded where too many are held.
        """
        check(images)
        own = 0
        seen: dict[bytes, list[Piece]] = {}
        for data in images:
            if data not in seen:
                seen[data] = []
                for piece in self._pieces(data):
                    seen[data].append(piece)
                    if isinstance(piece, Picture):
                        own += piece.size * self._bytes_a_token
                        self._held.take(piece.content, piece.size * self._bytes_a_token, own)
        return [seen[data] for data in images]

    def _pieces(self, data: bytes) -> Iterator[Piece]:
        names = marks(data)
        for piece in self._prepared(self._decoded(data)):
            if isinstance(piece, tuple):
                yield piece
            elif piece.size > self._most and not self.causal:
                raise PictureFault(
                    f"an image takes {piece.size} tokens, more than {self._most}: scale it down"
                )
            else:
                yield Picture(next(names), piece.size, piece)

    def _decoded(self, data: bytes) -> Any:
        """The bitmap of an image file, to be freed."""
        buffer = ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_uint8))
        found = mtmd.mtmd_helper_bitmap_init_from_buf_wrapper(
            self._context, buffer, len(data), False, self._options
        )
        if not found.bitmap:
            raise PictureFault("an image is broken: it cannot be decoded")
        return found.bitmap

    def _prepared(self, bitmap: Any) -> Iterator[tuple[int, ...] | _Part]:
        """The parts of an image and the tokens around them. Frees the bitmap."""
        part = mtmd.mtmd_input_part(bitmap=bitmap)
        parts = (ctypes.POINTER(mtmd.mtmd_input_part) * 1)(ctypes.pointer(part))
        chunks = mtmd.mtmd_input_chunks_init()
        try:
            if mtmd.mtmd_tokenize_from_parts(self._context, chunks, parts, 1, False) != 0:
                raise PictureFault("an image cannot be prepared for this model")
            for index in range(mtmd.mtmd_input_chunks_size(chunks)):
                chunk = mtmd.mtmd_input_chunks_get(chunks, index)
                if mtmd.mtmd_input_chunk_get_type(chunk) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE:
                    yield _Part(chunk)
                else:
                    count = ctypes.c_size_t()
                    tokens = mtmd.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(count))
                    yield tuple(tokens[: count.value])
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            mtmd.mtmd_bitmap_free(bitmap)

    def encode(self, picture: Picture) -> NDArray[np.float32]:
        """Its embeddings, one row for each token, until the next is encoded. Raises NotSeen."""
        if self._last != picture.mark:
            self._last = None
            part = cast(_Part, picture.content)
            if mtmd.mtmd_encode_chunk(self._context, part.handle) != 0:
                raise NotSeen
            self._last = picture.mark
        pointer = mtmd.mtmd_get_output_embd(self._context)
        return np.ctypeslib.as_array(pointer, shape=(picture.size, self._width))

    def close(self) -> None:
        mtmd.mtmd_free(self._context)


class _Part:
    """An image that is prepared, or a part of one. ``size`` is in tokens."""

    def __init__(self, chunk: Any) -> None:
        self.handle = mtmd.mtmd_input_chunk_copy(chunk)
        self.size = int(mtmd.mtmd_input_chunk_get_n_tokens(self.handle))
        weakref.finalize(self, mtmd.mtmd_input_chunk_free, self.handle).atexit = False


class _Held:
    """Counts the bytes of images that are prepared, until they are let go."""

    def __init__(self) -> None:
        self._bytes = 0
        # The collector may let go of one in the middle of ``take``.
        self._lock = threading.RLock()

    def take(self, part: object, size: int, own: int) -> None:
        """Count ``part`` for as long as it is there. ``own`` are the bytes of all of its request
        so far.
        """
        if own > HELD:
            raise PictureFault(
                f"the images take more than {HELD >> 20} MB once they are scaled: send fewer"
            )
        with self._lock:
            if self._bytes + size > HELD:
                raise Crowded
            self._bytes += size
        weakref.finalize(part, self._release, size).atexit = False

    def _release(self, size: int) -> None:
        with self._lock:
            self._bytes -= size
