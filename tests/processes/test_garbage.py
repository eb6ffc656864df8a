"""Generators of which the loop is not told when they begin."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator

from gateway.processes.garbage import let_generators_begin


def test_one_that_is_dropped_is_closed_all_the_same() -> None:
    closed: list[str] = []

    async def events() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def drop() -> None:
        let_generators_begin()
        await anext(events())
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(drop())
    assert closed == ["closed"]
