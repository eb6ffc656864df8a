"""The last known good policy on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import last_good
from gateway.errors import StateError
from gateway.files import write_atomically

OLD = {"policies/a.yaml": b"old"}
NEW = {"policies/a.yaml": b"new", "policies/policy.sig": b"s", "designations/b.yaml": b"more"}


def kept(state_dir: Path) -> Path:
    """The folder that was found."""
    found = last_good.find(state_dir)
    assert found is not None
    return found[0]


def test_the_newest_is_found_and_the_old_is_gone(tmp_path: Path) -> None:
    """Keeping twice leaves exactly the second set of files."""
    last_good.keep(tmp_path, OLD)
    last_good.keep(tmp_path, NEW)
    folder = kept(tmp_path)
    assert last_good.find(tmp_path) == (folder, NEW)
    assert (folder / "designations" / "b.yaml").read_bytes() == b"more"
    folders = [entry for entry in (tmp_path / "last-good").iterdir() if entry.is_dir()]
    assert len(folders) == 1


def test_keeping_the_same_again_changes_nothing(tmp_path: Path) -> None:
    """A reload of the same files rewrites no folder."""
    last_good.keep(tmp_path, OLD)
    before = kept(tmp_path)
    inode = before.stat().st_ino
    last_good.keep(tmp_path, OLD)
    assert before.stat().st_ino == inode


@pytest.mark.parametrize("damage", ["file", "pointer", "absent"])
def test_what_is_not_whole_is_not_found(tmp_path: Path, damage: str) -> None:
    """A changed file, a pointer that points nowhere, or nothing at all: None."""
    if damage != "absent":
        last_good.keep(tmp_path, OLD)
    if damage == "file":
        (kept(tmp_path) / "policies" / "a.yaml").write_bytes(b"other")
    if damage == "pointer":
        (tmp_path / "last-good" / "current").write_text("../../etc")
    assert last_good.find(tmp_path) is None


def test_a_state_folder_that_cannot_be_written_is_a_state_error(tmp_path: Path) -> None:
    """The caller gets one kind of error, whatever the disk says."""
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(StateError, match="last good policy cannot be kept"):
        last_good.keep(tmp_path / "state", OLD)


def test_a_file_is_replaced_as_a_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Mode as asked for, content complete, no temporary file left."""
    write_atomically(tmp_path / "x", b"1", 0o640)
    write_atomically(tmp_path / "x", b"2", 0o640)
    assert (tmp_path / "x").read_bytes() == b"2"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
