"""What schemathesis sends is bent a little: to a model that is there and answers of few tokens.
What it made wrong on purpose stays wrong.
"""

from __future__ import annotations

from typing import Any

import schemathesis

MODEL = "own"
MOST = {"max_tokens": 4, "max_completion_tokens": 4, "max_output_tokens": 4, "n": 2, "best_of": 2}
"""Of what is within its bounds."""
LARGEST = {"n": 128, "best_of": 20}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """In every phase."""
    if isinstance(case.body, dict):
        case.body = bent(case.body)


def bent(body: dict[str, Any]) -> dict[str, Any]:
    changed = dict(body)
    if isinstance(body.get("model"), str) and body["model"]:
        changed["model"] = MODEL
    for name, longest in (("messages", "max_tokens"), ("input", "max_output_tokens")):
        if name in body:
            changed.setdefault(longest, MOST[longest])
    for name, most in MOST.items():
        value = body.get(name)
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and most < value <= LARGEST.get(name, 2**63 - 1)
        ):
            changed[name] = most
    return changed
