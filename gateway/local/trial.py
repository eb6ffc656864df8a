"""A model's template put to the test when the model is loaded: what it takes, and what it does not.

A template tells little by its text: it may name a role only to refuse it. So messages are put
through it, and what comes out is looked at.
"""

from __future__ import annotations

from typing import Any

from gateway.domain.call import Message, ToolCall
from gateway.local.abilities import ChatAbilities, Thinks, Told
from gateway.local.formats import Thinking, ToolFormat
from gateway.local.template import ChatTemplate

WORD = "zyxw"
"""Found in what is rendered, if it got there."""
TOOL = {"type": "function", "function": {"name": WORD, "description": "", "parameters": {}}}


def abilities(
    template: ChatTemplate, native: ToolFormat | None, thinking: Thinking | None
) -> ChatAbilities:
    """Of a model with that template."""
    hello, word = Message("user", "hello"), Message("user", WORD)
    called = Message("assistant", "", (ToolCall("call_1", WORD, "{}"),))
    probes = {
        "system": (Message("system", WORD), hello),
        "user": (word,),
        "assistant": (hello, Message("assistant", WORD), hello),
        "tool": (hello, called, Message("tool", WORD, call_id="call_1")),
    }
    told = native is not None and _takes(template, (hello,), tools=[TOOL])
    return ChatAbilities(
        roles=tuple(role for role, messages in probes.items() if _takes(template, messages)),
        alternating=not _takes(template, (hello, word)),
        tools=Told.NATIVE if told else Told.DESCRIBED,
        thinks=_thinks(template, thinking),
    )


def _takes(template: ChatTemplate, messages: tuple[Message, ...], **variables: Any) -> bool:
    return WORD in (template.attempt(messages, variables) or "")


def _thinks(template: ChatTemplate, thinking: Thinking | None) -> Thinks:
    if thinking is None:
        return Thinks.NO
    hello = (Message("user", "hello"),)
    said = [template.attempt(hello, {"enable_thinking": on}) for on in (True, False)]
    return Thinks.ALWAYS if said[0] == said[1] else Thinks.SWITCHED
