"""From any request to what is computed for it. Belongs to the thread that prepares prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.domain.call import Chat, Completion, Embedding, Message, Prompt, Sampling, Task
from gateway.domain.local_model import Pooling
from gateway.domain.target import Capability
from gateway.local.abilities import CAPABILITIES, Abilities
from gateway.local.complete import Completions, PlainTokens, PromptFault, at_least, plain
from gateway.local.jobs import Declined, EmbedJob, Job
from gateway.local.pictures import Crowded, PictureFault
from gateway.local.prepare import Preparer, unseen
from gateway.local.protocol import RefusalKind
from gateway.local.template import TemplateFault

HELLO = Chat((Message("user", "Hello"),), Sampling(temperature=0.0), max_tokens=1)


class ModelTokens(PlainTokens, Protocol):
    """What must be known of a model beside. ``pooling`` is ``None`` for one that has no vectors;
    ``sees`` says whether it takes images; what is ``longest_text`` and ``width`` is with
    ``LlamaModel``.
    """

    generates: bool
    sees: bool
    pooling: Pooling | None
    width: int
    longest_text: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be computed for a request; its jobs have so many prompts between them."""

    jobs: Sequence[Job | EmbedJob]
    prompts: int = 1

    def as_asked(self, *, suspect: bool, spare: bool) -> Prepared:
        """The same, with what of ``Generate`` says how it may begin."""
        jobs = [
            replace(job, suspect=suspect, spare=spare) if isinstance(job, Job) else job
            for job in self.jobs
        ]
        return replace(self, jobs=jobs)


class Tasks:
    """For one model with ``context`` tokens for each answer. Raises TemplateFault where the model's
    template does not parse.
    """

    def __init__(self, model: ModelTokens, context: int) -> None:
        self._model = model
        self._chats: Preparer | None = None
        self._completions: Completions | None = None
        if model.generates:
            self._chats = Preparer(model, context)
            self._completions = Completions(model, context, self._chats.guides)

    def abilities(self) -> Abilities:
        """What this model can do."""
        found = set(CAPABILITIES) if self._model.generates else set()
        if self._model.pooling is not None:
            found.add(Capability.EMBEDDINGS)
        if self._model.generates and self._model.infill is not None:
            found.add(Capability.INFILL)
        if self._model.sees:
            found.add(Capability.IMAGES)
        chat = self._chats.abilities() if self._chats is not None else None
        return Abilities(tuple(sorted(found)), chat)

    def first(self) -> Prepared | Declined:
        """Something small to do, for a model that has done nothing yet."""
        return self.prepare((0, 0), HELLO if self._model.generates else Embedding(("Hello",)))

    def prepare(
        self, key: tuple[int, int], task: Task, *, app: str = "", until: float = math.inf
    ) -> Prepared | Declined:
        """The jobs of a task; their keys have a number behind ``key``. Or why there are none."""
        prompts = 1
        jobs: Sequence[Job | EmbedJob] | Declined
        match task:
            case Chat() if self._chats is not None:
                jobs = self._chats.jobs(key, task, app=app, until=until)
            case Completion() if self._completions is not None:
                jobs = self._completions.jobs(key, task, app=app, until=until)
                prompts = len(task.prompts)
            case Embedding():
                jobs = self._embedding(key, task, app, until)
            case _:
                return _generates_nothing(key)
        return jobs if isinstance(jobs, Declined) else Prepared(_together(jobs), prompts)

    def count(self, key: tuple[int, int], task: Task) -> int | Declined:
        """How many tokens a task's prompts have together; or why nobody can say. Of a prompt that
        is too long for the model it is known that it has no fewer.
        """
        try:
            match task:
                case Chat() if self._chats is not None:
                    return self._chats.count(task)
                case Completion() if self._completions is not None:
                    return self._completions.count(task)
                case Embedding():
                    return sum(map(self._size, task.inputs))
                case _:
                    return _generates_nothing(key)
        except TemplateFault as fault:
            return Declined(key, RefusalKind.REQUEST, str(fault), param="messages")
        except (PictureFault, Crowded) as fault:
            return unseen(key, fault)
        except PromptFault as fault:
            return fault.declined(key)

    def _size(self, input: Prompt) -> int:
        size = self._at_least(input)
        return size if size > self._model.longest_text else len(plain(self._model, input, "input"))

    def _at_least(self, input: Prompt) -> int:
        # The vocabularies of encoders drop blanks, and make one token of a word that they do not
        # know, however long it is; and they are fast.
        bounded = self._model.generates or not isinstance(input, str)
        return at_least(self._model, input) if bounded else 0

    def _embedding(
        self, key: tuple[int, int], task: Embedding, app: str, until: float
    ) -> list[EmbedJob] | Declined:
        model = self._model
        if model.pooling is None:
            message = (
                "this model has no embeddings: its file does not say how the vectors of tokens "
                "become one. `pooling` in its manifest would"
            )
            return Declined(key, RefusalKind.INCAPABLE, message, param=Capability.EMBEDDINGS)
        wanted = task.dimensions
        if wanted is not None and not 0 < wanted <= model.width:
            message = f"this model's vectors have {model.width} dimensions, {wanted} were asked for"
            return Declined(key, RefusalKind.REQUEST, message, param="dimensions")
        try:
            inputs = tuple(self._input(*numbered) for numbered in enumerate(task.inputs))
        except PromptFault as fault:
            return fault.declined(key)
        return [EmbedJob((*key, 0), inputs, wanted, app, until)]

    def _input(self, number: int, input: Prompt) -> list[int]:
        """Raises PromptFault where there is no vector of it."""
        longest = self._model.longest_text
        if (size := self._at_least(input)) > longest:
            raise _too_long(number, f"at least {size}", longest)
        tokens = plain(self._model, input, "input")
        if len(tokens) > longest:
            raise _too_long(number, str(len(tokens)), longest)
        if not tokens:
            raise PromptFault(RefusalKind.REQUEST, f"input {number} is empty", "input")
        return tokens


def _together(jobs: Sequence[Job | EmbedJob]) -> Sequence[Job | EmbedJob]:
    """The jobs of one request, of which the first has its place for all."""
    behind = (replace(job, follows=True) if isinstance(job, Job) else job for job in jobs[1:])
    return [*jobs[:1], *behind]


def _too_long(number: int, size: str, longest: int) -> PromptFault:
    message = f"input {number} has {size} tokens, but this model takes {longest} at most"
    return PromptFault(RefusalKind.CONTEXT_OVERFLOW, message, "input")


def _generates_nothing(key: tuple[int, int]) -> Declined:
    message = "this model generates no text: it is one for embeddings"
    return Declined(key, RefusalKind.INCAPABLE, message, param="model")
