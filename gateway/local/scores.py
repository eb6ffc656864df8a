"""Scores of tokens: logits to logarithms of probability, for those who ask how sure a model was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gateway.domain.events import Likely, Scored


def scored(
    logits: NDArray[np.float32], token: int, most: int, name: Callable[[int], bytes]
) -> Scored:
    """The score of the chosen ``token``, and the ``most`` likeliest tokens, likeliest first; by the
    model alone, before any sampling parameter. ``name`` gives a token's bytes.
    """
    highest = float(logits.max())
    total = highest + float(np.log(np.exp(logits - highest).sum()))
    top: tuple[Likely, ...] = ()
    if most:
        best = np.argpartition(logits, -most)[-most:]
        ordered = sorted(best.tolist(), key=lambda other: (-float(logits[other]), other))
        top = tuple(Likely(name(other), float(logits[other]) - total) for other in ordered)
    return Scored(name(token), float(logits[token]) - total, top)
