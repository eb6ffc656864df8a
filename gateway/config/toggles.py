"""``gateway ban`` and ``gateway unban``: the one file of the policy folder that a program writes.

The file is replaced as a whole, under a lock, and only after the folder as it would then be has
loaded: a ban that would break the policy is refused and changes nothing.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.config.documents import Document, parse_document
from gateway.config.files import locked, write_atomically
from gateway.config.folder import read_folder
from gateway.config.policy_schema import PolicyFile
from gateway.config.schema import validate
from gateway.domain.identity import SELF, UNKNOWN
from gateway.errors import DocumentError, Problem, StartupError, StateError
from gateway.policy.compile import Policy
from gateway.vendors.catalog import Catalog

TOGGLES = "90-toggles.yaml"
_HEADER = """\
# Written by `gateway ban` and `gateway unban`; the next of them rewrites it, without comments.
# Rules that you write by hand belong into a file of their own.
"""


def ban(
    folder: Path,
    vendor: str,
    *,
    reason: str,
    authority: str | None = None,
    reference: str | None = None,
    until: datetime | None = None,
    roles: Sequence[str] | None = None,
    now: datetime,
    catalog: Catalog,
    load: Callable[[Path], Policy],
) -> Policy:
    """Deny a vendor from ``now`` on; an earlier toggle of it is replaced. Returns the new policy.

    ``load`` reads, validates and tests a folder, or raises.

    Raises StartupError (code ``toggle_refused``) where the ban says too little or nothing known,
    DocumentError where the folder would not load, StateError where it cannot be written.
    """
    _known(vendor, catalog)
    if not reason.strip():
        raise _refused("a ban needs a reason: --reason '…'")
    if until is not None and until <= now:
        raise _refused(f"--until {until.isoformat()} is not after now")
    match: dict[str, Any] = {"vendor": [vendor]}
    if roles:
        match["roles"] = list(roles)
    rule: dict[str, Any] = {
        "id": _rule_id(vendor),
        "match": match,
        "verdict": "deny",
        "reason": reason.strip(),
        "authority": authority,
        "reference": reference,
        "from": _moment(now),
        "until": _moment(until) if until is not None else None,
    }
    rule = {key: value for key, value in rule.items() if value is not None}
    with _locked(folder):
        files = read_folder(folder)
        data = _toggles(folder, files)
        rules = [old for old in data["rules"] if old["id"] != rule["id"]]
        return _put(folder, files, {**data, "rules": [*rules, rule]}, load)


def unban(folder: Path, vendor: str, *, catalog: Catalog, load: Callable[[Path], Policy]) -> Policy:
    """Take back the toggle of a vendor. Returns the new policy.

    Raises StartupError (code ``toggle_refused``) where a hand-written rule denies the vendor all
    the same, naming its place, or where nothing bans it.
    """
    _known(vendor, catalog)
    with _locked(folder):
        files = read_folder(folder)
        data = _toggles(folder, files)
        rules = [old for old in data["rules"] if old["id"] != _rule_id(vendor)]
        toggled = len(rules) < len(data["rules"])
        _refuse_by_hand(folder, files, vendor, only_unconditional=toggled)
        if not toggled:
            raise _refused(
                f"{vendor} is not banned: no toggle and no rule denies it by name "
                "(a rule without a vendor or the default may: gateway policy explain)"
            )
        return _put(folder, files, {**data, "rules": rules}, load)


def _rule_id(vendor: str) -> str:
    return f"ban-{vendor}"


def _refused(message: str) -> StartupError:
    return StartupError(message, code="toggle_refused")


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _known(vendor: str, catalog: Catalog) -> None:
    if vendor in (SELF, UNKNOWN) or catalog.vendor(vendor) is not None:
        return
    near = catalog.canonical(vendor) or catalog.nearest(vendor)
    hint = f": did you mean {near!r}?" if near else "; gateway vendors list shows all"
    raise _refused(f"unknown vendor {vendor!r}{hint}")


def _toggles(folder: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The plain data of the toggles' file as it is; a file that is not right is left alone."""
    if TOGGLES not in files:
        return {"version": 1, "rules": []}
    try:
        document = parse_document(files[TOGGLES], str(folder / TOGGLES))
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
    for name in sorted(files):
        if name == TOGGLES:
            continue
        document = parse_document(files[name], str(folder / name))
        for line, word, conditional in _denials(document, vendor):
            if conditional and only_unconditional:
                continue
            raise _refused(
                f"{vendor} is denied by the hand-written rule {word!r} at "
                f"{document.file}:{line}: nothing was changed, edit that file"
            )


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


def _put(
    folder: Path,
    files: dict[str, bytes],
    data: Mapping[str, Any],
    load: Callable[[Path], Policy],
) -> Policy:
    content = _text(data).encode()
    policy = _rehearsed(folder, {**files, TOGGLES: content}, load)
    path = folder / TOGGLES
    try:
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
        write_atomically(path, content, mode)
    except OSError as error:
        raise StateError(f"{path} cannot be written: {error.strerror or error}") from None
    return policy


def _rehearsed(folder: Path, files: Mapping[str, bytes], load: Callable[[Path], Policy]) -> Policy:
    """The policy as it will be, loaded from a copy; problems name the files of ``folder``."""
    try:
        with tempfile.TemporaryDirectory(prefix="gateway-policy-") as name:
            for file, content in files.items():
                (Path(name) / file).write_bytes(content)
            try:
                return load(Path(name))
            except DocumentError as error:
                raise DocumentError(
                    [_moved(p, Path(name), folder) for p in error.problems]
                ) from None
    except OSError as error:
        raise StateError(f"no room for a copy of the policy: {error.strerror or error}") from None


def _moved(problem: Problem, copy: Path, folder: Path) -> Problem:
    return dataclasses.replace(
        problem,
        file=problem.file.replace(str(copy), str(folder)),
        message=problem.message.replace(str(copy), str(folder)),
    )


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
