"""What cannot be read is told, with nothing of its content, and the others are read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.readiness.scan.scanning import scan
from gateway.readiness.scan.tree import Tree
from tests.scan.corpus import reader

DEEP = 20_000
OPENED, CLOSED = "[\n" * DEEP, "]\n" * DEEP


def quiet(_: int) -> None:
    """Nobody is told."""


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.py", "import openai\nx = " + "(\n" * DEEP + ")\n" * DEEP, "it was read by patterns"),
        ("a.py", "import openai\nx = " + "-\\\n" * DEEP + "1", "it was read by patterns"),
        ("a.py", "import openai\nprint 'x'\n", "line 2 is not Python 3: it was read by patterns"),
        ("a.json", '{"openai": ' + OPENED + CLOSED + "}", "it is nested too deeply"),
        ("a.json", '{"OPENAI_API_KEY": "x"', "it is not JSON: it ends too early"),
        ("package.json", '{"openai": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply"),
        ("a.yaml", "openai: " + OPENED + CLOSED, "it is nested too deeply"),
        ("a.yaml", "openai:\n" + "- " * 9_000 + "x", "it is nested too deeply"),
        ("a.toml", "openai = " + OPENED + CLOSED, "it is nested too deeply"),
        ("a.toml", "openai = [", "it is not valid TOML"),
        ("uv.lock", "[[package", "it is not valid TOML"),
        ("a.js", "x = 'openai';" + "y" * 30_000, "a line is longer than 20000 characters"),
        ("a.ipynb", '{"cells": openai', "it is not valid JSON"),
    ],
)
def test_what_cannot_be_read_is_told(name: str, text: str, reason: str) -> None:
    read = reader().text(name, text.encode())

    assert len(read.unread) == 1
    assert reason in read.unread[0].reason


def test_python_2_is_read_by_patterns() -> None:
    read = reader().text("old.py", b'import openai\nprint "x"\nMODEL = "gpt-4o"\n')

    assert [(one.signal, one.value) for one in read.findings] == [
        ("package", "openai"),
        ("model", "gpt-4o"),
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"import openai\n\x00\xff\xfe", "it is no text"),
        (b"\xff\xfeopenai\xd8", "it is not the UTF-16 that its mark says"),
    ],
)
def test_what_is_no_text_is_told(data: bytes, reason: str) -> None:
    assert [one.reason for one in reader().text("a.py", data).unread] == [reason]


def test_latin_1_is_read_and_told() -> None:
    read = reader().text("a.rb", b'# caf\xe9\nrequire "openai"\n')

    assert [one.value for one in read.findings] == ["openai"]
    assert [one.partly for one in read.unread] == [True]


def test_utf_16_is_read() -> None:
    read = reader().text("a.cs", "\ufeffusing OpenAI;\n".encode("utf-16-le"))

    assert [one.value for one in read.findings] == ["OpenAI"]
    assert read.unread == []


def test_files_that_cannot_be_opened_are_told(tmp_path: Path) -> None:
    tree = Tree(reader()._signals)
    (tmp_path / "good.py").write_text("import openai\n")
    (tmp_path / "gone.py").write_text("import openai\n")
    (tmp_path / "huge.py").write_bytes(b"import openai\n" * 400_000)
    files = tree.files([tmp_path])
    (tmp_path / "gone.py").unlink()

    read = scan(files, 1, quiet)

    assert [one.path for one in read.findings] == [str(tmp_path / "good.py")]
    told = {one.path: one.reason for one in [*tree.unread, *read.unread]}
    assert told == {
        str(tmp_path / "gone.py"): "no such file or directory",
        str(tmp_path / "huge.py"): "it is larger than 4 MiB",
    }


def test_links_are_not_followed_and_folders_of_others_are_told(tmp_path: Path) -> None:
    for name in ("node_modules/openai/index.js", ".venv/lib/x.py", ".git/config", "src/a.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("import openai\n")
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")

    tree = Tree(reader()._signals)
    files = tree.files([tmp_path])

    assert [one.path for one in files] == [str(tmp_path / "src" / "a.py")]
    skipped = {os.path.basename(one.path): one.reason for one in tree.skipped}
    assert skipped == {
        ".git": "the history of a repository",
        ".venv": "a virtual environment",
        "loop": "a link is not followed",
        "node_modules": "other people's code, or a cache: its lock file tells what is in it",
        ".png": "files of a kind that is not read",
    }
    with_others = Tree(reader()._signals, vendored=True).files([tmp_path])
    assert len(with_others) == 4


def test_several_processes_find_what_one_finds(tmp_path: Path) -> None:
    for number in range(450):
        (tmp_path / f"{number}.py").write_text(f"import openai\nMODEL = 'gpt-4o'  # {number}\n")
    files = Tree(reader()._signals).files([tmp_path])
    done: list[int] = []

    several = scan(files, 2, done.append)

    assert several.findings == scan(files, 1, quiet).findings
    assert len(several.findings) == 900
    assert sum(done) == sum(one.size for one in files)


def test_a_process_that_is_killed_costs_nothing_that_was_to_be_read(tmp_path: Path) -> None:
    work = "".join(f"def f{number}(a, b):\n    return [a + {number}, b]\n" for number in range(300))
    for number in range(900):
        (tmp_path / f"{number}.py").write_text(f"import openai\n{work}")
    out = tmp_path / "out.json"
    command = "from gateway.cli import main; main()"
    options = ["--jobs", "2", "--format", "json", "--output", str(out)]

    scanning = subprocess.Popen([sys.executable, "-c", command, "scan", str(tmp_path), *options])
    killed = 0
    while scanning.poll() is None and not killed:
        time.sleep(0.05)
        for child in _workers(scanning.pid):
            # Once it has begun: before, it has nothing to lose.
            if _seconds(child) > 0.9:
                os.kill(child, signal.SIGKILL)
                killed = child
                break

    assert scanning.wait(timeout=120) == 0
    assert killed
    told = json.loads(out.read_text())
    assert len(told["findings"]) == 900
    assert told["unread"] == []


def _workers(parent: int) -> list[int]:
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        children = [int(word) for word in text.split()]
        lines = {one: Path(f"/proc/{one}/cmdline").read_bytes() for one in children}
    except OSError:
        return []
    return [one for one, line in lines.items() if b"spawn_main" in line]


def _seconds(process: int) -> float:
    """The processor time that it has used."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
