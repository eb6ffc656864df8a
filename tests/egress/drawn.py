"""Configurations, policies, requests and mishaps, drawn at random."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from gateway.domain.decision import Labels
from tests.egress.watched import SUFFIX
from tests.end_to_end.running import ROOT

CHANNELS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "openai": ({"vendor": "openai"}, ("gpt-4o", "o3")),
    "mistral": ({"vendor": "mistral"}, ("mistral-large-latest",)),
    "deepseek": ({"vendor": "deepseek"}, ("deepseek-chat",)),
    "anthropic": ({"vendor": "anthropic"}, ("claude-sonnet-4-5",)),
    "azure": (
        {
            "vendor": "microsoft",
            "deployments": {
                "prod": {"developer": "openai", "model": "gpt-4o"},
                "other": {"developer": "mistral", "model": "mistral-large"},
            },
        },
        ("prod", "other", "nobody-knows"),
    ),
    "router": (
        {"vendor": "openrouter", "provider": "openrouter"},
        ("openai/gpt-4o", "deepseek/deepseek-chat", "anthropic/claude-sonnet-4.5"),
    ),
    "groq": (
        {"vendor": "groq", "provider": "groq"},
        ("llama-3.3-70b-versatile", "deepseek-r1-distill-llama-70b"),
    ),
    "lab": ({"vendor": "self", "locality": "sovereign"}, ("qwen3-32b", "deepseek-r1:latest")),
}
"""What is configured of each channel, and the models that it has."""
ANSWERS = {
    "mistral": "mistral-large-2411",
    "deepseek": "deepseek-chat",
    "anthropic": "claude-sonnet-4-5",
    "groq": "llama-3.3-70b-versatile",
    "lab": "qwen3-32b",
}
"""What a vendor calls its model in answers, where it is not OpenAI's."""
VENDORS = (
    *("openai", "mistral", "deepseek", "anthropic", "microsoft", "openrouter", "groq"),
    *("meta", "alibaba", "huggingface"),
)
TEAMS, CLASSES = (None, "red", "blue"), (None, "secret")
EVERYBODY = tuple(Labels(team=team, data_class=word) for team in TEAMS for word in CLASSES)
TARGETS = tuple(f"{name}/{model}" for name, (_, models) in CHANNELS.items() for model in models)


@dataclass(frozen=True)
class Ask:
    """A request, and how long to wait before the next step."""

    model: str
    stream: bool
    labels: Labels
    pause: float


@dataclass(frozen=True)
class Mishap:
    """From now on a vendor behaves so."""

    channel: str
    behaviour: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Swap:
    """Another policy comes into force."""

    rules: dict[str, Any]
    pause: float


Step = Ask | Mishap | Swap


@dataclass(frozen=True)
class Story:
    """Rules of policies have their dates as seconds from the story's beginning."""

    models: dict[str, dict[str, Any]]
    offline: bool
    first: dict[str, Any]
    steps: tuple[Step, ...]
    seed: int


def some(words: tuple[str, ...], least: int = 1, most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=least, max_size=most, unique=True)


models = st.fixed_dictionaries(
    {
        name: st.fixed_dictionaries(
            {
                "targets": st.builds(
                    lambda found, local: found + ["local/smollm2"] * local,
                    some(TARGETS, 1, 4),
                    st.booleans(),
                ),
                "risky_last_resort": st.booleans(),
            }
        )
        for name in ("first", "second", "third*")
    }
)
matches = st.one_of(
    st.fixed_dictionaries(
        {"vendor": some(VENDORS)},
        optional={"roles": some(("channel", "developer", "lineage", "weights"))},
    ),
    st.fixed_dictionaries({"jurisdiction": some(("US", "CN", "FR"), 1, 1)}),
    st.fixed_dictionaries({"locality": some(("cloud", "sovereign"), 1, 1)}),
    st.fixed_dictionaries({"channel": some(tuple(CHANNELS))}),
    st.fixed_dictionaries({"model": some(("gpt-4o", "claude-*", "*deepseek*", "router/*"), 1, 2)}),
)
rules = st.fixed_dictionaries(
    {"match": matches, "verdict": st.sampled_from(("allow", "allow", "deny", "deny", "risky"))},
    optional={
        "when": st.one_of(
            st.fixed_dictionaries({"team": some(("red", "blue"), 1, 1)}),
            st.fixed_dictionaries({"data_class": st.just(["secret"])}),
        ),
        "from": st.sampled_from((-60.0, 0.1, 0.3)),
        "until": st.sampled_from((0.4, 60.0)),
    },
)
policies = st.fixed_dictionaries(
    {
        "default": st.sampled_from(("allow", "deny")),
        "in_flight": st.sampled_from(("finish", "cut")),
        "vendors": st.dictionaries(
            st.sampled_from(VENDORS), st.sampled_from(("allow", "allow", "risky", "deny"))
        ),
        "rules": st.lists(rules, max_size=4),
    }
)
behaviours: st.SearchStrategy[tuple[str, dict[str, Any]]] = st.sampled_from(
    [
        ("answer", {}),
        ("answer", {"delay": 0.03, "pause": 0.01}),
        ("other_model", {"model": "deepseek-chat"}),
        ("429", {"retry_after": "1"}),
        *((name, {}) for name in ("400", "401", "451", "500", "503", "refuse", "stall", "html")),
        *((name, {}) for name in ("break_off", "error_event", "missing_done", "close_after")),
        *((name, {}) for name in ("broken_json", "empty", "stall_mid_stream")),
        ("raw", {"data": b""}),
        (
            "raw",
            {
                "data": b"HTTP/1.1 302 Found\r\nLocation: http://deepseek.localhost/\r\n"
                b"Content-Length: 0\r\n\r\n"
            },
        ),
    ]
)
pauses = st.sampled_from((0.0, 0.002, 0.01, 0.03))
asks = st.builds(
    Ask,
    st.sampled_from(("first", "second", "third-one")),
    st.booleans(),
    st.sampled_from(EVERYBODY),
    pauses,
)
mishaps = st.builds(
    lambda channel, how: Mishap(channel, *how), st.sampled_from(tuple(CHANNELS)), behaviours
)
steps = st.one_of(asks, asks, asks, mishaps, st.builds(Swap, policies, pauses))
stories = st.builds(
    Story,
    models,
    st.sampled_from((False, False, False, False, True)),
    policies,
    st.lists(steps, min_size=8, max_size=24).map(tuple),
    st.integers(0, 2**32),
)


def policy_text(drawn: dict[str, Any], began: datetime) -> str:
    """A policy file; JSON is YAML."""

    def at(seconds: float) -> str:
        return (began + timedelta(seconds=seconds)).astimezone(UTC).isoformat()

    dated = [
        {
            **rule,
            "id": f"rule-{number}",
            **{word: at(rule[word]) for word in ("from", "until") if word in rule},
        }
        for number, rule in enumerate(drawn["rules"])
    ]
    return json.dumps({"version": 1, **drawn, "rules": dated})


def configuration(story: Story, ports: dict[str, int]) -> str:
    """All channels, at names that lead to this machine, and a local model that nobody starts."""
    channels = {
        name: {
            "kind": "openai",
            "base_url": f"http://{name}{SUFFIX}:{ports[name]}/v1",
            "api_key": "${VENDOR_KEY}",
            "allow_private": True,
            **fields,
        }
        for name, (fields, _) in CHANNELS.items()
    }
    return json.dumps(
        {
            "offline": story.offline,
            "server": {"deadline": 5},
            "channels": channels,
            "models": story.models,
            "local": {
                "manifests": str(ROOT / "models"),
                "models": {"smollm2": {"manifest": "smollm2-135m-instruct", "preload": False}},
            },
            "upstream": {
                "connect_timeout": 0.3,
                "first_token_timeout": 0.2,
                "answer_timeout": 0.3,
                "idle_timeout": 0.2,
                "health_interval": 0.1,
            },
            "state": {"dir": "state"},
        }
    )
