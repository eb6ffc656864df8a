"""Which reader a file is for, by its name and, for JSON, by what it must have."""

from __future__ import annotations

import re
from functools import cache, partial
from importlib.util import find_spec

from gateway.readiness.scan import node_packages, other_packages, python_packages
from gateway.readiness.scan.code import read_code
from gateway.readiness.scan.configs import read_json, read_settings, read_toml, read_yaml
from gateway.readiness.scan.containers import read_dockerfile, read_makefile, read_terraform
from gateway.readiness.scan.languages import LANGUAGES, PYTHON_BY_PATTERNS, SCRIPT_BY_PATTERNS
from gateway.readiness.scan.notebooks import read_notebook
from gateway.readiness.scan.notes import Notes
from gateway.readiness.scan.python_code import read_python
from gateway.readiness.scan.requirements import read_requirements
from gateway.readiness.scan.sboms import is_sbom, read_sbom
from gateway.readiness.scan.shell import read_shell
from gateway.readiness.scan.source import Reader, Source, Unreadable
from gateway.readiness.scan.zips import is_zip

SCRIPTS = frozenset({".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx"})
_LOCKS: dict[str, Reader] = {
    "poetry.lock": python_packages.read_lock,
    "uv.lock": python_packages.read_lock,
    "pdm.lock": python_packages.read_lock,
    "pylock.toml": python_packages.read_lock,
    "Pipfile.lock": python_packages.read_pipfile_lock,
    "package-lock.json": node_packages.read_package_lock,
    "npm-shrinkwrap.json": node_packages.read_package_lock,
    "yarn.lock": node_packages.read_yarn_lock,
    "pnpm-lock.yaml": node_packages.read_pnpm_lock,
    "go.sum": other_packages.read_go_sum,
    "gradle.lockfile": other_packages.read_gradle_lock,
    "Cargo.lock": other_packages.read_cargo_lock,
    "packages.lock.json": other_packages.read_nuget_lock,
    "Gemfile.lock": other_packages.read_gemfile_lock,
    "composer.lock": other_packages.read_composer_lock,
}
_MANIFESTS: dict[str, Reader] = {
    "pyproject.toml": python_packages.read_pyproject,
    "Pipfile": python_packages.read_pipfile,
    "setup.cfg": python_packages.read_setup_cfg,
    "setup.py": python_packages.read_setup_py,
    "environment.yml": python_packages.read_environment,
    "environment.yaml": python_packages.read_environment,
    "package.json": node_packages.read_package_json,
    "go.mod": other_packages.read_go_mod,
    "pom.xml": other_packages.read_pom,
    "build.gradle": other_packages.read_gradle,
    "build.gradle.kts": other_packages.read_gradle,
    "settings.gradle": other_packages.read_gradle,
    "Cargo.toml": other_packages.read_cargo_toml,
    "Directory.Packages.props": other_packages.read_nuget_project,
    "packages.config": other_packages.read_nuget_project,
    "Gemfile": other_packages.read_gemfile,
    "composer.json": other_packages.read_composer,
}
_PACKAGES = _LOCKS | _MANIFESTS
_ENDINGS: dict[str, Reader] = {
    ".ipynb": read_notebook,
    ".csproj": other_packages.read_nuget_project,
    ".fsproj": other_packages.read_nuget_project,
    ".vbproj": other_packages.read_nuget_project,
    ".gemspec": other_packages.read_gemfile,
    ".gradle": other_packages.read_gradle,
    ".sh": read_shell,
    ".bash": read_shell,
    ".zsh": read_shell,
    ".ksh": read_shell,
    ".tf": read_terraform,
    ".tfvars": read_settings,
    ".hcl": read_terraform,
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".toml": read_toml,
    ".ini": read_settings,
    ".cfg": read_settings,
    ".properties": read_settings,
    ".env": read_settings,
    ".mk": read_makefile,
}
_NAMES: dict[str, Reader] = {
    "Makefile": read_makefile,
    "GNUmakefile": read_makefile,
    "Containerfile": read_dockerfile,
    ".bashrc": read_shell,
    ".zshrc": read_shell,
    ".profile": read_shell,
    ".envrc": read_shell,
    ".npmrc": read_settings,
    "Procfile": read_shell,
    ".codex/auth.json": read_json,
}
_REQUIREMENTS = re.compile(r"(?:.*[._-])?(?:requirements|constraints)(?:[._-].*)?\.(?:txt|in)\Z")
_DOCKER = re.compile(r"Dockerfile(?:\..*)?\Z|.*\.(?:Dockerfile|dockerfile)\Z")
_LOG = re.compile(r"\.(?:log|jsonl|ndjson)(?:[.-]\d[\d-]*)?(?:\.(?:gz|zst))?\Z|\Aaccess[_.-]log\b")
_ARCHIVE = re.compile(r"\.(?:tar|tar\.gz|tgz|tar\.zst)\Z")
_CONFIGURED = re.compile(r"\.(?:conf|vcl|caddyfile)\Z|\A(?:Caddyfile|Jenkinsfile|Vagrantfile)\Z")


def reader_of(path: str) -> Reader | None:
    """The reader for a text file, ``None`` where nothing of its kind is read."""
    name = path.rpartition("/")[2]
    if name in _PACKAGES:
        return _PACKAGES[name]
    if _is_requirements(path, name):
        return read_requirements
    if path.endswith("gradle/libs.versions.toml"):
        return other_packages.read_version_catalog
    if name in _NAMES or _DOCKER.match(name):
        return _NAMES.get(name, read_dockerfile)
    if name == ".env" or name.startswith(".env."):
        return read_settings
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    return _by_ending(ending, name)


def _by_ending(ending: str, name: str) -> Reader | None:
    if ending in (".py", ".pyi", ".pyw"):
        return _python
    if ending in SCRIPTS:
        return _script()
    if ending in (".json", ".json5", ".jsonc") or name == ".claude.json":
        return _json
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    if ending in LANGUAGES:
        return partial(read_code, LANGUAGES[ending])
    return _proxy if _CONFIGURED.search(name) else None


def is_package_list(path: str) -> bool:
    """Whether a file names packages: such are read whatever words are in them."""
    name = path.rpartition("/")[2]
    return name in _PACKAGES or _is_requirements(path, name)


def _is_requirements(path: str, name: str) -> bool:
    """A list for pip, by its name or by that of its folder."""
    if path.endswith((".txt", ".in")) and f"/{path}".rpartition("/")[0].endswith("/requirements"):
        return True
    return _REQUIREMENTS.match(name) is not None


def is_lock(path: str) -> bool:
    return path.rpartition("/")[2] in _LOCKS


def is_log(path: str) -> bool:
    return _LOG.search(path.rpartition("/")[2]) is not None


def is_archive(path: str) -> bool:
    return _ARCHIVE.search(path) is not None or is_zip(path)


def _python(source: Source, notes: Notes) -> None:
    """By the syntax tree; what is no Python 3 by patterns, which is told."""
    try:
        read_python(source, notes)
    except Unreadable as error:
        notes.unread.append(f"{error}: it was read by patterns")
        read_code(PYTHON_BY_PATTERNS, source, notes)


@cache
def _script() -> Reader:
    if find_spec("tree_sitter") and find_spec("tree_sitter_typescript"):
        from gateway.readiness.scan.script import read_script  # noqa: PLC0415 - the extra `scan`

        return read_script
    return _script_by_patterns


def _script_by_patterns(source: Source, notes: Notes) -> None:
    notes.unread.append("it was read by patterns: the extra `scan` is not installed")
    read_code(SCRIPT_BY_PATTERNS, source, notes)


def _json(source: Source, notes: Notes) -> None:
    if is_sbom(source.text):
        read_sbom(source, notes)
    else:
        read_json(source, notes)


def _proxy(source: Source, notes: Notes) -> None:
    """Configurations of servers, whose lines are words as those of a shell are."""
    read_shell(source, notes)
