"""``python -m tests.clients.lock FILE``: take the addresses out of a lock file of npm.

What is pinned is told by name, version and hash.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(path: Path) -> None:
    lock = json.loads(path.read_text())
    for package in lock["packages"].values():
        for word in ("funding", "resolved"):
            package.pop(word, None)
    path.write_text(json.dumps(lock, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
