"""The policy in force follows the folder, as a whole, or stays as it is."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from gateway.background import Background
from gateway.config.documents import parse_document
from gateway.config.last_good import digest
from gateway.config.policy_schema import PolicyFile
from gateway.config.reload import PolicyStore
from gateway.config.schema import validate
from gateway.config.sources import POLICIES, Files, Sources, of_folder
from gateway.errors import DocumentError
from gateway.policy.compile import Policy
from tests.waiting import PATIENCE

GOOD = "version: 1\nvendors: {openai: allow}\n"
OTHER = "version: 1\nvendors: {openai: deny}\n"
WITHIN = 1.0  # seconds: the specification's


@dataclass(frozen=True)
class Loaded:
    """As much of a policy as the store looks at."""

    revision: str


def load(sources: Sources, files: Files) -> Policy:
    """Validate for real; what is compiled from it is the policy room's."""
    for name, content in of_folder(files, POLICIES).items():
        validate(parse_document(content, str(sources.policies / name)), PolicyFile)
    return cast(Policy, Loaded(digest(files)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A policy folder with one good file."""
    made = tmp_path / "etc" / "policies"
    made.mkdir(parents=True)
    (made / "10.yaml").write_text(GOOD)
    return made


def revision(text: str, name: str = "10.yaml") -> str:
    return digest({f"policies/{name}": text.encode()})


def make(folder: Path) -> PolicyStore:
    sources = Sources(folder, folder.parent / "designations")
    store = PolicyStore(sources, folder.parent.parent / "var", load)
    store.start()
    return store


@asynccontextmanager
async def watching(store: PolicyStore) -> AsyncIterator[list[str]]:
    """Watch in the background; the list gets each new revision, or that there is a problem."""
    seen: list[str] = []

    def changed(policy: Policy | None) -> None:
        seen.append(policy.revision if policy is not None else "problem")

    stop = asyncio.Event()
    task = asyncio.create_task(store.watch(changed, stop))
    await asyncio.sleep(0.3)
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


async def until(condition: Callable[[], bool], within: float = PATIENCE) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < within, f"not within {within:g} s"
        await asyncio.sleep(0.01)


@pytest.mark.alone
async def test_a_written_file_is_in_force_within_a_second(folder: Path) -> None:
    """Writing in place swaps the policy and calls back once with it."""
    store = make(folder)
    async with watching(store) as seen:
        (folder / "10.yaml").write_text(OTHER)
        await until(lambda: store.current.revision == revision(OTHER), WITHIN)
        await asyncio.sleep(0.3)
        assert seen == [revision(OTHER)]
        assert store.problem is None


async def test_a_file_renamed_over_is_seen(folder: Path) -> None:
    """An editor writes beside the file and renames over it."""
    store = make(folder)
    async with watching(store) as seen:
        (folder / ".10.yaml.swp").write_text(OTHER)
        os.replace(folder / ".10.yaml.swp", folder / "10.yaml")
        await until(lambda: seen == [revision(OTHER)])


async def test_a_symlink_swap_is_seen(folder: Path) -> None:
    """Kubernetes swaps the link ..data to a new folder; no file of the folder itself changes."""
    (folder / "10.yaml").unlink()
    for name, text in (("..1", GOOD), ("..2", OTHER)):
        (folder / name).mkdir()
        (folder / name / "10.yaml").write_text(text)
    (folder / "..data").symlink_to("..1")
    (folder / "10.yaml").symlink_to("..data/10.yaml")
    store = make(folder)
    async with watching(store) as seen:
        (folder / "..data_tmp").symlink_to("..2")
        os.replace(folder / "..data_tmp", folder / "..data")
        await until(lambda: seen == [revision(OTHER)])


async def test_a_deleted_folder_leaves_the_old_policy_and_says_why(folder: Path) -> None:
    """Nothing is no policy; when the folder is there again, it is followed again."""
    store = make(folder)
    async with watching(store) as seen:
        shutil.rmtree(folder)
        await until(lambda: store.problem is not None)
        assert store.current.revision == revision(GOOD)
        assert "the folder cannot be read: No such file" in str(store.problem)
        await asyncio.to_thread(folder.mkdir)
        (folder / "10.yaml").write_text(OTHER)
        await until(lambda: seen[-1] == revision(OTHER))
        (folder / "10.yaml").write_text(GOOD)
        await until(lambda: seen[-1] == revision(GOOD))
        assert store.problem is None


async def test_a_half_written_file_leaves_the_old_policy_until_it_is_whole(folder: Path) -> None:
    """The problem names file and line; the rest of the file mends it."""
    store = make(folder)
    async with watching(store) as seen:
        (folder / "10.yaml").write_text(OTHER[:-3])
        await until(lambda: store.problem is not None)
        assert f"{folder / '10.yaml'}:" in str(store.problem)
        assert "not valid YAML" in str(store.problem)
        assert store.current.revision == revision(GOOD)
        await until(lambda: seen == ["problem"])
        (folder / "10.yaml").write_text(OTHER)
        await until(lambda: seen == ["problem", revision(OTHER)])
        assert store.problem is None


async def test_going_back_to_what_is_in_force_clears_the_problem(folder: Path) -> None:
    """The same revision again is no swap, but the callback hears that the problem is gone."""
    store = make(folder)
    async with watching(store) as seen:
        (folder / "20.yaml").write_text("nonsense: 1\n")
        await until(lambda: store.problem is not None)
        (folder / "20.yaml").unlink()
        await until(lambda: store.problem is None and seen == ["problem", "problem"])


async def test_a_designation_is_followed_too(folder: Path) -> None:
    """Its folder may come later, and go again; every change of it is another policy."""
    store = make(folder)
    facts = folder.parent / "designations"
    async with watching(store) as seen:
        facts.mkdir()
        (facts / "a.yaml").write_text("version: 1\ndesignations: []\n")
        await until(lambda: len(seen) == 1)
        (facts / "a.yaml").write_text("version: 1\n# looked at again\ndesignations: []\n")
        await until(lambda: len(seen) == 2)
        shutil.rmtree(facts)
        await until(lambda: len(seen) == 3 and seen[-1] == revision(GOOD))
    assert len(set(seen)) == 3


async def test_editors_temporaries_are_no_policy(folder: Path) -> None:
    """A swap file, a backup and a lock change nothing."""
    store = make(folder)
    async with watching(store) as seen:
        for name in (".10.yaml.swp", "10.yaml~", "#10.yaml#", ".#10.yaml", "notes.txt"):
            (folder / name).write_text("nonsense: [")
        await asyncio.sleep(0.5)
        assert (seen, store.problem) == ([], None)


async def test_a_watch_that_the_kernel_refuses_falls_back_to_looking(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no inotify watches left a change is still seen."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(28, "no space left: inotify watch limit reached")

    monkeypatch.setattr("gateway.config.watching.watchfiles.awatch", refused)
    store = make(folder)
    async with watching(store) as seen:
        (folder / "10.yaml").write_text(OTHER)
        await until(lambda: seen == [revision(OTHER)])


def test_the_last_good_policy_outlives_a_restart(folder: Path) -> None:
    """A start over a broken folder uses what was good before, and says why."""
    make(folder)
    (folder / "10.yaml").write_text("version: 2\n")
    again = make(folder)
    assert again.current.revision == revision(GOOD)
    assert "10.yaml:1:10: expected 1" in str(again.problem)
    assert again.loaded_at is not None


def test_a_start_without_any_good_policy_raises(folder: Path) -> None:
    """Nothing on disk and nothing kept: the process must not serve."""
    (folder / "10.yaml").write_text("version: 2\n")
    with pytest.raises(DocumentError, match="expected 1"):
        make(folder)


def test_a_start_with_an_empty_folder_raises(folder: Path) -> None:
    """No policy is not the same as a policy that allows all."""
    (folder / "10.yaml").unlink()
    with pytest.raises(DocumentError, match=r"expected at least one \*\.yaml file"):
        make(folder)


def test_a_misnamed_file_is_not_passed_over(folder: Path) -> None:
    """A ban in a .yml that nobody reads would be no ban."""
    (folder / "20-ban.yml").write_text(OTHER)
    with pytest.raises(DocumentError, match=r"20-ban\.yml:1:1: .* ends in \.yaml"):
        make(folder)


def test_a_state_folder_that_cannot_be_written_does_not_stop_a_start(folder: Path) -> None:
    """Only the memory of the last good policy is lost, and the log says so."""
    (folder.parent.parent / "var").write_text("a file")
    assert make(folder).current.revision == revision(GOOD)


async def test_what_nobody_foresaw_ends_no_watching(folder: Path) -> None:
    """It is neither taken nor refused, so it is tried until it is one of them; meanwhile the policy
    in force stays.
    """
    fails = True

    def fragile(sources: Sources, files: Files) -> Policy:
        if fails and b"deny" in files["policies/10.yaml"]:
            raise LookupError
        return load(sources, files)

    background, stop, seen = Background(), asyncio.Event(), list[Policy | None]()
    sources = Sources(folder, folder.parent / "designations")
    store = PolicyStore(sources, folder.parent.parent / "var", fragile)
    store.start()
    watching = asyncio.create_task(
        background.keep("policy", lambda: store.watch(seen.append, stop))
    )
    (folder / "10.yaml").write_text(OTHER)
    await until(lambda: background.failures.get("policy", 0) >= 2)
    assert store.current.revision == revision(GOOD)
    assert background.problems == {"policy": "LookupError: see the log"}
    fails = False
    await until(lambda: store.current.revision == revision(OTHER))
    await until(lambda: seen == [store.current])
    stop.set()
    await asyncio.wait_for(watching, PATIENCE)
