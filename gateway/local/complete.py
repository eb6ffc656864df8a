"""Texts that are taken as they are, without a template: the prompts of completions, and inputs."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from gateway.domain.call import Completion, Prompt
from gateway.domain.target import Capability
from gateway.local.formats import HERMES
from gateway.local.grammar import Frame, GrammarFault, grammar
from gateway.local.guide import Guide, Guides
from gateway.local.jobs import Declined, Job, too_long
from gateway.local.prepare import Tokens, least, shape_param
from gateway.local.protocol import RefusalKind
from gateway.local.shield import Segment


class Infill(NamedTuple):
    """The tokens that stand before a text's beginning, before its end, and before what is to be
    filled in between the two.
    """

    prefix: int
    suffix: int
    middle: int


class PlainTokens(Tokens, Protocol):
    """What must be known of a model beside. ``infill`` is ``None`` for one that cannot."""

    infill: Infill | None


class PromptFault(Exception):
    """A prompt cannot be taken. ``param`` is what of the request to correct."""

    def __init__(self, kind: RefusalKind, message: str, param: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.param = param

    def declined(self, key: tuple[int, int]) -> Declined:
        return Declined(key, self.kind, self.message, param=self.param)


def plain(model: Tokens, prompt: Prompt, param: str) -> list[int]:
    """The tokens of a text, marked at its beginning as the model wants it; marks within it are
    plain text. Token ids are taken as they are. Raises PromptFault where they are none of the
    model's.
    """
    if isinstance(prompt, str):
        return model.tokenize([Segment(prompt, marks=False)])
    size = len(model.pieces)
    wrong = next((token for token in prompt if not 0 <= token < size), None)
    if wrong is not None:
        message = f"{wrong} is no token of this model: its vocabulary has {size}, counted from 0"
        raise PromptFault(RefusalKind.REQUEST, message, param)
    return list(prompt)


def at_least(model: Tokens, prompt: Prompt) -> int:
    """A bound of a prompt's tokens from below."""
    return least(model, prompt) if isinstance(prompt, str) else len(prompt)


class Completions:
    """For one model with ``context`` tokens for each answer."""

    def __init__(self, model: PlainTokens, context: int, guides: Guides) -> None:
        self._model = model
        self._context = context
        self._guides = guides

    def jobs(
        self, key: tuple[int, int], task: Completion, *, app: str = "", until: float = math.inf
    ) -> list[Job] | Declined:
        """One job for each choice of each prompt, with its number behind ``key``; or why there is
        none.
        """
        if task.echo and task.logprobs is not None:
            message = "this model gives no logprobs of a prompt: leave out echo or logprobs"
            return Declined(key, RefusalKind.INCAPABLE, message, param="echo")
        try:
            guide = self._guide(task)
            prompts = [self._fitting(task, prompt) for prompt in task.prompts]
        except GrammarFault as fault:
            return Declined(key, RefusalKind.REQUEST, str(fault), param=fault.param)
        except PromptFault as fault:
            return fault.declined(key)
        return [
            Job(
                key=(*key, index * task.choices + choice),
                prompt=tokens,
                sampling=replace(
                    task.sampling,
                    seed=None if task.sampling.seed is None else task.sampling.seed + choice,
                ),
                max_tokens=task.max_tokens,
                stop=task.stop,
                guide=guide.fork() if guide is not None else None,
                likely=task.logprobs,
                echo=self._text(task.prompts[index]) if task.echo else "",
                app=app,
                until=until,
            )
            for index, tokens in enumerate(prompts)
            for choice in range(task.choices)
        ]

    def count(self, task: Completion) -> int:
        """How many tokens the prompts have together. Raises PromptFault where ``jobs`` would
        decline. What is too long for the model is not counted exactly.
        """
        sizes = [self._least(task, prompt) for prompt in task.prompts]
        return sum(
            size if size >= self._context else len(self._tokens(task, prompt))
            for prompt, size in zip(task.prompts, sizes, strict=True)
        )

    def _fitting(self, task: Completion, prompt: Prompt) -> list[int]:
        """The tokens of a prompt. Raises PromptFault where there is no room for an answer to it."""
        if (size := self._least(task, prompt)) >= self._context:
            raise self._too_long(f"at least {size}")
        tokens = self._tokens(task, prompt)
        if len(tokens) >= self._context:
            raise self._too_long(str(len(tokens)))
        return tokens

    def _too_long(self, size: str) -> PromptFault:
        message = too_long(size, self._context)
        return PromptFault(RefusalKind.CONTEXT_OVERFLOW, message, "prompt")

    def _least(self, task: Completion, prompt: Prompt) -> int:
        return at_least(self._model, prompt) + least(self._model, task.suffix or "")

    def _tokens(self, task: Completion, prompt: Prompt) -> list[int]:
        model = self._model
        tokens = plain(model, prompt, "prompt")
        if task.suffix is not None:
            if model.infill is None:
                message = "this model has no tokens for a suffix: it cannot fill a text in"
                raise PromptFault(RefusalKind.INCAPABLE, message, Capability.INFILL)
            return fill_in(model, model.infill, tokens, task.suffix)
        # Where nothing is there, a text begins.
        tokens = tokens or model.tokenize([Segment(model.bos, marks=True)])
        if not tokens:
            raise PromptFault(RefusalKind.REQUEST, "the prompt is empty", "prompt")
        return tokens

    def _guide(self, task: Completion) -> Guide | None:
        found = grammar(Frame(HERMES), task.shape, None)
        return None if found is None else self._guides.compile(found, shape_param(task.shape))

    def _text(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        return b"".join(map(self._model.name, prompt)).decode("utf-8", "replace")


class Tokenizer(Protocol):
    """How a model makes tokens of texts."""

    def tokenize(self, prompt: list[Segment]) -> list[int]: ...
    def encode(self, text: str) -> list[int]: ...


def fill_in(model: Tokenizer, marks: Infill, prefix: list[int], suffix: str) -> list[int]:
    """A text's beginning and its end, then the mark behind which the model writes the middle. What
    marks the beginning of all texts stays in front of everything.
    """
    begins = model.tokenize([Segment("", marks=False)])
    if prefix[: len(begins)] != begins:
        begins = []
    rest = prefix[len(begins) :]
    return [*begins, marks.prefix, *rest, marks.suffix, *model.encode(suffix), marks.middle]
