"""Chat templates, and messages brought into the shape that they take."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.domain.call import Chat, Message
from gateway.errors import ModelFileError
from gateway.local.template import ChatTemplate, TemplateFault, read_template

STRICT = """
{%- if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}
{%- for m in messages %}
    {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {{- '[' + m.role + ':' + m.content + ']' }}
{%- endfor %}"""
FREE = "{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}"


def render(source: str, *turns: tuple[str, str]) -> str:
    chat = Chat(tuple(Message(role, text) for role, text in turns))
    return ChatTemplate(source).render(chat, str)


def test_leaves_alone_what_is_taken() -> None:
    """A template that takes everything gets everything as it came."""
    turns = (("system", "s"), ("user", "a"), ("user", "b"))
    assert render(FREE, *turns) == "[system:s][user:a][user:b]"


def test_system_text_moves_into_the_first_user_turn() -> None:
    """A template without a system role still gets what it says."""
    assert render(STRICT, ("system", "s"), ("user", "a")) == "[user:s\n\na]"


def test_neighbours_are_merged() -> None:
    """A template that wants turns to alternate gets them so."""
    turns = (("user", "a"), ("user", "b"), ("assistant", "c"), ("tool", "d"), ("user", "e"))
    assert render(STRICT, *turns) == (
        "[user:a\n\nb][assistant:c][user:<tool_response>\nd\n</tool_response>\n\ne]"
    )


def test_assistant_first_gets_a_user_before_it() -> None:
    """A conversation may begin with a greeting of the assistant."""
    assert render(STRICT, ("assistant", "hi"), ("user", "a")) == "[user:][assistant:hi][user:a]"


def test_a_template_that_always_raises_is_a_fault() -> None:
    """No shape helps: the template's own words are handed on."""
    with pytest.raises(TemplateFault, match="never"):
        render("{{ raise_exception('never') }}", ("user", "a"))


def test_sandbox_holds() -> None:
    """A template cannot reach Python's inside."""
    with pytest.raises(TemplateFault, match=r"unsafe|undefined"):
        render("{{ ''.__class__.__mro__[1].__subclasses__() }}", ("user", "a"))


def test_size_is_limited() -> None:
    """A template that multiplies is stopped."""
    with pytest.raises(TemplateFault, match="over 16777216 characters"):
        render(
            "{% for i in range(9999) %}{{ messages[0].content }}{% endfor %}", ("user", "a" * 9999)
        )


def test_tojson_is_not_for_html() -> None:
    """Quotes and angle brackets come through as they are."""
    assert render("{{ messages[0].content | tojson }}", ("user", "<é'>")) == '"<é\'>"'


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% for m in messages %}\n{{ m.content }\n{% endfor %}", "chat.jinja, line 2: no Jinja"),
        ("\n\n{% if x %}", "chat.jinja, line 3: no Jinja template: Unexpected end"),
        ("{{ 1 | nothing }}", "chat.jinja, line 1: no Jinja template: No filter named 'nothing'"),
        ("\udcff", "chat.jinja cannot be read: 'utf-8' codec"),
        ("x" * (1 << 20) + "x", "chat.jinja is over 1,048,576 bytes"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, source: str, says: str) -> None:
    """An operator's template that is none, or too much of one."""
    (tmp_path / "chat.jinja").write_text(source, errors="surrogateescape")
    with pytest.raises(ModelFileError, match=says):
        read_template(tmp_path / "chat.jinja")


def test_a_template_that_is_gone_is_told(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(ModelFileError, match=r"chat\.jinja cannot be read: .*No such file"):
        read_template(tmp_path / "chat.jinja")
