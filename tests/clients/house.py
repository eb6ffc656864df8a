"""The one gateway that all clients talk to, and the vendors behind it.

Each model that it knows is a story, which ``tests.clients.apps.setting`` names for the clients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.vendors import ObligingAnthropic, ObligingOpenAI
from tests.end_to_end.running import ROOT, RunningGateway

POLICY = """\
version: 1
default: deny
vendors: {openai: allow, anthropic: allow, groq: allow, meta: allow}
rules:
  - id: directive-12
    match: {vendor: [mistral]}
    verdict: deny
    reason: directive 12
"""
CONFIG = """\
channels:
  openai: {{vendor: openai, kind: openai, base_url: "{openai}", api_key: "${{VENDOR_KEY}}"}}
  claude: {{vendor: anthropic, kind: anthropic, base_url: "{claude}", api_key: "${{VENDOR_KEY}}"}}
  down: {{vendor: openai, kind: openai, base_url: "{down}", api_key: "${{VENDOR_KEY}}"}}
  breaks: {{vendor: openai, kind: openai, base_url: "{breaks}", api_key: "${{VENDOR_KEY}}"}}
  chats: {{vendor: groq, kind: openai, base_url: "{chats}", api_key: "${{VENDOR_KEY}}"}}
  banned: {{vendor: mistral, kind: openai, base_url: "{openai}", api_key: "${{VENDOR_KEY}}"}}
models:
  smollm2: {{targets: [local/smollm2]}}
  gpt-5: {{targets: [local/smollm2]}}
  gpt-4o: {{targets: [openai/gpt-4o]}}
  llama-3.3-70b: {{targets: [chats/llama-3.3-70b-versatile]}}
  text-embedding-3-small: {{targets: [openai/text-embedding-3-small]}}
  claude-sonnet-5: {{targets: [claude/claude-sonnet-5]}}
  banned-first: {{targets: [banned/mistral-large-latest, local/smollm2]}}
  down-first: {{targets: [down/gpt-4o, local/smollm2]}}
  breaks-first: {{targets: [breaks/gpt-4o, local/smollm2]}}
  only-banned: {{targets: [banned/mistral-large-latest]}}
  claude-haiku-4-5: {{targets: [local/smollm2]}}
  claude-opus-4-6: {{targets: [banned/mistral-large-latest, local/smollm2]}}
  claude-opus-4-7: {{targets: [down/gpt-4o, local/smollm2]}}
  claude-opus-4-8: {{targets: [breaks/gpt-4o, local/smollm2]}}
  claude-opus-5: {{targets: [banned/mistral-large-latest]}}
local:
  manifests: {models}
  models:
    smollm2: {{manifest: smollm2-135m-instruct, context: 2048, slots: 4, threads: 2}}
upstream: {{connect_timeout: 2, first_token_timeout: 5, answer_timeout: 5, idle_timeout: 2}}
state: {{dir: state}}
"""


@contextmanager
def running(folder: Path) -> Iterator[RunningGateway]:
    """The gateway, up and ready; stopped at the end."""
    with (
        ObligingOpenAI() as openai,
        ObligingAnthropic() as claude,
        ObligingOpenAI() as down,
        ObligingOpenAI() as breaks,
        ObligingOpenAI() as chats,
    ):
        down.behave(500)
        breaks.behave("break_off", words=("The city", " of", " Paris"), after=2)
        config = CONFIG.format(
            openai=openai.url,
            claude=claude.url,
            down=down.url,
            breaks=breaks.url,
            chats=chats.url,
            models=ROOT / "models",
        )
        with RunningGateway(folder, config, policy=POLICY) as gateway:
            yield gateway
