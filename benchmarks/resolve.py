"""How long it takes to tell who is behind a model id, over every id of litellm's map.

python -m benchmarks.resolve
"""

from __future__ import annotations

import statistics
import time

from gateway.config.shipped import load_catalog
from gateway.vendors.resolve import resolve
from tests.vendors.price_map import channel, rows


def main() -> None:
    catalog = load_catalog()
    cases = []
    for row in rows():
        facts = channel(row.provider, catalog)
        cases.append((row.id.removeprefix(f"{facts.name}/"), facts))
    taken = []
    for id, facts in cases:
        each = []
        for _ in range(7):
            began = time.perf_counter()
            resolve(id, facts, catalog)
            each.append((time.perf_counter() - began) * 1e6)
        taken.append(statistics.median(each))
    taken.sort()
    print(f"{len(taken)} ids, medians of 7, not cached")
    for share in (0.5, 0.9, 0.99, 1.0):
        print(f"{share:5.0%} take at most {taken[int(share * (len(taken) - 1))]:6.1f} µs")


if __name__ == "__main__":
    main()
