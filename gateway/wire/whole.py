"""Whole numbers of a body: of 64 bits, as documents have them and processes pass them on."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
