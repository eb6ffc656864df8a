"""The gateway that the browser looks at: real, with the real local model, behind simulated vendors
of each kind that the console tells apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.end_to_end.running import RunningGateway, configuration
from tests.simulators.vendor import VendorSimulator

POLICY = """\
version: 1
default: deny
vendors: {openai: allow, anthropic: allow}
rules:
  - id: no-deepseek-anywhere
    match: {vendor: [deepseek], roles: [channel, developer, lineage, weights]}
    verdict: deny
    reason: Agency directive 4
    authority: Office of the CISO
    reference: https://directives.example.org/4
    from: 2026-03-05
  - id: mistral-under-review
    match: {vendor: [mistral]}
    verdict: risky
    handling: warn
    reason: Contract under review
    until: 2027-03-01
"""
CHANNELS = """\
channels:
  mistral: {{vendor: mistral, kind: openai, base_url: "{mistral}", api_key: "${{VENDOR_KEY}}"}}
  lab: {{vendor: self, kind: openai, base_url: "{lab}", locality: sovereign}}
"""
MODELS = """\
  gpt-4o-mini: {targets: [openai/gpt-4o-mini, lab/qwen3-32b, local/smollm2]}
  mistral-large: {targets: [mistral/mistral-large-latest, local/smollm2]}
  in-house: {targets: [lab/qwen3-32b, local/smollm2]}
"""


@dataclass
class Watched:
    """``keys`` are those of an operator of each role, by its name."""

    gateway: RunningGateway
    keys: dict[str, str] = field(default_factory=dict)

    def ask(self, *models: str) -> list[str]:
        """Ask for each with the official SDK; by what each was served."""
        served = []
        for model in models:
            answer = self.gateway.sdk.chat.completions.with_raw_response.create(
                model=model,
                messages=[{"role": "user", "content": "In which country is Paris?"}],
                max_tokens=12,
                temperature=0,
            )
            served.append(answer.headers["x-gateway-served-by"])
        return served


@contextmanager
def running(folder: Path) -> Iterator[Watched]:
    with VendorSimulator() as openai, VendorSimulator() as mistral, VendorSimulator() as lab:
        mistral.behave("other_model", model="mistral-large-latest")
        lab.behave("other_model", model="qwen3-32b").list_models("vllm", "qwen3-32b")
        channels = CHANNELS.format(mistral=mistral.url, lab=lab.url)
        text = configuration(openai.url, models=MODELS).replace("channels:\n", channels)
        with RunningGateway(folder, text, policy=POLICY) as gateway:
            watched = Watched(gateway)
            for role in ("viewer", "operator", "admin"):
                made = gateway.run("operators", "create", "Nadia", "--role", role, policy=False)
                written = re.search(r"sgo_\w{10}_\S{43}", made.stdout)
                assert written is not None, made.stdout + made.stderr
                watched.keys[role] = written[0]
            yield watched
