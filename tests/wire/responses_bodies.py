"""Bodies of the Responses API, drawn: conversations as an app on the official SDK may have them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

names = st.from_regex(r"\A[a-zA-Z0-9_-]{1,20}\Z")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
some = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(texts, values, max_size=3)
schemas = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(names, objects, max_size=2)}
)


def parts(type: str, text: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda said: {"type": type, "text": said}, text)


images = st.builds(
    lambda url: {"type": "input_image", "image_url": url, "detail": "auto"},
    st.sampled_from(
        [
            "data:image/png;base64,AAAA",
            "data:image/webp;base64,AAAA",
            "https://example.org/a.png",
        ]
    ),
)
users = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "system", "developer"]),
    texts | st.lists(parts("input_text", texts), max_size=3),
) | st.builds(
    lambda content: {"type": "message", "role": "user", "content": content},
    st.lists(parts("input_text", texts) | images, max_size=3),
)
assistants = st.builds(
    lambda content: {"role": "assistant", "content": content}, texts
) | st.builds(
    lambda name, content: {
        "type": "message",
        "id": name,
        "role": "assistant",
        "status": "completed",
        "content": content,
    },
    names,
    st.lists(
        parts("output_text", texts)
        | st.builds(lambda said: {"type": "refusal", "refusal": said}, texts),
        max_size=2,
    ),
)
reasoning = st.builds(
    lambda name, summary, content: {
        "type": "reasoning",
        "id": name,
        "summary": summary,
        "content": content,
        "encrypted_content": "gAAA",
    },
    names,
    st.lists(parts("summary_text", some), max_size=2),
    st.lists(parts("reasoning_text", some), max_size=2),
)
calls = st.builds(
    lambda call, name, given: {
        "type": "function_call",
        "call_id": call,
        "name": name,
        "arguments": json.dumps(given),
        "status": "completed",
    },
    names,
    names,
    objects,
)
outputs = st.builds(
    lambda call, output: {"type": "function_call_output", "call_id": call, "output": output},
    names,
    texts | st.lists(parts("input_text", texts) | images, max_size=3),
)
items = users | assistants | reasoning | calls | outputs


@st.composite
def tools(draw: st.DrawFn) -> dict[str, Any]:
    found: list[dict[str, Any]] = draw(
        st.lists(
            st.fixed_dictionaries(
                {"type": st.just("function"), "name": names, "parameters": schemas},
                optional={"description": some, "strict": st.booleans()},
            ),
            max_size=3,
            unique_by=lambda tool: tool["name"],
        )
    )
    if not found:
        return {}
    named = [{"type": "function", "name": tool["name"]} for tool in found]
    choices: list[Any] = [
        *("none", "auto", "required"),
        named[0],
        {"type": "allowed_tools", "mode": "auto", "tools": named[:1]},
        {"type": "allowed_tools", "mode": "required", "tools": named},
    ]
    parallel = draw(st.booleans())
    choice = draw(st.sampled_from(choices))
    return {"tools": found, "tool_choice": choice, "parallel_tool_calls": parallel}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A body that is as the API has it, and asks for nothing but what a chat holds."""
    body = draw(
        st.fixed_dictionaries(
            {"model": st.just("m"), "input": some | st.lists(items, min_size=1, max_size=6)},
            optional={
                "instructions": texts,
                "max_output_tokens": st.integers(1, 10_000),
                "temperature": st.floats(0, 2),
                "top_p": st.floats(0, 1),
                "top_logprobs": st.integers(0, 20),
                "include": st.just(["message.output_text.logprobs"]),
                "metadata": st.dictionaries(names, texts, max_size=3),
                "truncation": st.sampled_from(["auto", "disabled"]),
                "user": some,
                "prompt_cache_key": some,
                "store": st.booleans(),
                "max_tool_calls": st.integers(1, 9),
                "reasoning": st.fixed_dictionaries(
                    {
                        "effort": st.sampled_from([None, "none", "minimal", "low", "xhigh"]),
                        "summary": st.sampled_from([None, "auto"]),
                    }
                ),
            },
        )
    )
    text: dict[str, Any] = {}
    if draw(st.booleans()):
        named = {"type": "json_schema", "name": draw(names), "schema": draw(schemas)}
        text["format"] = draw(
            st.sampled_from(
                [{"type": "text"}, {"type": "json_object"}, named, named | {"strict": True}]
            )
        )
    if draw(st.booleans()):
        text["verbosity"] = draw(st.sampled_from(["low", "medium", "high"]))
    return body | draw(tools()) | ({"text": text} if text else {})
