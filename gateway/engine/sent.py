"""What the app has of an answer so far, whoever sent it, and what is left to ask for."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gateway.audit.record import Seam
from gateway.domain.call import Begun, Call, Chat, Completion, Counting, Passing, Task, Unread
from gateway.domain.events import (
    Called,
    Continued,
    Delta,
    Embedded,
    Event,
    Reasoned,
    Relayed,
    Started,
    Usage,
)
from gateway.routing.failover import Progress

_NOTHING, _CONTENT, _BOUND = Progress.NOTHING_SENT, Progress.CONTENT_SENT, Progress.BOUND
_SAID = frozenset({Relayed, Delta, Reasoned, Called, Embedded})
BLOCK = 64
"""Pieces that are put together: as single texts they would take ten times their letters."""


class Sent:
    """``continuation`` says whether the model's configuration lets another target go on: only then
    is what a stream says kept. What is not streamed goes out when it is complete.
    """

    def __init__(self, call: Call, *, continuation: bool) -> None:
        self._may = continuation and _can_go_on(call.asked)
        self._call = call
        self._keeps = self._may and call.stream
        self._said = False
        self._blocks: list[str] = []
        self._pieces: list[str] = []
        self._bytes = 0
        self._began = False
        self._bound = False
        self._tokens = 0
        self._spent = 0
        self._id: str | None = None
        self._created: int | None = None
        self._block: int | None = None
        self.characters = 0

    @property
    def progress(self) -> Progress:
        if not self._began:
            return _NOTHING
        return _CONTENT if self._may and not self._bound else _BOUND

    def began(self, started: Started) -> None:
        """The app is sent the first events of an answer that ``started`` so."""
        if not self._began:
            self._began = True
            self._id, self._created = started.id, started.created

    def note(self, events: Sequence[Event]) -> None:
        """The app is sent these."""
        for event in events:
            if type(event) not in _SAID:
                continue
            if type(event) is Relayed:
                self.relayed(event)
            elif type(event) is Delta:
                self._say(event.text, 1)
            elif type(event) is Reasoned:
                self.characters += len(event.text)
                self._spent += 1
            elif type(event) is Called:
                self.characters += len(event.arguments)
                self._spent += 1
                self._bound = True
            elif type(event) is Embedded:
                self._bound = True

    def relayed(self, event: Relayed) -> None:
        """The app is sent this."""
        self._say(event.text, event.pieces)
        self._bound = self._bound or event.binding
        self._block = event.block

    def goes_on(self) -> Continued:
        """What the app is told where another target takes over."""
        return Continued(self._id, self._created, self._block, self._said)

    def rest(self) -> Call:
        """The call for what is left of the answer."""
        call = self._call
        if not self._began or not isinstance(task := call.task, Chat | Completion):
            return call
        text = "".join((*self._blocks, *self._pieces))
        most = None if task.max_tokens is None else max(1, task.max_tokens - self._spent)
        begun = Begun(text, self._tokens, self._spent)
        if isinstance(task, Chat):
            rest: Task = replace(task, prefill=task.prefill + text, max_tokens=most)
        else:
            prompts = tuple(one + text if isinstance(one, str) else one for one in task.prompts)
            rest = replace(task, prompts=prompts, max_tokens=most)
        return replace(call, asked=rest, begun=begun)

    def seam(self) -> Seam:
        """Where the answer broke off, if it did so now."""
        return Seam(byte=self._bytes, token=self._spent)

    def _say(self, text: str, pieces: int) -> None:
        length = len(text)
        if self._keeps:
            self._said = self._said or length > 0
            self._pieces.append(text)
            if len(self._pieces) >= BLOCK:
                self._blocks.append("".join(self._pieces))
                self._pieces.clear()
        self.characters += length
        self._bytes += length if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        self._tokens += pieces
        self._spent += pieces


def _can_go_on(asked: Task | Unread | Counting | Passing) -> bool:
    """Whether what there is of an answer could stand as the beginning of another's. Of a plain
    text only where it is all that the app gets, and stands right behind the prompt.
    """
    match asked:
        case Chat(choices=1) | Unread(around=Chat(choices=1)):
            return True
        case Completion(
            prompts=(str(),), choices=1, suffix=None, echo=False, logprobs=None, shape=None
        ):
            return True
        case _:
            return False


def whole_usage(usage: Usage, begun: Begun | None) -> Usage:
    """The usage of an answer whose rest took ``usage``: what was begun is no prompt to the app."""
    if begun is None:
        return usage
    prompt = max(0, usage.prompt - begun.tokens)
    return replace(
        usage,
        prompt=prompt,
        completion=usage.completion + begun.spent,
        cached=min(usage.cached, prompt),
        reasoning=usage.reasoning + begun.spent - begun.tokens,
        stored=min(usage.stored, prompt),
    )
