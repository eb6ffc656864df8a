"""The Dockerfile, as far as it can be held without a Docker engine.

Each test lays out what the image would hold, step by step, and asks the real ``make``, the real
settings and the real app about it.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI

from deploy.choose_python import UNUSABLE
from gateway.config.settings import load_settings
from gateway.http.probes import router
from gateway.http.state import State

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Step:
    """One instruction with its continuation lines joined; ``stage`` counts from 0."""

    stage: int
    word: str
    rest: str


def steps() -> list[Step]:
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"))
    found: list[Step] = []
    stage = -1
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        word, rest = line.split(maxsplit=1)
        stage += word == "FROM"
        found.append(Step(stage, word, rest.strip()))
    return found


def copied(step: Step) -> tuple[list[str], str] | None:
    """What a COPY takes from the repository and where to; None if it takes from another stage."""
    if step.word != "COPY" or "--from=" in step.rest:
        return None
    *sources, target = [word for word in shlex.split(step.rest) if not word.startswith("--")]
    return sources, target


COPIES = [(step, found) for step in steps() if (found := copied(step))]
MAKES = [step for step in steps() if step.word == "RUN" and shlex.split(step.rest)[0] == "make"]


def put(step: Step, workdir: Path, filesystem: Path) -> None:
    """Do what a COPY does: a folder's content goes into the target, a file to or into it."""
    found = copied(step)
    if found is None:
        return
    sources, target = found
    place = filesystem / target.lstrip("/") if target.startswith("/") else workdir / target
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(
                ROOT / source,
                place,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            continue
        into = place / Path(source).name if target.endswith("/") else place
        into.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / source, into)


def dry_run(targets: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "--dry-run", *targets],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


def not_asked() -> State:
    raise AssertionError("only the path is wanted")


def command(word: str) -> list[str]:
    """The words of the last instruction of that name in its exec form."""
    rest = [step.rest for step in steps() if step.word == word][-1]
    words: list[str] = json.loads(rest[rest.index("[") :])
    return words


@pytest.mark.parametrize("source", [source for _, (sources, _) in COPIES for source in sources])
def test_what_is_copied_is_in_the_repository(source: str) -> None:
    """Every path that COPY names exists, and .dockerignore does not keep it out."""
    assert (ROOT / source).exists()
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert not [pattern for pattern in ignored if fnmatch.fnmatch(source, pattern.rstrip("/"))]


def test_make_has_all_it_needs_at_each_step(tmp_path: Path) -> None:
    """At each RUN make, what was copied so far holds every file that its recipes need."""
    assert len(MAKES) == 2
    for step in steps():
        put(step, tmp_path / "work", tmp_path)
        if step not in MAKES:
            continue
        done = dry_run(shlex.split(step.rest)[1:], tmp_path / "work")
        assert (done.returncode, done.stderr) == (0, "")
        named = re.findall(r"\b(?:requirements|deploy)/[\w.]+", done.stdout)
        wanted = {"build_llama_wheel.py", "choose_python.py"}
        assert {"requirements/local.txt", *(f"deploy/{name}" for name in wanted)} <= set(named)
        assert [name for name in named if not (tmp_path / "work" / name).is_file()] == []


def test_python_is_chosen_by_what_was_copied(tmp_path: Path) -> None:
    """At the first RUN make, the choice has the file by which it judges."""
    for step in steps()[: steps().index(MAKES[0])]:
        put(step, tmp_path / "work", tmp_path)
    script = tmp_path / "work" / "deploy" / "choose_python.py"
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['rank'](sys.executable))"
    done = subprocess.run([sys.executable, "-c", code, script], capture_output=True, check=True)
    assert int(done.stdout) < UNUSABLE


def test_the_image_is_set_up_by_the_command_of_the_makefile(tmp_path: Path) -> None:
    """The last step is `make setup`, and the package that it builds finds its own files."""
    assert MAKES[-1].rest == "make setup"
    for step in steps():
        put(step, tmp_path, tmp_path / "elsewhere")
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text("utf-8"))
    version = project["tool"]["hatch"]["version"]["path"]
    for name in (project["project"]["readme"], *project["project"]["license-files"], version):
        assert (tmp_path / name).is_file(), name


def test_no_step_installs_past_the_makefile() -> None:
    """Python packages come by make alone, with its pinned hashes."""
    runs = [step.rest for step in steps() if step.word == "RUN"]
    assert not [run for run in runs if re.search(r"\bpip\b|\bvenv \S*\.venv|curl|wget", run)]


def test_it_serves_as_make_serve_does() -> None:
    """The image's command is the one of `make serve`, with absolute paths and all addresses."""
    recipe = dry_run(["serve"], ROOT).stdout.splitlines()[-1]
    served = shlex.split(recipe.replace(".venv/bin/", "").replace("configs/", "/etc/gateway/"))
    assert command("ENTRYPOINT") + command("CMD") == [*served, "--host", "0.0.0.0"]


def test_its_configuration_loads_where_the_image_has_it(tmp_path: Path) -> None:
    """The settings read the copied file and the image's variables; what they name was copied."""
    last = steps()[-1].stage
    environ: dict[str, str] = {}
    for step in steps():
        if step.stage == last:
            put(step, tmp_path, tmp_path)
        if step.stage == last and step.word == "ENV":
            environ |= dict(word.split("=", 1) for word in shlex.split(step.rest))
    words = command("CMD")
    file = tmp_path / words[words.index("--config") + 1].lstrip("/")
    ours = {name: value for name, value in environ.items() if name.startswith("GATEWAY_")}

    settings = load_settings(file, {"server.host": "0.0.0.0"}, ours)

    assert str(settings.state.dir) == "/var/lib/gateway"
    assert any((tmp_path / words[words.index("--policy") + 1].lstrip("/")).glob("*.yaml"))
    manifests = tmp_path / settings.local.manifests.relative_to("/")
    for model in settings.local.models.values():
        assert (manifests / f"{model.manifest}.yaml").is_file()


def test_its_health_is_readiness_on_the_port_that_it_serves() -> None:
    """HEALTHCHECK asks a route that exists, on the configured port, which EXPOSE names."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", " ".join(command("HEALTHCHECK")))
    assert found is not None
    port, path = found.groups()
    assert load_settings(ROOT / "configs" / "gateway.yaml", {}, {}).server.port == int(port)
    assert [step.rest for step in steps() if step.word == "EXPOSE"] == [port]
    app = FastAPI()
    app.include_router(router(not_asked, lambda _: True))
    assert str(app.url_path_for("readyz")) == path == "/readyz"


def test_it_does_not_run_as_root() -> None:
    """The last USER of the last stage is the one that is made there, who owns the policy folder."""
    last = steps()[-1].stage
    ours = [step for step in steps() if step.stage == last]
    (user,) = [step.rest for step in ours if step.word == "USER"]
    assert user == "gateway"
    assert any("useradd" in step.rest and step.rest.endswith(user) for step in ours)
    assert any(f"--chown={user}:{user} configs/policies" in step.rest for step in ours)
