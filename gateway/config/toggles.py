"""``gateway ban`` and ``gateway unban``: the one file of the policy folder that a program writes.

The file is replaced as a whole, under a lock, and only after the folder as it would then be has
loaded: a ban that would break the policy is refused and changes nothing. Where there is a key, the
signature is written anew after it; who reads between the two finds a signature that does not fit,
keeps what is in force, and reads again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unicodedata import category

from gateway.config.documents import Document, parse_document
from gateway.config.policy_files import PolicyLoader
from gateway.config.policy_schema import PolicyFile
from gateway.config.schema import validate
from gateway.config.signing import SIGNATURE, Signer
from gateway.config.sources import POLICIES, Sources, of_folder
from gateway.domain.identity import SELF, UNKNOWN
from gateway.errors import DocumentError, NotThere, Refused, SignatureError, StateError
from gateway.files import locked, write_atomically
from gateway.policy.compile import Policy
from gateway.vendors.catalog import Catalog

TOGGLES = "90-toggles.yaml"
_NAME = f"{POLICIES}/{TOGGLES}"
_HEADER = """\
# Written by `gateway ban` and `gateway unban`; the next of them rewrites it, without comments.
# Rules that you write by hand belong into a file of their own.
"""


class Toggles:
    """The toggles of one policy folder. ``signer`` signs what is written; without one the policy
    must not need a signature.
    """

    def __init__(
        self, sources: Sources, catalog: Catalog, loader: PolicyLoader, signer: Signer | None = None
    ) -> None:
        self._sources = sources
        self._catalog = catalog
        self._loader = loader
        self._signer = signer

    def ban(
        self,
        vendor: str,
        *,
        reason: str,
        authority: str | None = None,
        reference: str | None = None,
        until: datetime | None = None,
        roles: Sequence[str] | None = None,
        now: datetime,
    ) -> Policy:
        """Deny a vendor from ``now`` on; an earlier toggle of it is replaced. Returns the new
        policy.

        Raises NotThere where there is no such vendor, Refused where the ban says too little,
        DocumentError where the folder would not load, SignatureError where it would not be signed
        as it must, StateError where it cannot be written.
        """
        check_vendor(vendor, self._catalog)
        if not reason.strip():
            raise _refused("a ban needs a reason: --reason '…'")
        if any(_obeyed(text) for text in (reason, authority, reference) if text is not None):
            raise _refused("a ban is told in words: without what a terminal would obey")
        if until is not None and until <= now:
            raise _refused(f"--until {until.isoformat()} is not after now")
        more = {
            "reason": reason.strip(),
            "authority": authority,
            "reference": reference,
            "from": _moment(now),
            "until": _moment(until) if until is not None else None,
        }
        rule = _rule(
            vendor, roles, {key: value for key, value in more.items() if value is not None}
        )
        folder = self._sources.policies
        with _locked(folder):
            files = self._sources.read()
            return self._put(files, _with(_toggles(folder, files), rule))

    def proposed(self, vendor: str, roles: Sequence[str] | None = None) -> Policy:
        """The policy that would follow from a ban. Writes nothing, and needs no signature. Raises
        as ``ban`` does.
        """
        check_vendor(vendor, self._catalog)
        files = self._sources.read()
        rule = _rule(vendor, roles, {"reason": "proposed"})
        content = _text(_with(_toggles(self._sources.policies, files), rule)).encode()
        return self._loader.tested(self._sources, {**files, _NAME: content})

    def liftable(self, vendors: Iterable[str]) -> frozenset[str]:
        """Those of which ``unban`` would take back a toggle. Raises as that does."""
        folder = self._sources.policies
        files = self._sources.read()
        toggled = {rule["id"] for rule in _toggles(folder, files)["rules"]}
        by_hand = (
            [parse_document(raw, str(folder / name)) for name, raw in _by_hand(files)]
            if toggled
            else []
        )
        return frozenset(
            vendor
            for vendor in vendors
            if _rule_id(vendor) in toggled
            and all(
                conditional
                for document in by_hand
                for _, _, conditional in _denials(document, vendor)
            )
        )

    def unban(self, vendor: str) -> Policy:
        """Take back the toggle of a vendor. Returns the new policy.

        Raises NotThere where there is no such vendor, Refused where a hand-written rule denies it
        all the same, naming its place, or where nothing bans it; and as ``ban`` does.
        """
        check_vendor(vendor, self._catalog)
        folder = self._sources.policies
        with _locked(folder):
            files = self._sources.read()
            data = _toggles(folder, files)
            rules = [old for old in data["rules"] if old["id"] != _rule_id(vendor)]
            toggled = len(rules) < len(data["rules"])
            _refuse_by_hand(folder, files, vendor, only_unconditional=toggled)
            if not toggled:
                raise _refused(
                    f"{vendor} is not banned: no toggle and no rule denies it by name "
                    "(a rule without a vendor or the default may: gateway policy explain)"
                )
            return self._put(files, {**data, "rules": rules})

    def _put(self, files: dict[str, bytes], data: Mapping[str, Any]) -> Policy:
        """Load the folder as it would be, and only then write it."""
        content = _text(data).encode()
        changed = {**files, _NAME: content}
        written = {TOGGLES: content}
        if self._signer is not None:
            signature = self._signer.sign(self._loader.tested(self._sources, changed))
            changed[f"{POLICIES}/{SIGNATURE}"] = written[SIGNATURE] = signature
        try:
            policy = self._loader.load(self._sources, changed)
        except SignatureError as error:
            if self._signer is not None:
                raise
            raise SignatureError(
                "this policy must be signed: give the key with --key FILE or "
                f"GATEWAY_POLICY_KEY=FILE. Nothing was changed ({error.message})"
            ) from None
        for name, text in written.items():
            _write(self._sources.policies / name, text)
        return policy


def _write(path: Path, content: bytes) -> None:
    try:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
        write_atomically(path, content, mode)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror or error}") from None


def _rule_id(vendor: str) -> str:
    return f"ban-{vendor}"


def _rule(vendor: str, roles: Sequence[str] | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """The toggle of a vendor, in the words of a policy file."""
    match: dict[str, Any] = {"vendor": [vendor]}
    if roles:
        match["roles"] = list(roles)
    return {"id": _rule_id(vendor), "match": match, "verdict": "deny", **more}


def _with(data: Mapping[str, Any], rule: Mapping[str, Any]) -> dict[str, Any]:
    rules = [old for old in data["rules"] if old["id"] != rule["id"]]
    return {**data, "rules": [*rules, rule]}


def _refused(message: str) -> Refused:
    return Refused(message, code="toggle_refused")


def _obeyed(text: str) -> bool:
    """Whether a terminal would do something for it but show it: commands print what it is."""
    return any(category(sign) == "Cc" and sign not in "\t\n\r" for sign in text)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_vendor(vendor: str, catalog: Catalog) -> None:
    """Raises ``NotThere``, with the nearest name, where there is no such vendor."""
    if vendor in (SELF, UNKNOWN) or catalog.vendor(vendor) is not None:
        return
    near = catalog.canonical(vendor) or catalog.nearest(vendor)
    hint = f": did you mean {near!r}?" if near else "; gateway vendors list shows all"
    raise NotThere(f"unknown vendor {vendor[:100]!r}{hint}", code="unknown_vendor")


def _toggles(folder: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The plain data of the toggles' file as it is; a file that is not right is left alone."""
    if _NAME not in files:
        return {"version": 1, "rules": []}
    try:
        document = parse_document(files[_NAME], str(folder / TOGGLES))
        validate(document, PolicyFile)
    except DocumentError as error:
        raise _refused(
            f"{folder / TOGGLES} is not a valid policy file, so it is not rewritten. "
            f"Repair or remove it:\n{error.message}"
        ) from None
    return {**document.data, "rules": list(document.data.get("rules") or [])}


def _refuse_by_hand(
    folder: Path, files: Mapping[str, bytes], vendor: str, *, only_unconditional: bool
) -> None:
    for name, raw in _by_hand(files):
        document = parse_document(raw, str(folder / name))
        for line, word, conditional in _denials(document, vendor):
            if conditional and only_unconditional:
                continue
            raise _refused(
                f"{vendor} is denied by the hand-written rule {word!r} at "
                f"{document.file}:{line}: nothing was changed, edit that file"
            )


def _by_hand(files: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """The files that people write, by name."""
    own = of_folder(files, POLICIES).items()
    return sorted((name, raw) for name, raw in own if name not in (TOGGLES, SIGNATURE))


def _denials(document: Document, vendor: str) -> Iterator[tuple[int, str, bool]]:
    """Line, id, and whether the rule denies only under conditions."""
    written = validate(document, PolicyFile)
    if written.vendors.get(vendor) == "deny":
        yield document.mark(("vendors", vendor), key=True).line, vendor, False
    for index, rule in enumerate(written.rules):
        if rule.verdict != "deny" or vendor not in (rule.match.vendor or ()):
            continue
        narrow = rule.match.model_fields_set - {"vendor", "roles"}
        conditional = bool(narrow or rule.when or rule.start or rule.end)
        yield document.mark(("rules", index, "id")).line, rule.id, conditional


def _text(data: Mapping[str, Any]) -> str:
    """YAML whose every value is JSON: whatever a reason holds, it is read back as it was."""
    lines = [
        f"{key}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in data.items()
        if key != "rules"
    ]
    rules = data["rules"]
    lines.append("rules:" if rules else "rules: []")
    for rule in rules:
        for index, (key, value) in enumerate(rule.items()):
            lead = "  - " if index == 0 else "    "
            lines.append(f"{lead}{key}: {json.dumps(value, ensure_ascii=False)}")
    return _HEADER + "\n".join(lines) + "\n"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / f".{TOGGLES}.lock"))
        except OSError as error:
            raise StateError(f"{folder} cannot be written: {error.strerror or error}") from None
        yield
