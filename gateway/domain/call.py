"""One request of an app, typed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Protocol, TypeAlias

import msgspec

from gateway.domain.decision import Labels
from gateway.domain.events import Event, Relayed
from gateway.domain.target import Capability, Target


class Dialect(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Api(StrEnum):
    """What an app asks for an answer. The value is the path behind the version in a base URL."""

    CHAT = "chat/completions"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    INPUT_TOKENS = "responses/input_tokens"
    MODERATIONS = "moderations"
    SPEECH = "audio/speech"
    TRANSCRIPTIONS = "audio/transcriptions"
    TRANSLATIONS = "audio/translations"
    IMAGES = "images/generations"
    IMAGE_EDITS = "images/edits"
    IMAGE_VARIATIONS = "images/variations"
    RERANK = "rerank"
    MESSAGES = "messages"
    COUNT_TOKENS = "messages/count_tokens"

    @property
    def dialect(self) -> Dialect:
        return _DIALECTS[self]


_OF_ANTHROPIC = frozenset({Api.MESSAGES, Api.COUNT_TOKENS})
_DIALECTS = {api: Dialect.ANTHROPIC if api in _OF_ANTHROPIC else Dialect.OPENAI for api in Api}


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A call of one of the app's functions. ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str


class Image(msgspec.Struct, frozen=True, gc=False):
    """A picture in a turn, before its character ``at``. ``url`` is a base64 data URL, as the app
    wrote it: only who looks at the picture pays for decoding it. It may be an address too, which
    only a target that can fetch it is given, and nobody else fetches.
    """

    url: str
    at: int


class Message(msgspec.Struct, frozen=True, gc=False):
    """One turn. ``role`` is ``system``, ``user``, ``assistant`` or ``tool``. An assistant's turn
    may hold ``calls`` and the ``reasoning`` before its content; a tool's has the id of the call
    that it answers. ``images`` are in their order in the turn.
    """

    role: str
    content: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None
    name: str | None = None
    reasoning: str | None = None
    images: tuple[Image, ...] = ()


class Sampling(msgspec.Struct, frozen=True):
    """How to choose tokens; ``None`` leaves it to the model's defaults. ``seed`` makes an answer
    repeatable on one build. ``logit_bias`` pairs token ids of the target's own vocabulary with what
    is added. ``ignore_end`` goes on past the model's end, for measurements.
    """

    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    ignore_end: bool = False


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call. ``schema`` is the JSON Schema of its arguments, as text;
    ``strict`` wants every keyword of it kept.
    """

    name: str
    description: str = ""
    schema: str = '{"type":"object","properties":{},"additionalProperties":false}'
    strict: bool = False


class ToolChoice(StrEnum):
    NONE = "none"
    AUTO = "auto"
    REQUIRED = "required"


class Tools(msgspec.Struct, frozen=True):
    """What may be called. ``named`` is the one function that must be."""

    available: tuple[Tool, ...]
    choice: ToolChoice = ToolChoice.AUTO
    named: str | None = None
    parallel: bool = True


class ShapeKind(StrEnum):
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"
    REGEX = "regex"
    GRAMMAR = "grammar"
    CHOICE = "choice"


class Shape(msgspec.Struct, frozen=True):
    """What the text of an answer must be. ``source`` is a JSON Schema as text, a regular
    expression, a grammar (Lark or GBNF), or a JSON array of texts to choose from; ``strict`` as
    in ``Tool``.
    """

    kind: ShapeKind
    source: str = ""
    strict: bool = True


class Chat(msgspec.Struct, frozen=True):
    """What a target that does not speak the caller's dialect is given. ``max_tokens`` of ``None``
    means: up to the end of the context. ``logprobs`` is how many likely tokens are told beside each
    chosen one, ``None`` for nothing; ``choices`` how many answers; ``prefill`` the text that the
    assistant's turn begins with; ``template`` a JSON object of variables for the chat template.
    With ``trims`` the oldest turns may be left out where the context does not hold them all.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: Tools | None = None
    shape: Shape | None = None
    logprobs: int | None = None
    choices: int = 1
    prefill: str = ""
    template: str = "{}"
    trims: bool = False


class Unread(msgspec.Struct, frozen=True, dict=True):
    """A long chat whose messages have been looked through, and not read: a target of the caller's
    dialect is sent their bytes, and to read the texts would take as long as all else together.
    ``around`` is the chat without them. They are so many ``turns``, with ``size`` bytes of text,
    rather too many than too few, and so many ``images``. ``read`` gives the whole chat, and raises
    ``InvalidRequest`` where a text is not UTF-8.
    """

    around: Chat
    turns: int
    size: int
    images: int
    read: Callable[[], Chat]

    @cached_property
    def chat(self) -> Chat:
        """The whole chat, read once. Raises as ``read`` does."""
        return self.read()


Prompt: TypeAlias = str | tuple[int, ...]
"""Plain text, or token ids of the target's own vocabulary."""


class Completion(msgspec.Struct, frozen=True):
    """Texts to go on with, as they are and without any template. ``choices`` is how many answers
    each of the ``prompts`` gets, and those of one prompt are counted before those of the next.
    ``suffix`` is what comes behind the answer; with ``echo`` an answer begins with its prompt. The
    rest as in ``Chat``.
    """

    prompts: tuple[Prompt, ...]
    suffix: str | None = None
    echo: bool = False
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    shape: Shape | None = None
    logprobs: int | None = None
    choices: int = 1


class Embedding(msgspec.Struct, frozen=True):
    """Texts whose vectors are wanted, each of ``dimensions`` numbers, or of as many as the model
    has.
    """

    inputs: tuple[Prompt, ...]
    dimensions: int | None = None


Task: TypeAlias = Chat | Completion | Embedding
"""What is to be done."""


class Begun(msgspec.Struct, frozen=True):
    """What the app has been sent of an answer whose target then failed: ``text`` of the assistant,
    of about ``tokens`` tokens; ``spent`` counts those of its thoughts, too.
    """

    text: str
    tokens: int
    spent: int


class Counting(msgspec.Struct, frozen=True):
    """Nothing is to be done but to tell, in ``Usage``, how many tokens the prompt has."""

    task: Task


class Passing(msgspec.Struct, frozen=True):
    """The body is passed on, and nothing of it is understood but which model is asked for. A form
    has a ``boundary``, and its field with the model at ``place``, two offsets in the body: from the
    field's head to the end of its value; they are the same where there is none. With ``text`` the
    answer may be plain text.
    """

    boundary: str | None = None
    place: tuple[int, int] = (0, 0)
    text: bool = False


class Call(msgspec.Struct, frozen=True):
    """A request as it goes through the house.

    ``id`` is the request id, ``client_id`` what the app calls the request; ``model`` the name that
    the app asked for; ``body`` the bytes that it sent; ``asked`` what is
    to be done; ``functions`` says that it uses the API's
    older parameters for them, ``base64`` that it wants vectors written so, ``discreet`` that
    thoughts are not to be told; ``betas`` names what it wants of its API that is not yet for all;
    ``received`` a monotonic time in seconds and ``deadline`` the monotonic time by which all must
    be done. ``session`` is what the app says belongs together, where it says so. With ``begun`` the
    target goes on with an answer that the app has the beginning of: the task holds it too, and the
    events say only what comes behind it, never as ``Relayed``. Neither do those of a ``typed`` one,
    which the gateway makes by itself: nobody wants the bytes of its answer. A ``spare`` one is to
    cost nobody anything: a local model has it only while a slot is free and nobody waits, and
    whatever becomes of it, its target is as healthy as before.

    ``alone`` says that it is known of ``body`` that its top level has one model, and nothing that
    is spelled like it; and that a target of its dialect is to be sent all else as it stands.

    Once a stream flows, a backend may give ``onward`` what it would yield next, alone and while it
    is waited for, and need not yield it where that says that it was taken: so a chunk costs no turn
    of a task. Everything but more of the same text is yielded.
    """

    id: str
    api: Api
    model: str
    stream: bool
    body: bytes
    asked: Task | Unread | Counting | Passing
    received: float
    deadline: float
    include_usage: bool = False
    functions: bool = False
    base64: bool = False
    discreet: bool = False
    betas: tuple[str, ...] = ()
    needs: frozenset[Capability] = frozenset()
    labels: Labels = Labels()
    session: str | None = None
    client_id: str | None = None
    begun: Begun | None = None
    typed: bool = False
    alone: bool = False
    spare: bool = False
    onward: Callable[[Relayed], bool] | None = None

    @property
    def task(self) -> Task | Counting | Passing:
        """What is to be done, read where it was not yet: who needs no more than to know its kind
        looks at ``asked``. Raises ``InvalidRequest`` as ``Unread`` does.
        """
        asked = self.asked
        return asked.chat if isinstance(asked, Unread) else asked


class Backend(Protocol):
    """What can perform an attempt. The only thing that the engine knows of a target's inside."""

    def attempt(self, target: Target, call: Call) -> AsyncGenerator[Sequence[Event], None]:
        """Yield the events of one attempt, those together that came together, and none empty.
        Closing the generator cancels the attempt at once.
        """
        ...

    def ready(self, target: Target) -> bool:
        """Whether an attempt can be expected to be taken now, without any I/O."""
        ...
