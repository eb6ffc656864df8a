"""The functions of a chat completion of the OpenAI dialect, and which of them may be called.

Sources as for ``gateway.wire.openai_chat``. ``any`` is what Mistral's API calls ``required``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from gateway.domain.call import Tool, ToolChoice, Tools
from gateway.domain.target import Capability
from gateway.errors import InvalidRequest

_NULL = msgspec.Raw(b"null")
_MODES = {
    "none": ToolChoice.NONE,
    "auto": ToolChoice.AUTO,
    "required": ToolChoice.REQUIRED,
    "any": ToolChoice.REQUIRED,
}
_MOST_NAME = 64
"""Characters of a name that are told."""


class WrittenFunction(msgspec.Struct):
    """A function as it stands in a body."""

    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NULL
    strict: bool | None = None


class WrittenTool(msgspec.Struct):
    type: str
    function: WrittenFunction | None = None


class NamedFunction(msgspec.Struct):
    name: str | None = None


class _AllowedTool(msgspec.Struct):
    type: str | None = None
    function: NamedFunction | None = None


class _Allowed(msgspec.Struct):
    mode: str
    tools: list[_AllowedTool]


class WrittenChoice(msgspec.Struct):
    """The one tool that must be called, or those of all that may be."""

    type: str | None = None
    function: NamedFunction | None = None
    name: str | None = None
    allowed_tools: _Allowed | None = None

    @property
    def named(self) -> str | None:
        """The one function that must be called."""
        return self.function.name if self.function is not None else self.name

    @property
    def functions(self) -> bool:
        """Whether it speaks of nothing but functions."""
        if self.allowed_tools is None:
            return self.type == "function"
        return all(tool.type == "function" for tool in self.allowed_tools.tools)


_Choice: TypeAlias = str | WrittenChoice | NamedFunction | None


def tool_needs(
    tools: Sequence[WrittenTool] | None,
    functions: Sequence[WrittenFunction] | None,
    choice: str | WrittenChoice | None,
) -> Iterator[Capability]:
    """What a target must be able to do to be told these."""
    if (tools or functions) and choice != "none":
        yield Capability.TOOLS
    others = any(tool.type != "function" for tool in tools or ())
    if others or (isinstance(choice, WrittenChoice) and not choice.functions):
        yield Capability.OTHER_TOOLS


def typed_tools(
    tools: Sequence[WrittenTool] | None,
    functions: Sequence[WrittenFunction] | None,
    choice: _Choice,
    *,
    parallel: bool,
) -> Tools | None:
    """``functions`` are the older parameter, which goes before and knows no calls side by side.
    Raises ``InvalidRequest``.
    """
    if tools is None and functions is None:
        return None
    available = [tool.function for tool in tools or () if tool.function is not None]
    if functions is not None:
        available, parallel = list(functions), False
    if not available:
        return None
    named, mode = None, ToolChoice.AUTO
    match choice:
        case str():
            mode = _mode(choice)
        case WrittenChoice(allowed_tools=_Allowed() as allowed):
            available = _allowed(available, allowed)
            mode = _mode(allowed.mode)
        case WrittenChoice() | NamedFunction():
            named = choice.named if isinstance(choice, WrittenChoice) else choice.name
            if named is not None:
                _check([named], available)
                mode = ToolChoice.REQUIRED
    return Tools(tuple(map(_tool, available)), mode, named, parallel)


def _mode(word: str) -> ToolChoice:
    mode = _MODES.get(word)
    if mode is None:
        raise InvalidRequest(
            f"'tool_choice' is {word[:_MOST_NAME]!r}: send none, auto, required, or an object.",
            param="tool_choice",
        )
    return mode


def _allowed(available: list[WrittenFunction], allowed: _Allowed) -> list[WrittenFunction]:
    """Those that may be called, in the order in which they are told."""
    given = (tool.function for tool in allowed.tools)
    names = [function.name for function in given if function is not None and function.name]
    if not names:
        raise InvalidRequest("'tool_choice.allowed_tools.tools' is empty.", param="tool_choice")
    _check(names, available)
    return [function for function in available if function.name in names]


def _check(names: Sequence[str], available: Sequence[WrittenFunction]) -> None:
    told = {function.name for function in available}
    for name in names:
        if name not in told:
            raise InvalidRequest(
                f"'tool_choice' names {name[:_MOST_NAME]!r}, which is none of 'tools'.",
                param="tool_choice",
            )


def _tool(function: WrittenFunction) -> Tool:
    schema = bytes(function.parameters).decode()
    plain = Tool(function.name, function.description or "", strict=bool(function.strict))
    return plain if schema == "null" else replace(plain, schema=schema)
