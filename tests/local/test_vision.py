"""Seeing, with the real model and a projector of random weights: what it says has no sense, but
what comes of which image, and what does not, can be told.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gateway.domain.call import Chat, Image, Message, Sampling
from gateway.errors import ModelFileError
from gateway.local import vision
from gateway.local.batch import Batcher, Chunk, NoRoom
from gateway.local.jobs import Declined, Ended, Event, Job, Said
from gateway.local.llama import LlamaModel
from gateway.local.pictures import Crowded, Picture, PictureFault
from gateway.local.prepare import Preparer
from gateway.local.protocol import RefusalKind
from gateway.local.shield import Segment
from tests.local.image_files import GIF, JPEG, bmp, data_url, png, png_header
from tests.local.projector_files import projector

CAT, DOG = png(40, 30, seed=1), png(40, 30, seed=2)


def load(gguf: Path, path: Path, *, context: int = 1024, slots: int = 3) -> LlamaModel:
    return LlamaModel(gguf, context=context, slots=slots, threads=2, gpu_layers=0, projector=path)


@pytest.fixture(scope="module", params=["mlp", "gemma3"])
def seeing(
    gguf: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LlamaModel]:
    """One whose images are read as text is, and one whose tokens of an image see each other."""
    folder = tmp_path_factory.mktemp("seeing")
    model = load(gguf, projector(folder / "mmproj.gguf", request.param))
    yield model
    model.close()


def turn(text: str, *images: tuple[bytes, int], role: str = "user") -> Message:
    return Message(role, text, images=tuple(Image(data_url(data), at) for data, at in images))


def jobs(
    model: LlamaModel, *turns: Message, seed: int | None = None, max_tokens: int = 8
) -> list[Job]:
    chat = Chat(turns, Sampling(temperature=0.0, seed=seed, ignore_end=True), max_tokens)
    found = Preparer(model, model.context).jobs((1, 1), chat)
    assert not isinstance(found, Declined), found
    return found


def declined(model: LlamaModel, *turns: Message) -> Declined:
    found = Preparer(model, model.context).jobs((1, 1), Chat(turns))
    assert isinstance(found, Declined)
    return found


def drain(batcher: Batcher) -> list[Event]:
    events: list[Event] = []
    while not batcher.idle:
        events += batcher.step()
    return events


@dataclass(frozen=True)
class First:
    """What an answer could have begun with, and how much of its prompt was there."""

    likely: dict[bytes, float]
    cached: int

    def far(self, other: First) -> float:
        """The largest difference of two logarithms of probabilities. Rounding, which depends on how
        a prompt was cut, comes to 0.2; another image to more than 0.6.
        """
        both = self.likely.keys() & other.likely.keys()
        return max((abs(self.likely[one] - other.likely[one]) for one in both), default=99.0)


FAR = 0.4


def run(batcher: Batcher, job: Job) -> First:
    """Answer ``job``, whoever else is there."""
    job = replace(job, key="mine", likely=20)
    events = [e for e in (*batcher.submit(job), *drain(batcher)) if e.key == "mine"]
    assert isinstance(events[-1], Ended), events
    score = next(score for event in events if isinstance(event, Said) for score in event.scores)
    return First({one.token: one.logprob for one in score.top}, events[-1].cached)


def forget(model: LlamaModel) -> Batcher:
    """A batcher that finds nothing in the slots."""
    for slot in range(model.slots):
        model.keep(slot, 0)
    return Batcher(model, 8, time.monotonic)


def test_an_answer_depends_on_the_image(seeing: LlamaModel) -> None:
    """On which it is and where it is; the same again has the same answer, from what was kept."""
    batcher = forget(seeing)
    (cat,) = jobs(seeing, turn("What is this?", (CAT, 0)))
    (dog,) = jobs(seeing, turn("What is this?", (DOG, 0)))
    (behind,) = jobs(seeing, turn("What is this?", (CAT, 13)))
    assert len(cat.prompt) == len(dog.prompt)
    first, again, other = (run(batcher, job) for job in (cat, cat, dog))
    assert (first.cached, again.cached) == (0, len(cat.prompt) - 1)
    assert other.cached <= min(at for at, _ in dog.pictures)
    assert first.far(again) < FAR < first.far(other)
    assert first.far(run(batcher, behind)) > FAR


def test_what_was_kept_of_an_image_is_the_image(seeing: LlamaModel) -> None:
    """A second turn computes nothing of the first's image, and says what it says when it does."""
    question = turn("What is this?", (CAT, 0))
    answer, more = Message("assistant", "A cat."), turn("And this?", (DOG, 3))
    batcher = forget(seeing)
    run(batcher, jobs(seeing, question)[0])
    (second,) = jobs(seeing, question, answer, more)
    kept = run(batcher, second)
    (place, picture), (other, _) = second.pictures
    assert place + picture.size <= kept.cached <= other
    anew = run(forget(seeing), second)
    assert anew.cached == 0
    assert kept.far(anew) < FAR


def test_another_slot_shares_the_image(seeing: LlamaModel) -> None:
    """Two questions about one image at once: it is computed by the first alone."""
    story = "An image that was taken long before our time. " * 9
    (first,) = jobs(seeing, turn(f"{story}What is it?", (CAT, len(story))), max_tokens=30)
    (second,) = jobs(seeing, turn(f"{story}Who is it?", (CAT, len(story))))
    alone = run(forget(seeing), second)
    batcher = forget(seeing)
    batcher.submit(first)
    batcher.step()
    both = run(batcher, second)
    ((place, picture),) = second.pictures
    assert both.cached >= place + picture.size
    assert both.far(alone) < FAR


@pytest.mark.parametrize("places", [(0,), (7,), (14,), (0, 0), (0, 7, 14), (14, 14)])
def test_images_anywhere(seeing: LlamaModel, places: tuple[int, ...]) -> None:
    """At the beginning, in the middle, at the end, beside each other: each where it was put."""
    text = "Look at these."
    (job,) = jobs(seeing, turn(text, *((CAT, at) for at in places)))
    assert len(job.pictures) == len(places)
    shown, at = b"", 0
    for start, picture in [*job.pictures, (len(job.prompt), None)]:
        shown += b"".join(map(seeing.name, job.prompt[at:start]))
        if picture is not None:
            shown += b"[IMAGE]"
            at = start + picture.size
    expected = "".join(
        "[IMAGE]" * places.count(index) + letter for index, letter in enumerate(f"{text} ")
    )
    plain = shown.replace(b"<start_of_image>", b"").replace(b"<end_of_image>", b"")
    assert expected.strip().encode() in plain
    assert run(forget(seeing), job).likely


def test_with_a_seed_the_answer_is_the_same_whoever_else_looks(seeing: LlamaModel) -> None:
    """Alone, and beside another image and another text: to the last bit."""
    (job,) = jobs(seeing, turn("What is this?", (CAT, 4)), seed=5)
    alone = run(forget(seeing), job)
    batcher = forget(seeing)
    for key, other in enumerate((turn("And this?", (DOG, 0)), turn("Tell me a story."))):
        batcher.submit(replace(jobs(seeing, other, max_tokens=30)[0], key=key))
        batcher.step()
    assert run(batcher, job).likely == alone.likely
    (job,) = jobs(seeing, turn("What is this?", (DOG, 4)), seed=5)
    assert run(batcher, job).far(alone) > FAR


def test_every_type_that_is_taken_is_decoded(seeing: LlamaModel) -> None:
    """PNG, JPEG, GIF and BMP; and as small and as narrow as may be."""
    for image in (CAT, JPEG, GIF, bmp(3, 2), bmp(3, -2), png(1, 1), png(1, 200), png(200, 1)):
        (pieces,) = seeing.look([image])
        assert any(isinstance(piece, Picture) for piece in pieces)


BROKEN = [
    (CAT[:200], "cannot be decoded"),
    (png_header(40, 30), "cannot be decoded"),
    (JPEG[:300], "cannot be decoded"),
    (png_header(10_000, 10_000), "more than 40 million"),
    (b"<svg/>", "unknown type"),
    (b"\xff\xfb" + bytes(400), "unknown type"),
    (b"RIFF\0\0\0\0WAVEfmt " + bytes(100), "unknown type"),
]


@pytest.mark.parametrize(("data", "why"), BROKEN)
def test_what_cannot_be_seen_is_refused(seeing: LlamaModel, data: bytes, why: str) -> None:
    """By a type, with the parameter; a good image beside it does not help."""
    found = declined(seeing, turn("Compare.", (CAT, 0), (data, 3)))
    assert (found.kind, found.param) == (RefusalKind.REQUEST, "messages")
    assert why in found.message


def test_an_empty_image_is_refused(seeing: LlamaModel) -> None:
    found = declined(seeing, Message("user", "x", images=(Image("data:image/png;base64,", 0),)))
    assert (found.kind, found.param) == (RefusalKind.REQUEST, "messages")
    assert "is empty" in found.message


def test_images_count_for_the_context(seeing: LlamaModel) -> None:
    """Both numbers are named, and all images are in the first."""
    size = len(jobs(seeing, turn("x", (CAT, 0)))[0].prompt) - len(jobs(seeing, turn("x"))[0].prompt)
    count = 1024 // size + 1
    chat = Chat((turn("x", *((png(8, 8, seed), 0) for seed in range(count))),))
    (job,) = _all(Preparer(seeing, 4096).jobs((1, 1), chat))
    (found,) = Batcher(seeing, 0, time.monotonic).submit(job)
    assert isinstance(found, Declined)
    assert found.kind is RefusalKind.CONTEXT_OVERFLOW
    assert f"the prompt has {len(job.prompt)} tokens" in found.message
    assert "context is 1024 tokens" in found.message
    assert len(job.prompt) > count * size


def _all(found: list[Job] | Declined) -> list[Job]:
    assert not isinstance(found, Declined), found
    return found


def test_memory_of_images_is_bounded_and_given_back(
    seeing: LlamaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request may not have too much, all together neither; what is let go of makes room."""
    gc.collect()
    a_picture = 32 * 32 * 3 * 4
    monkeypatch.setattr(vision, "HELD", 3 * a_picture)
    with pytest.raises(PictureFault, match="send fewer"):
        seeing.look([png(8, 8, seed) for seed in range(4)])
    gc.collect()
    held = [seeing.look([CAT]) for _ in range(3)]
    with pytest.raises(Crowded):
        seeing.look([CAT])
    found = declined(seeing, turn("x", (CAT, 0)))
    assert (found.kind, found.retry_after) == (RefusalKind.BUSY, 1.0)
    held.clear()
    gc.collect()
    assert seeing.look([CAT])


def test_one_image_twice_is_prepared_once(seeing: LlamaModel) -> None:
    """What stands for it is the same object, and is counted once."""
    first, second = seeing.look([CAT, CAT])
    assert first is second


def test_an_image_longer_than_a_batch(gguf: Path, tmp_path: Path) -> None:
    """It goes in by several steps of llama.cpp; where its tokens see each other it cannot."""
    model = load(gguf, projector(tmp_path / "a.gguf", side=96))
    (cat,) = jobs(model, turn("What is this?", (CAT, 0)))
    (dog,) = jobs(model, turn("What is this?", (DOG, 0)))
    assert cat.pictures[0][1].size == 576
    batcher = forget(model)
    first, other, again = (run(batcher, job) for job in (cat, dog, cat))
    assert first.far(again) < FAR < first.far(other)
    model.close()
    model = load(gguf, projector(tmp_path / "b.gguf", "gemma3", side=192))
    assert "takes 576 tokens, more than 512" in declined(model, turn("x", (CAT, 0))).message
    model.close()


def test_tokens_of_an_image_look_at_each_other_where_they_should(
    gguf: Path, tmp_path: Path
) -> None:
    """Read one after the other they say something else; text is read so again behind them."""
    model = load(gguf, projector(tmp_path / "mmproj.gguf", "gemma3"))
    assert model._vision is not None
    assert not model._vision.causal
    (cat,), (text,) = jobs(model, turn("What is this?", (CAT, 0))), jobs(model, turn("What is it?"))
    before = run(forget(model), text)
    both = run(forget(model), cat)
    assert run(forget(model), text).likely == before.likely
    model._vision.causal = True
    assert run(forget(model), cat).far(both) > FAR / 2
    model.close()


def test_a_large_image_is_cut(gguf: Path, tmp_path: Path) -> None:
    """Each part is something of its own, also where two look the same."""
    model = load(gguf, projector(tmp_path / "mmproj.gguf", tiles=(64, 32, 32, 64)))
    (job,) = jobs(model, turn("What is this?", (bmp(64, 32), 0)))
    assert len(job.pictures) == 3
    assert len({picture.mark for _, picture in job.pictures}) == 3
    assert run(forget(model), job).likely
    model.close()


def test_without_room_nothing_of_an_image_stays(gguf: Path, tmp_path: Path) -> None:
    """The second of its two steps has no room: what was there before is there, and nothing else."""
    model = load(gguf, projector(tmp_path / "mmproj.gguf", side=96), context=768, slots=2)
    ((piece,),) = model.look([CAT])
    assert isinstance(piece, Picture)
    text = model.tokenize([Segment("one two three four five six " * 60, marks=False)])[:240]
    model.decode([Chunk(1, 0, text, False)])
    with pytest.raises(NoRoom):
        model.decode([Chunk(1, 240, [piece.mark] * piece.size, False, piece)])
    # llama.cpp refuses what does not follow on what it has.
    assert model.decode([Chunk(1, 240, text[:2], True)]) == [1]
    assert model.decode([Chunk(0, 0, [piece.mark] * piece.size, True, piece)]) == [63]
    model.close()


def test_a_projector_that_does_not_fit_is_refused_at_load(gguf: Path, tmp_path: Path) -> None:
    """Another width, another kind of file, one for a model with marks that this one has not."""
    narrow = projector(tmp_path / "narrow.gguf", width=512)
    with pytest.raises(ModelFileError, match=r"cannot load the projector narrow\.gguf"):
        load(gguf, narrow)
    with pytest.raises(ModelFileError, match="cannot load the projector"):
        load(gguf, gguf)
    idefics = projector(tmp_path / "idefics.gguf", "idefics3")
    with pytest.raises(ModelFileError, match=r"idefics\.gguf is for another model"):
        load(gguf, idefics)


def test_without_a_projector_images_are_refused(gguf: Path) -> None:
    """The plan leaves such a model out; whoever comes all the same is told."""
    model = LlamaModel(gguf, context=256, slots=1, threads=2, gpu_layers=0)
    found = declined(model, turn("x", (CAT, 0)))
    assert (found.kind, found.param) == (RefusalKind.REQUEST, "messages")
    assert "takes no images" in found.message
    model.close()
