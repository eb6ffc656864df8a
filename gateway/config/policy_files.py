"""The policy folder → a compiled policy, or every mistake in it at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from gateway.config.documents import Document, parse_leniently
from gateway.config.folder import read_folder
from gateway.config.policy_check import designations, duplicates, vendor_words, waivers
from gateway.config.policy_rules import policy_document
from gateway.config.policy_schema import PolicyFile
from gateway.config.schema import validate
from gateway.domain.identity import Identity
from gateway.errors import DocumentError, Problem
from gateway.policy.compile import Conflict, Policy, PolicyConflict, compile_policy
from gateway.policy.embedded_tests import run_tests
from gateway.vendors.catalog import Catalog
from gateway.vendors.designations import Designation

Resolver: TypeAlias = Callable[[str], Identity]
"""A target's id (``openai/gpt-4o``) → who is behind it."""


def load_policy(
    folder: Path, catalog: Catalog, resolver: Resolver, facts: Collection[Designation] = ()
) -> Policy:
    """Read, validate, compile and test a folder; raises DocumentError with every problem.
    ``facts`` are the designations that its rules may refer to.
    """
    return load_policy_files(folder, read_folder(folder), catalog, resolver, facts)


def load_policy_files(
    folder: Path,
    files: Mapping[str, bytes],
    catalog: Catalog,
    resolver: Resolver,
    facts: Collection[Designation] = (),
) -> Policy:
    """The same over bytes that were read already; ``folder`` is only for the messages."""
    problems: list[Problem] = []
    documents: list[Document] = []
    valid: dict[str, tuple[Document, PolicyFile]] = {}
    for name in sorted(files):
        try:
            document, unplain = parse_leniently(files[name], str(folder / name))
            problems += unplain
            documents.append(document)
            written = validate(document, PolicyFile, check=lambda d: vendor_words(d, catalog))
        except DocumentError as error:
            problems += error.problems
        else:
            valid[name] = (document, written)
    problems += duplicates(documents)
    if not problems:
        # Only with all files read: a waiver may name a rule of another file.
        problems += waivers(valid)
        problems += designations(valid, facts)
    if problems:
        raise DocumentError(problems)
    return _tested(valid, resolver, facts)


def _tested(
    valid: Mapping[str, tuple[Document, PolicyFile]],
    resolver: Resolver,
    facts: Collection[Designation],
) -> Policy:
    """Compile, and run the policy's own tests."""
    try:
        policy = compile_policy([policy_document(*pair) for pair in valid.values()], facts)
    except PolicyConflict as error:
        raise DocumentError([_conflict(conflict) for conflict in error.conflicts]) from None
    failures = {f.name: f.message for f in run_tests(policy, resolver, datetime.now(UTC))}
    problems = [
        document.problem(("tests", index, "name"), f"the test {test.name!r}: {failures[test.name]}")
        for document, written in valid.values()
        for index, test in enumerate(written.tests)
        if test.name in failures
    ]
    if problems:
        raise DocumentError(problems)
    return policy


def _conflict(conflict: Conflict) -> Problem:
    file, _, line = conflict.source.rpartition(":")
    if not line.isdigit():
        return Problem(conflict.source, 1, 1, conflict.message)
    return Problem(file, int(line), 1, conflict.message)
