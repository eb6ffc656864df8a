"""Vectors of the real model, and of an encoder, against what is computed another way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.domain.call import Chat, Completion, Embedding, Message, Task
from gateway.domain.local_model import Pooling
from gateway.domain.target import Capability
from gateway.local.embed import Embedder
from gateway.local.jobs import Declined, EmbedJob, Found
from gateway.local.llama import LlamaModel
from gateway.local.native import llama
from gateway.local.protocol import RefusalKind
from gateway.local.tasks import Tasks
from gateway.local.vectors import PIECE
from tests.local import tiny_bert

FOX = "The quick brown fox jumps over the lazy dog."
LONG = "Rivers carry sand to the sea, and the sea gives it back to the shore. " * 25
Vector = NDArray[np.float32]


def loaded(path: Path, pooling: Pooling | None = None, slots: int = 1) -> LlamaModel:
    return LlamaModel(path, context=512, slots=slots, threads=2, gpu_layers=0, pooling=pooling)


@pytest.fixture(scope="module")
def model(gguf: Path) -> Iterator[LlamaModel]:
    model = loaded(gguf, Pooling.MEAN)
    yield model
    model.close()


@pytest.fixture(params=[tiny_bert.MEAN, tiny_bert.CLS])
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LlamaModel]:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_bert.tiny_bert(request.param))
    model = loaded(path)
    yield model
    model.close()


def vectors(model: LlamaModel, *texts: str, generating: bool = False) -> list[Vector]:
    """By way of everything that a worker does, but for the socket."""
    prepared = Tasks(model, 512).prepare((1, 2), Embedding(texts))
    assert not isinstance(prepared, Declined), prepared
    (job,) = prepared.jobs
    assert isinstance(job, EmbedJob)
    embedder = Embedder(model.encoder, 4, time.monotonic)
    embedder.submit(job)
    found: list[Vector] = []
    while not embedder.idle:
        for event in embedder.step(generating=generating):
            if isinstance(event, Found):
                found += [np.frombuffer(vector, "<f4") for vector in event.vectors]
    return found


def of_tokens(model: LlamaModel, tokens: list[int]) -> Vector:
    """The vector of each token, with a context of its own that pools nothing: (tokens, width)."""
    params = llama.llama_context_default_params()
    params.embeddings = True
    params.pooling_type = llama.LLAMA_POOLING_TYPE_NONE
    params.n_ctx = params.n_batch = params.n_ubatch = 512
    context = llama.llama_init_from_model(model._model, params)
    array = (llama.llama_token * len(tokens))(*tokens)
    assert llama.llama_decode(context, llama.llama_batch_get_one(array, len(tokens))) == 0
    rows = [
        np.ctypeslib.as_array(llama.llama_get_embeddings_ith(context, row), (model.width,)).copy()
        for row in range(len(tokens))
    ]
    llama.llama_free(context)
    return np.stack(rows)


def test_pooled_as_it_says_and_no_kind_like_another(model: LlamaModel, gguf: Path) -> None:
    """Mean, first and last of the tokens' own vectors, each at length 1."""
    rows = of_tokens(model, model.encode(FOX))
    expected = {
        Pooling.MEAN: rows.mean(axis=0),
        Pooling.CLS: rows[0],
        Pooling.LAST: rows[-1],
    }
    for pooling in expected:
        one = loaded(gguf, pooling)
        (found,) = vectors(one, FOX)
        one.close()
        assert abs(float(np.linalg.norm(found)) - 1) < 1e-5
        nearness = {
            kind: float(found @ other / np.linalg.norm(other)) for kind, other in expected.items()
        }
        assert nearness[pooling] > 0.9999
        assert max(near for kind, near in nearness.items() if kind is not pooling) < 0.99


def test_a_text_has_the_same_vector_alone_among_others_and_in_parts(model: LlamaModel) -> None:
    """llama.cpp rounds by the size of a batch, and what stands in it beside a text does nothing."""
    assert len(model.encode(LONG)) > PIECE
    (alone,) = vectors(model, FOX)
    few = vectors(model, "cat", FOX, "dog")
    assert np.abs(few[1] - alone).max() < 1e-6
    (parted,) = vectors(model, LONG, generating=True)
    many = vectors(model, LONG, FOX, "cat")
    assert float(many[0] @ parted) > 0.9999
    assert float(many[1] @ alone) > 0.999
    assert float(many[0] @ alone) < 0.9
    mirrored = LONG.replace("sand", "salt").replace("back", "down")
    assert len(model.encode(mirrored)) == len(model.encode(LONG))
    others = vectors(model, mirrored, FOX, "dog")
    assert np.abs(others[0] - many[0]).max() > 1e-3
    assert np.abs(others[1] - many[1]).max() < 1e-6


def test_like_things_are_near_each_other(model: LlamaModel) -> None:
    """As far as a small model that was made for something else can tell."""
    cat, kitten, law = vectors(
        model,
        "A cat sat on the mat.",
        "A kitten lies on the rug.",
        "The tax law was changed by parliament.",
    )
    assert float(cat @ kitten) > float(cat @ law) + 0.1


def test_a_models_file_or_its_manifest_says_whether_it_has_embeddings(gguf: Path) -> None:
    """A chat model whose file says nothing has none, and the refusal says what would help."""
    model = loaded(gguf)
    tasks = Tasks(model, 512)
    assert Capability.EMBEDDINGS not in tasks.abilities().capabilities
    declined = tasks.prepare((1, 2), Embedding((FOX,)))
    assert isinstance(declined, Declined)
    assert (declined.kind, declined.param) == (RefusalKind.INCAPABLE, Capability.EMBEDDINGS)
    assert "`pooling` in its manifest" in declined.message
    model.close()


FAULTS = [
    (("x " * 600,), None, RefusalKind.CONTEXT_OVERFLOW, "input 0 has 601 tokens", "input"),
    (("a", "x" * 90_000), None, RefusalKind.CONTEXT_OVERFLOW, "input 1 has at least", "input"),
    (("a", ""), None, RefusalKind.REQUEST, "input 1 is empty", "input"),
    (((5, 49152),), None, RefusalKind.REQUEST, "49152 is no token of this model", "input"),
    (((-1,),), None, RefusalKind.REQUEST, "-1 is no token of this model", "input"),
    (("a",), 577, RefusalKind.REQUEST, "have 576 dimensions, 577 were asked for", "dimensions"),
]


@pytest.mark.parametrize(("inputs", "dimensions", "kind", "message", "param"), FAULTS)
def test_what_has_no_vector_is_refused(
    model: LlamaModel,
    inputs: tuple[str | tuple[int, ...], ...],
    dimensions: int | None,
    kind: RefusalKind,
    message: str,
    param: str,
) -> None:
    """Never cut, and with both numbers where there are two."""
    declined = Tasks(model, 512).prepare((1, 2), Embedding(inputs, dimensions))
    assert isinstance(declined, Declined)
    assert (declined.kind, declined.param) == (kind, param)
    assert message in declined.message
    assert kind is not RefusalKind.CONTEXT_OVERFLOW or "takes 512 at most" in declined.message


def test_an_encoder_sees_all_of_a_text(encoder: LlamaModel) -> None:
    """Its first token's vector depends on the words behind it, and those of texts beside it do
    nothing to it.
    """
    alone = vectors(encoder, "cat sat")
    first, other, again = vectors(encoder, "cat sat", "cat law the", "cat sat")
    assert np.abs(first - alone[0]).max() < 1e-5
    assert np.abs(first - again).max() < 1e-5
    assert float(first @ other) < 0.99


def test_an_encoder_takes_a_long_text_whole_even_while_others_wait(encoder: LlamaModel) -> None:
    """Up to what it was trained for, marks at both ends included, though more is configured."""
    assert encoder.longest_text == tiny_bert.CONTEXT
    words = " ".join(["cat"] * (tiny_bert.CONTEXT - 2))
    found = vectors(encoder, words, words + " ", "dog", generating=True)
    assert np.abs(found[0] - found[1]).max() < 1e-5
    declined = Tasks(encoder, 512).prepare((1, 2), Embedding((words + " dog",)))
    assert isinstance(declined, Declined)
    assert "input 0 has 65 tokens, but this model takes 64 at most" in declined.message


@pytest.mark.parametrize("task", [Chat((Message("user", "Hi"),)), Completion(("Hi",))])
def test_an_encoder_generates_nothing(encoder: LlamaModel, task: Task) -> None:
    """It is loaded all the same, and says what it is for."""
    tasks = Tasks(encoder, 512)
    assert tasks.abilities().capabilities == (Capability.EMBEDDINGS,)
    for outcome in (tasks.prepare((1, 2), task), tasks.count((1, 2), task)):
        assert isinstance(outcome, Declined)
        assert outcome.kind is RefusalKind.INCAPABLE
        assert "generates no text" in outcome.message
