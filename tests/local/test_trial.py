"""What a model can do, by putting its template to the test."""

from __future__ import annotations

import pytest

from gateway.local.abilities import CAPABILITIES, ChatAbilities, Thinks, Told
from gateway.local.client import LocalBackend
from gateway.local.formats import thinking, tool_format
from gateway.local.template import ChatTemplate
from gateway.local.trial import abilities

FREE = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"
STRICT = """
{%- for m in messages %}
    {%- if m.role not in ['user', 'assistant'] or (m.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {{- '[' + m.role + ':' + m.content + ']' }}
{%- endfor %}"""
SILENT = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
HERMES = (
    "{% if tools %}<tool_call>{{ tools | tojson }}{% endif %}"
    "{% for m in messages %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}{% endfor %}"
)
REFUSES = "{% if tools %}{{ raise_exception('no tools') }}{% endif %}<tool_call>" + FREE
SWITCHED = FREE + "{% if enable_thinking is false %}<think></think>{% endif %}"
ALL = ("system", "user", "assistant", "tool")


@pytest.mark.parametrize(
    ("source", "roles", "alternating", "tools", "thinks"),
    [
        (FREE, ALL, False, Told.DESCRIBED, Thinks.NO),
        (STRICT, ("user", "assistant"), True, Told.DESCRIBED, Thinks.NO),
        (SILENT, ("user",), False, Told.DESCRIBED, Thinks.NO),
        (HERMES, ALL, False, Told.NATIVE, Thinks.NO),
        (REFUSES, ALL, False, Told.DESCRIBED, Thinks.NO),
        (FREE + "<think>", ALL, False, Told.DESCRIBED, Thinks.ALWAYS),
        (SWITCHED, ALL, False, Told.DESCRIBED, Thinks.SWITCHED),
    ],
    ids=["free", "strict", "silent", "hermes", "refuses", "thinks", "switched"],
)
def test_what_a_template_takes(
    source: str, roles: tuple[str, ...], alternating: bool, tools: Told, thinks: Thinks
) -> None:
    """By what comes out of it; a role that it names only to refuse it is none."""
    native = tool_format(source)
    found = abilities(ChatTemplate(source, native=native), native, thinking(source))
    assert (found.roles, found.alternating) == (roles, alternating)
    assert (found.tools, found.thinks) == (tools, thinks)


async def test_the_real_model_says_what_it_can(backend: LocalBackend) -> None:
    """As soon as it is loaded, to everybody who connects."""
    hello = backend.loaded("smollm2")
    assert hello is not None
    assert (hello.context, hello.slots) == (512, 8)
    assert (hello.layout.gpu_layers, hello.layout.layers) == (0, 31)
    assert set(hello.abilities.capabilities) >= CAPABILITIES
    assert hello.abilities.chat == ChatAbilities(ALL, False, Told.DESCRIBED, Thinks.NO)
