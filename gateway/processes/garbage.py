"""What a serving process keeps an eye on, of all that it makes: seldom more than it must.

It looks for garbage in cycles; all other goes by itself, at once.

Each look goes through what has been made since the last one and still lives, which under load is
mostly requests under way; and now and then through all that there is, which is mostly modules and
the configuration. With Python's usual 700 objects it took a tenth of the processor's time. The way
of a request makes next to no cycles, so little memory waits for a look.
"""

from __future__ import annotations

import gc
import sys

YOUNG = 20_000
"""Objects more made than gone between two looks at the young ones: some megabytes."""


def look_seldom() -> None:
    """For a process that has started and begins to serve: what there is now stays, and is not
    looked through again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


def let_generators_begin() -> None:
    """Within a running loop. It notes each asynchronous generator that begins, to close those that
    are left when it ends: two a request, for 2 µs. Here whoever reads one closes it, and the loop
    still hears of one that is dropped.
    """
    sys.set_asyncgen_hooks(firstiter=None)
