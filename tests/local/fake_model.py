"""A model without a model: it answers each prompt with what the test wrote for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.domain.call import Sampling
from gateway.domain.events import Scored
from gateway.local.batch import Chunk, NoRoom, NotSeen
from gateway.local.guide import Guide

END = -1


class FakeSampler:
    def __init__(self, model: FakeModel) -> None:
        self._model = model
        self.closed = False
        self.complete = False
        self.scored: Scored | None = None

    def sample(self, row: int) -> int:
        return self._model.outputs[row]

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class FakeModel:
    """The last token of a prompt names the answer: ``answers[token]``, piece by piece; so does the
    mark of an image. Checks that every sequence is fed without gaps, and keeps all batches in
    ``decoded``. ``cuts`` says whether it can drop the end of a sequence.
    """

    def __init__(
        self,
        answers: Mapping[int, Sequence[bytes]],
        *,
        context: int = 1000,
        slots: int = 2,
        batch: int = 100,
        cuts: bool = True,
    ) -> None:
        self.cuts = cuts
        self.context, self.slots, self.batch = context, slots, batch
        self.decoded: list[list[Chunk]] = []
        self.outputs: list[int] = []
        self.samplers: list[FakeSampler] = []
        self.seeds: list[int] = []
        self.no_room = 0
        self.no_room_for_images = False
        self.blind = False
        self._pieces = [piece for answer in answers.values() for piece in answer]
        self._scripts: dict[int, list[int]] = {}
        at = 0
        for name, answer in answers.items():
            self._scripts[name] = [*range(at, at + len(answer)), END]
            at += len(answer)
        self._fed: dict[int, int] = {}
        self._left: dict[int, list[int]] = {}

    def piece(self, token: int) -> bytes:
        return self._pieces[token]

    def is_end(self, token: int) -> bool:
        return token == END

    def sampler(
        self,
        sampling: Sampling,
        seed: int,
        guide: Guide | None,
        likely: int | None,
    ) -> FakeSampler:
        self.seeds.append(seed)
        self.samplers.append(FakeSampler(self))
        return self.samplers[-1]

    def decode(self, chunks: Sequence[Chunk]) -> list[int]:
        if self.no_room:
            self.no_room -= 1
            raise NoRoom
        if chunks[0].picture is not None and self.no_room_for_images:
            raise NoRoom
        if chunks[0].picture is not None and self.blind:
            raise NotSeen
        assert chunks[0].picture or sum(len(chunk.tokens) for chunk in chunks) <= self.batch
        self.decoded.append(list(chunks))
        self.outputs = []
        rows: list[int] = []
        assert [chunk.slot for chunk in chunks] == sorted({chunk.slot for chunk in chunks})
        for chunk in chunks:
            assert chunk.tokens
            assert chunk.picture is None or len(chunks) == 1
            if chunk.picture is None:
                assert min(chunk.tokens) >= 0, "a mark was taken for a token"
            else:
                assert list(chunk.tokens) == [chunk.picture.mark] * chunk.picture.size
            slot = chunk.slot
            assert chunk.start == self._fed.get(slot, 0)
            if chunk.output and chunk.tokens[-1] in self._scripts:
                self._left[slot] = list(self._scripts[chunk.tokens[-1]])
            self._fed[slot] = chunk.start + len(chunk.tokens)
            if chunk.output:
                self.outputs.append(self._left[slot].pop(0))
            rows.append(len(self.outputs) - 1 if chunk.output else -1)
        return rows

    def keep(self, slot: int, count: int) -> bool:
        assert count <= self._fed.get(slot, 0)
        self._fed[slot] = count if self.cuts else 0
        return self.cuts or count == 0

    def copy(self, source: int, slot: int) -> None:
        assert source != slot
        self._fed[slot] = self._fed.get(source, 0)
        if source in self._left:
            self._left[slot] = list(self._left[source])
