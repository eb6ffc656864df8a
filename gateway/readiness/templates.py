"""Whether a model's chat template takes what apps send: it is rendered with messages of each kind.

Imported only where the local engine is installed: Jinja comes with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.call import Chat, Message, Tool, ToolCall, Tools
from gateway.local.formats import tool_format
from gateway.local.gguf import GgufHeader
from gateway.local.template import ChatTemplate, TemplateFault

_SYSTEM = Message("system", "You are a helpful assistant.")
_USER = Message("user", "What is the weather in Paris?")
_TOOLS = Tools((Tool("weather", "The weather of a city", '{"type":"object","properties":{}}'),))
_CALL = ToolCall("call00001", "weather", "{}")
PROBES: Mapping[str, Chat] = {
    "a question": Chat((_USER,)),
    "a system message": Chat((_SYSTEM, _USER)),
    "a conversation": Chat((_SYSTEM, _USER, Message("assistant", "Sunny."), _USER)),
    "two questions in a row": Chat((_USER, _USER)),
    "functions": Chat((_SYSTEM, _USER), tools=_TOOLS),
    "the result of a function": Chat(
        (_USER, Message("assistant", "", (_CALL,)), Message("tool", "Sunny.", call_id=_CALL.id)),
        tools=_TOOLS,
    ),
}


MOST_WORDS = 300
"""Characters of a template's own words for what it does not take."""


def refused(header: GgufHeader) -> dict[str, str]:
    """What the template of a file does not take, and why."""
    source = header.chat_template
    try:
        template = ChatTemplate(source, bos="<s>", eos="</s>", native=tool_format(source or ""))
    except TemplateFault as fault:
        return {"anything": _words(fault)}
    found = {}
    for shape, chat in PROBES.items():
        try:
            template.render(chat, str)
        except TemplateFault as fault:
            found[shape] = _words(fault)
    return found


def _words(fault: TemplateFault) -> str:
    """What a fault says. Some of it comes from the file, and goes to a terminal."""
    return "".join(c if c.isprintable() else " " for c in str(fault))[:MOST_WORDS]
