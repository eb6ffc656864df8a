"""Nothing that an app writes into a body reaches a provider that policy denies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.routed import tell

PROVIDERS = ("openai", "azure", "groq", "together")
DENIED = ("anthropic", "deepinfra")
slugs = st.lists(st.sampled_from((*PROVIDERS, *DENIED)), max_size=3)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from((*DENIED, "x")),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=4,
)
preferences = st.dictionaries(
    st.sampled_from(
        ("only", "Only", "order", "ignore", "allow_fallbacks", "data_collection", "sort", "models")
    ),
    slugs | anything,
)
bodies = st.fixed_dictionaries(
    {"model": st.just("openai/gpt-4o"), "messages": st.just([])},
    optional={
        "provider": preferences | anything,
        "Provider": preferences,
        "models": slugs,
        "MODELS": slugs,
        "route": st.just("fallback"),
        "preset": st.just("mine"),
        "plugins": st.just([{"id": "web"}]),
        "providerOptions": st.fixed_dictionaries(
            {}, optional={"gateway": preferences | anything, "Gateway": preferences}
        ),
        "temperature": st.just(0.5),
    },
)
allowed = st.lists(st.sampled_from(PROVIDERS), unique=True).map(tuple)


def said(body: dict[str, Any], router: str, providers: tuple[str, ...]) -> Any:
    told = tell(json.dumps(body).encode(), router, providers)
    return None if told is None else json.loads(told)


def folded(fields: dict[str, Any]) -> list[str]:
    return [key.lower() for key in fields]


@given(bodies, allowed)
def test_openrouter_is_told_no_one_else_whatever_the_body_holds(
    body: dict[str, Any], providers: tuple[str, ...]
) -> None:
    """Neither by its fields in any case, nor by what it wishes."""
    told = said(body, "openrouter", providers)
    if told is None:
        return
    assert set(told["provider"]["only"]) <= set(providers)
    assert set(told["provider"].get("order", [])) <= set(providers)
    assert told["provider"]["only"]
    assert (told["provider"]["allow_fallbacks"], told["provider"]["data_collection"]) == (
        False,
        "deny",
    )
    keys = folded(told)
    assert keys.count("provider") == 1
    assert not {"models", "route", "preset", "plugins"} & set(keys)
    assert folded(told["provider"]).count("only") == 1
    assert told.get("temperature") == body.get("temperature")


@given(bodies, allowed)
def test_vercel_is_told_no_one_else_whatever_the_body_holds(
    body: dict[str, Any], providers: tuple[str, ...]
) -> None:
    """Its fallback models are taken out; order and only are what policy leaves."""
    told = said(body, "vercel", providers)
    if told is None:
        return
    gateway = told["providerOptions"]["gateway"]
    assert set(gateway["only"]) <= set(providers)
    assert set(gateway.get("order", [])) <= set(providers)
    assert gateway["only"]
    assert "models" not in (*folded(told), *folded(gateway))
    assert folded(told["providerOptions"]).count("gateway") == 1
    assert folded(told).count("provideroptions") == 1


@pytest.mark.parametrize("router", ["openrouter", "vercel", "huggingface"])
def test_with_nobody_left_there_is_nothing_to_send(router: str) -> None:
    """Policy denies all, or the app wants only what policy denies."""
    assert said({"model": "m:groq"}, router, ()) is None
    wish = {"only": ["anthropic"]}
    body = {"model": "m", "provider": wish, "providerOptions": {"gateway": wish}}
    assert said(body, router, PROVIDERS) is None


def test_an_app_may_narrow_what_policy_leaves() -> None:
    """Its own choice and order stay, as far as they are allowed."""
    wish = {
        "only": ["groq", "anthropic", "azure"],
        "order": ["azure", "anthropic"],
        "sort": "price",
    }
    told = said({"model": "m", "provider": wish}, "openrouter", PROVIDERS)
    assert told["provider"] == {
        "sort": "price",
        "only": ["groq", "azure"],
        "order": ["azure"],
        "allow_fallbacks": False,
        "data_collection": "deny",
    }


@pytest.mark.parametrize("router", ["openrouter", "vercel", "huggingface"])
def test_tools_that_the_router_runs_are_not_asked_for(router: str) -> None:
    """They search, or ask other models; an app's own functions are sent on."""
    body = {"model": "m:groq", "tools": [{"type": "function", "function": {"name": "f"}}]}
    assert said(body, router, PROVIDERS)["tools"] == body["tools"]
    for odd in ({"type": "openrouter:web_search"}, {"x": 1}, "x"):
        assert said({"model": "m:groq", "Tools": [odd]}, router, PROVIDERS) is None


def test_no_order_is_made_where_the_app_names_none() -> None:
    """A router's own order (price, load) stays; one of denied providers is no order."""
    for wish in ({}, {"order": ["anthropic"]}):
        told = said({"model": "m", "provider": wish}, "openrouter", PROVIDERS)
        assert "order" not in told["provider"]
        told = said({"model": "m", "providerOptions": {"gateway": wish}}, "vercel", PROVIDERS)
        assert told["providerOptions"]["gateway"] == {"only": list(PROVIDERS)}


def test_a_target_of_hugging_face_names_its_provider() -> None:
    """The model's suffix is the only word that it takes; without one it could go anywhere."""
    assert said({"model": "meta-llama/L:groq"}, "huggingface", PROVIDERS)["model"].endswith(":groq")
    assert said({"model": "meta-llama/L:deepinfra"}, "huggingface", PROVIDERS) is None
    assert said({"model": "meta-llama/L:fastest"}, "huggingface", PROVIDERS) is None
    assert said({"model": "meta-llama/L"}, "huggingface", PROVIDERS) is None


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{"])
def test_what_is_no_object_is_no_body(body: bytes) -> None:
    with pytest.raises(ValueError, match="the body is"):
        tell(body, "openrouter", PROVIDERS)
