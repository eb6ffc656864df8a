"""The files of a policy → the compiled policy, or every mistake in them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

from gateway.config.designations import load_designation_files
from gateway.config.documents import Document, parse_leniently
from gateway.config.policy_check import designations, duplicates, vendor_words, waivers
from gateway.config.policy_rules import policy_document
from gateway.config.policy_schema import PolicyFile
from gateway.config.schema import validate
from gateway.config.signing import SIGNATURE, PublicKey, verify
from gateway.config.sources import DESIGNATIONS, POLICIES, Files, Sources, of_folder
from gateway.domain.identity import Identity
from gateway.errors import DocumentError, Problem
from gateway.policy.compile import Conflict, Policy, PolicyConflict, compile_policy
from gateway.policy.embedded_tests import run_tests
from gateway.vendors.catalog import Catalog
from gateway.vendors.designations import Designation

Resolver: TypeAlias = Callable[[str], Identity]
"""A target's id (``openai/gpt-4o``) → who is behind it."""
_Written: TypeAlias = tuple[Document, PolicyFile]


class PolicyLoader:
    """Makes a policy of the bytes of its files. ``resolver`` is for the policy's own tests;
    ``keys`` are trusted with signatures, which are looked at where ``signed`` says so.
    """

    def __init__(
        self,
        catalog: Catalog,
        resolver: Resolver,
        keys: Sequence[PublicKey] = (),
        *,
        signed: bool = False,
    ) -> None:
        self._catalog = catalog
        self._resolver = resolver
        self._keys = tuple(keys)
        self._signed = signed

    def load(self, sources: Sources, files: Files) -> Policy:
        """Validate, compile, test, and check the signature; ``sources`` is for the messages.

        Raises DocumentError with every problem, SignatureError where a signature is required and
        missing or bad.
        """
        policy = self.tested(sources, files)
        if self._signed:
            verify(files.get(f"{POLICIES}/{SIGNATURE}"), policy, self._keys)
        return policy

    def tested(self, sources: Sources, files: Files) -> Policy:
        """The same without a look at the signature: for whoever is about to sign."""
        policy, written = self._compiled(sources, files)
        tested = run_tests(policy, self._resolver, datetime.now(UTC))
        failures = {one.test.name: one.failure for one in tested if one.failure is not None}
        problems = [
            document.problem(
                ("tests", index, "name"), f"the test {test.name!r}: {failures[test.name]}"
            )
            for document, file in written
            for index, test in enumerate(file.tests)
            if test.name in failures
        ]
        if problems:
            raise DocumentError(problems)
        return policy

    def compiled(self, sources: Sources, files: Files) -> Policy:
        """The policy without running its tests: for whoever wants to see them fail."""
        return self._compiled(sources, files)[0]

    def _compiled(self, sources: Sources, files: Files) -> tuple[Policy, list[_Written]]:
        problems: list[Problem] = []
        facts: tuple[Designation, ...] = ()
        try:
            facts = load_designation_files(
                sources.designations, of_folder(files, DESIGNATIONS), self._catalog
            )
        except DocumentError as error:
            problems += error.problems
        documents: list[Document] = []
        valid: list[_Written] = []
        for name, raw in sorted(of_folder(files, POLICIES).items()):
            if name == SIGNATURE:
                continue
            try:
                document, unplain = parse_leniently(raw, str(sources.policies / name))
                problems += unplain
                documents.append(document)
                check = partial(vendor_words, catalog=self._catalog)
                valid.append((document, validate(document, PolicyFile, check=check)))
            except DocumentError as error:
                problems += error.problems
        problems += duplicates(documents)
        if not problems:
            # Only with all files read: a waiver may name a rule of another file.
            problems += waivers(valid)
            problems += designations(valid, facts)
        if problems:
            raise DocumentError(problems)
        try:
            return compile_policy([policy_document(*pair) for pair in valid], facts), valid
        except PolicyConflict as error:
            raise DocumentError([_conflict(conflict) for conflict in error.conflicts]) from None


def _conflict(conflict: Conflict) -> Problem:
    file, _, line = conflict.source.rpartition(":")
    if not line.isdigit():
        return Problem(conflict.source, 1, 1, conflict.message)
    return Problem(file, int(line), 1, conflict.message)
