"""What an app is told: where the gateway is, a key, and which models there are.

``tests.clients.house`` has what stands behind each of them.
"""

from __future__ import annotations

import os

URL = os.environ["GATEWAY_URL"]
KEY = os.environ["GATEWAY_KEY"]

LOCAL = "smollm2"
"""The real model."""
VENDOR = "gpt-4o"
"""A simulated vendor of the OpenAI dialect, which calls tools and answers by schemas."""
CHATS = "llama-3.3-70b"
"""One of the OpenAI dialect that has no Responses API."""
EMBEDS = "text-embedding-3-small"
"""A model of the simulated vendor for embeddings."""
CLAUDE = "claude-sonnet-5"
"""One of the Anthropic dialect."""
UNNOTICED = ("banned-first", "down-first", "breaks-first")
"""The first choice is banned, is down, breaks off in mid-stream; the real model is the second."""
ONLY_BANNED = "only-banned"
UNKNOWN = "no-such-model"

KNOWN = {
    LOCAL: "claude-haiku-4-5",
    **dict(zip(UNNOTICED, ("claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8"), strict=True)),
    ONLY_BANNED: "claude-opus-5",
    UNKNOWN: "claude-sonnet-4-6",
}
"""The same under names that a client knows which takes no others."""

QUESTION = "In which country is the city of Paris?"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
"""What the tool of these apps is given."""
