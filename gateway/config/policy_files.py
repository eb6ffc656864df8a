"""The files of a policy → the compiled policy, or every mistake in them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

from gateway.config.designations import load_designation_files
from gateway.config.documents import Document, parse_leniently
from gateway.config.policy_check import designations, duplicates, vendor_words
from gateway.config.policy_rules import policy_document
from gateway.config.policy_schema import PolicyFile
from gateway.config.schema import nearest, validate
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
        if problems:
            raise DocumentError(problems)
        # Only with all files read: a rule or a waiver may name what stands in another file.
        problems += designations(valid, facts)
        try:
            policy = compile_policy([policy_document(*pair) for pair in valid], facts)
        except PolicyConflict as error:
            problems += [_placed(conflict, valid) for conflict in error.conflicts]
        if problems:
            raise DocumentError(problems)
        return policy, valid


def _placed(conflict: Conflict, written: Sequence[_Written]) -> Problem:
    """A conflict at its place: a waiver's at the key that is wrong."""
    file, _, line = conflict.source.rpartition(":")
    for document, policy in written:
        for index, waiver in enumerate(policy.waivers):
            if document.file == file and waiver.id == conflict.id:
                hint = nearest(waiver.rule, conflict.known) if conflict.known else ""
                return document.problem(("waivers", index, conflict.key), conflict.message, hint)
    return Problem(file or conflict.source, int(line) if line.isdigit() else 1, 1, conflict.message)
