"""What makes the bytes of an answer, whichever target answers: one ``Writer`` for each answer, of
the API that the app asked.
"""

from __future__ import annotations

from gateway.domain.events import Continued, Finished, Piece, Usage
from gateway.errors import GatewayError


class Writer:
    """To be subclassed: what is the same in most APIs stands here.

    A target of the same API has its bytes relayed: they go through ``relay``, ``relayed_end`` and
    ``relayed_whole``. Of any other the events are told: ``piece`` and ``end`` write them as a
    stream, ``keep``, ``embed`` and ``whole`` as an answer in one.
    """

    def piece(self, piece: Piece, /) -> bytes:
        """The bytes of a stream that carry a piece."""
        raise NotImplementedError(f"{type(self).__name__} streams nothing")

    def keep(self, piece: Piece, /) -> None:
        """Collect a piece for an answer that is not streamed."""
        raise NotImplementedError(f"{type(self).__name__} holds no text")

    def embed(self, vectors: tuple[bytes, ...], /) -> None:
        """Collect vectors, each as in ``Embedded``."""
        raise NotImplementedError(f"{type(self).__name__} holds no vectors")

    def count(self, usage: Usage, /) -> None:
        """The usage of the answer."""

    def resume(self, continued: Continued, /) -> None:
        """Go on with an answer that the app has the beginning of."""
        raise NotImplementedError(f"{type(self).__name__} cannot go on")

    def end(self, finished: Finished, /) -> bytes:
        """The last bytes of a stream."""
        raise NotImplementedError(f"{type(self).__name__} streams nothing")

    def whole(self, finished: Finished, /) -> bytes:
        """The body of an answer that is not streamed."""
        raise NotImplementedError(f"{type(self).__name__} is always relayed")

    def broken(self, error: GatewayError, /) -> bytes:
        """The last bytes of a stream that ends in an error, where they depend on those before."""
        return b""

    def relay(self, data: bytes, /) -> bytes:
        """Bytes of a stream of the app's own API, as the app gets them."""
        return data

    def relayed_end(self, finished: Finished, /) -> bytes:
        """The last bytes of a stream that was relayed, where ``relay`` kept any back."""
        return b""

    def relayed_whole(self, data: bytes, /) -> bytes:
        """A whole answer of the app's own API, as the app gets it."""
        return data
