"""The real model and calls to make, as in the tests of the local engine."""

from __future__ import annotations

from tests.local.conftest import gguf, make_call, model

__all__ = ["gguf", "make_call", "model"]
