"""From a request to what the batcher is given: a rendered prompt in tokens, grammars, readers.

Belongs to one thread of a worker, so that a long prompt or a large schema stalls nobody who
generates.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Protocol

from msgspec.structs import replace

from gateway.domain.call import Chat, Sampling, Shape, ShapeKind, ToolChoice
from gateway.local.abilities import ChatAbilities
from gateway.local.formats import HARMONY, HERMES, Thinking, ToolFormat, thinking, tool_format
from gateway.local.grammar import Frame, GrammarFault, grammar
from gateway.local.guide import Guide, Guides, Vocabulary
from gateway.local.jobs import Declined, Job, overflow
from gateway.local.pictures import Crowded, PictureFault, Piece, decode, laid_out
from gateway.local.protocol import RefusalKind
from gateway.local.reader import HarmonyReader, MarkedReader, PlainReader, Reader
from gateway.local.shield import Segment, Shield
from gateway.local.template import ChatTemplate, TemplateFault
from gateway.local.trial import abilities
from gateway.local.trim import trimmed

AGAIN = 1.0
"""Seconds after which memory for an image may be free again."""


class Tokens(Vocabulary, Protocol):
    """What must be known of a model to prepare prompts for it. ``longest_piece`` is in bytes."""

    template: str | None
    longest_piece: int

    @property
    def bos(self) -> str: ...
    @property
    def eos(self) -> str: ...
    @property
    def marks(self) -> frozenset[str]: ...
    def tokenize(self, prompt: list[Segment], *, begin: bool = True) -> list[int]: ...
    def look(self, images: Sequence[bytes]) -> list[list[Piece]]: ...


def least(model: Tokens, text: str) -> int:
    """A text cannot be fewer tokens than this; tokenizing a long one exactly could take minutes."""
    return len(text.encode("utf-8", "surrogatepass")) // model.longest_piece


def unseen(key: Hashable, fault: PictureFault | Crowded) -> Declined:
    """Why there is no prompt with the images of a request."""
    if isinstance(fault, PictureFault):
        return Declined(key, RefusalKind.REQUEST, str(fault), param="messages")
    message = "the local model has too many images to look at just now"
    return Declined(key, RefusalKind.BUSY, message, retry_after=AGAIN)


class Preparer:
    """For one model with ``context`` tokens for each answer. Raises TemplateFault where the model's
    template is no Jinja template.
    """

    def __init__(self, model: Tokens, context: int) -> None:
        self._model = model
        self._context = context
        source = model.template or ""
        self._format: ToolFormat | None = tool_format(source)
        self._thinking: Thinking | None = thinking(source)
        self._template = ChatTemplate(
            model.template, bos=model.bos, eos=model.eos, native=self._format
        )
        self._shield = Shield(model.marks)
        self.guides = Guides(model)

    def abilities(self) -> ChatAbilities:
        """What the model takes of a conversation, by its template."""
        return abilities(self._template, self._format, self._thinking)

    def jobs(
        self, key: tuple[int, int], chat: Chat, *, app: str = "", until: float = math.inf
    ) -> list[Job] | Declined:
        """One job for each choice, with its number behind ``key``; or why there is none."""
        made = self._jobs(key, chat, app, until)
        if not chat.trims or not _overflows(made, self._context):
            return made
        room = min(chat.max_tokens or self._context // 4, self._context // 2)

        def fits(less: Chat) -> bool:
            found = self._jobs(key, less, app, until)
            return not isinstance(found, Declined) and len(found[0].prompt) <= self._context - room

        short = trimmed(chat, fits)
        return made if short is None else self._jobs(key, short, app, until)

    def _jobs(
        self, key: tuple[int, int], chat: Chat, app: str, until: float
    ) -> list[Job] | Declined:
        try:
            rendered, frame = self._rendered(chat)
            guide = self._guide(frame, chat)
        except TemplateFault as fault:
            return Declined(key, RefusalKind.REQUEST, str(fault), param="messages")
        except GrammarFault as fault:
            return Declined(key, RefusalKind.REQUEST, str(fault), param=fault.param)
        if (size := least(self._model, rendered)) >= self._context:
            return overflow(key, f"at least {size}", self._context)
        try:
            prompt, pictures = laid_out(self._pieces(rendered, chat))
        except (PictureFault, Crowded) as fault:
            return unseen(key, fault)
        return [
            Job(
                key=(*key, choice),
                prompt=prompt,
                pictures=pictures,
                sampling=_seeded(chat, choice),
                max_tokens=chat.max_tokens,
                stop=chat.stop,
                guide=guide.fork() if guide is not None else None,
                reader=self._reader(frame, chat),
                likely=chat.logprobs,
                app=app,
                until=until,
            )
            for choice in range(chat.choices)
        ]

    def count(self, chat: Chat) -> int:
        """How many tokens a prompt has. Raises TemplateFault, PictureFault and Crowded where
        ``jobs`` would decline. What is too long for the model is not counted exactly.
        """
        rendered, _ = self._rendered(chat)
        size = least(self._model, rendered)
        return size if size >= self._context else len(laid_out(self._pieces(rendered, chat))[0])

    def _pieces(self, rendered: str, chat: Chat) -> list[Piece]:
        """The prompt, with its images at their places. Raises PictureFault, Crowded."""
        images = [decode(image.url) for message in chat.messages for image in message.images]
        looked = self._model.look(images) if images else []
        pieces: list[Piece] = []
        run: list[Segment] = []
        for part in self._shield.segments(rendered):
            if isinstance(part, Segment):
                run.append(part)
                continue
            pieces.append(tuple(self._model.tokenize(run, begin=not pieces)))
            pieces += looked[part.number]
            run = []
        return [*pieces, tuple(self._model.tokenize(run, begin=not pieces))]

    def _rendered(self, chat: Chat) -> tuple[str, Frame]:
        """The prompt with what stands of the answer already, and how the model goes on."""
        rendered = self._template.render(chat, self._shield.cover)
        thinks = self._thinking
        opened = thinks is not None and rendered.rstrip().endswith(thinks.open)
        frame = Frame(self._format or HERMES, thinks, opened)
        return rendered + self._begun(frame, chat), frame

    def _begun(self, frame: Frame, chat: Chat) -> str:
        """What stands of the assistant's turn already. It is content, so the thinking is over."""
        if not chat.prefill:
            return ""
        text = self._shield.cover(chat.prefill)
        if frame.format is HARMONY:
            return f"<|channel|>final<|message|>{text}"
        closed = f"\n{frame.thinking.close}\n\n" if frame.thinking and frame.opened else ""
        return closed + text

    def _guide(self, frame: Frame, chat: Chat) -> Guide | None:
        tools = chat.tools
        if chat.prefill:
            # Within content, a model that writes in channels can call nothing any more.
            tools = None if frame.format is HARMONY else tools
            frame = Frame(HERMES if frame.format is HARMONY else frame.format)
        found = grammar(frame, chat.shape, tools)
        if found is None:
            return None
        guide = self.guides.compile(found, shape_param(chat.shape))
        for token in self._model.encode(chat.prefill):
            if not guide.allows(token):
                raise GrammarFault(
                    "the beginning of the answer does not fit its format", "messages"
                )
            guide.take(token)
        return guide

    def _reader(self, frame: Frame, chat: Chat) -> Reader:
        if frame.format is HARMONY:
            return HarmonyReader(begun=bool(chat.prefill))
        calling = chat.tools is not None and chat.tools.choice is not ToolChoice.NONE
        thinks = None if chat.prefill else frame.thinking
        if not calling and thinks is None:
            return PlainReader()
        opened = frame.opened and thinks is not None
        return MarkedReader(frame.format if calling else None, thinks, opened=opened)


def _overflows(made: list[Job] | Declined, context: int) -> bool:
    if isinstance(made, Declined):
        return made.kind is RefusalKind.CONTEXT_OVERFLOW
    return len(made[0].prompt) >= context


def _seeded(chat: Chat, choice: int) -> Sampling:
    seed = chat.sampling.seed
    return chat.sampling if seed is None else replace(chat.sampling, seed=seed + choice)


def shape_param(shape: Shape | None) -> str:
    """What an app would have to correct where a grammar is not taken."""
    if shape is None:
        return "tools"
    kinds = (ShapeKind.JSON_OBJECT, ShapeKind.JSON_SCHEMA)
    return "response_format" if shape.kind in kinds else "structured_outputs"
