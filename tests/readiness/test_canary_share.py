"""Which requests are asked once more, and what of them is."""

from __future__ import annotations

import hashlib

import pytest

from gateway.domain.call import Api, Chat, Completion, Message, Sampling
from gateway.domain.target import Capability
from gateway.readiness.canary.asked import bounded, own
from gateway.readiness.canary.canaries import drawn

IDS = [hashlib.sha256(bytes([n % 256, n // 256])).hexdigest()[:32] for n in range(20_000)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_share_of_many_ids_is_about_right(share: float) -> None:
    """The same ids each time, so nothing of this is chance."""
    found = sum(drawn(id, share) for id in IDS)
    assert share * 0.9 < found / len(IDS) < share * 1.1


def test_none_and_all() -> None:
    assert not any(drawn(id, 0.0) for id in IDS)
    assert all(drawn(id, 1.0) for id in IDS)


def test_a_greater_share_has_all_of_a_smaller() -> None:
    assert {id for id in IDS if drawn(id, 0.1)} < {id for id in IDS if drawn(id, 0.2)}


def test_a_task_is_asked_within_bounds() -> None:
    """One answer of so many tokens; without a seed, which would have it computed by itself."""
    task = Chat((Message("user", "hi"),), Sampling(0.3, seed=7), 1000, choices=3, logprobs=2)
    asked, limit = bounded(task, 256)
    assert asked == Chat(task.messages, Sampling(0.3), 256)
    assert limit == 256


def test_what_the_app_bounds_more_narrowly_stays() -> None:
    """Then no limit of ours can be why it ends."""
    asked, limit = bounded(Chat((Message("user", "hi"),), max_tokens=16), 256)
    assert (asked.max_tokens, limit) == (16, None)


def test_of_several_prompts_the_first_is_asked() -> None:
    asked, limit = bounded(Completion(("a", "b"), choices=2), 8)
    assert asked == Completion(("a",), max_tokens=8)
    assert limit == 8


def test_of_our_own_each_model_is_asked_what_it_can() -> None:
    """Nothing that it lacks: a refusal would say nothing of whether it works."""

    def asked(*abilities: Capability) -> list[Api]:
        return [one.call.api for one in own("local/m", abilities, 64)]

    chats = (Capability.CHAT, Capability.COMPLETIONS)
    assert asked(*chats) == [Api.CHAT]
    assert asked(*chats, Capability.TOOLS, Capability.JSON_SCHEMA) == [Api.CHAT] * 3
    assert asked(Capability.COMPLETIONS) == [Api.COMPLETIONS]
    assert asked(Capability.EMBEDDINGS) == [Api.EMBEDDINGS]
