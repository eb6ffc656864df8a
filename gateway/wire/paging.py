"""Pages of a list, by the ids that stand beside them: as both dialects have it."""

from __future__ import annotations

from collections.abc import Sequence


def page(
    ids: Sequence[str], limit: int, after: str | None, before: str | None
) -> tuple[slice, bool]:
    """Where of ``ids`` the page is that lies behind ``after`` and before ``before``, and whether
    there are more in the direction that is asked for. Raises ``ValueError`` for an id that is none
    of them.
    """
    start = 0 if after is None else ids.index(after) + 1
    end = len(ids) if before is None else ids.index(before)
    more = max(0, end - start) > limit
    if before is not None and after is None:
        return slice(max(start, end - limit), end), more
    return slice(start, min(end, start + limit)), more
