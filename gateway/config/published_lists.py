"""Imports of published lists: a file that the operator downloaded → proposed designations.

What is proposed lies in a sub-folder of the designations and is not in force there: a person reads
it, and moves it up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import msgspec

from gateway.config.designations import load_designation_files, load_designations
from gateway.config.proposed import proposals_text, review_text
from gateway.errors import StateError
from gateway.files import locked, write_atomically
from gateway.vendors.catalog import Catalog
from gateway.vendors.designations import Designation
from gateway.vendors.identity_table import IdentityTable
from gateway.vendors.proposals import Certain, Source, propose
from gateway.vendors.published import csl, generic, ofac, sam
from gateway.vendors.published.rows import (
    Listed,
    Malformed,
    Published,
    Reader,
    UnreadableList,
)
from gateway.vendors.screening import Finding, Screen

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "csl-json": csl.read_json,
        "csl-csv": csl.read_csv,
        "ofac-sdn": ofac.read,
        "sam-csv": sam.read,
        "generic": generic.read,
    }
)
PROPOSED = "proposed"
"""The sub-folder of the designations that is never read as policy."""
STALE_AFTER = timedelta(days=30)
MAX_DOUBTS = 10_000
"""Rows on the review list. With more, the identity table or the file is wrong."""

_CHUNK = 1 << 18
_ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b")


class LastImport(msgspec.Struct, frozen=True):
    """What the state folder remembers of a format: the file, its rows, and the days (ISO 8601)."""

    sha256: str
    rows: int
    published: str
    imported: str


@dataclass(slots=True)
class Screened:
    """What one reading of a file gave. ``rows`` are those that could be read."""

    rows: int = 0
    certain: list[Certain] = field(default_factory=list)
    doubts: list[tuple[Listed, Finding]] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)
    published: Published | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Import:
    """What an import did. ``unchanged`` proposals are in force already, word for word in what
    counts; ``gone`` are ids in force that the list has no more.
    """

    source: Source
    rows: int
    malformed: int
    proposals: int
    unchanged: int
    doubts: int
    gone: tuple[str, ...]
    proposed_file: Path
    review_file: Path
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. ``published`` is the operator's word for the list's day; it is taken
    where the list itself has none. ``accept_shrunk`` takes a list that lost most of its rows.
    """

    file: Path
    format: str
    designations: Path
    state_dir: Path
    now: datetime
    published: date | None = None
    accept_shrunk: bool = False


def import_list(order: Order, catalog: Catalog, table: IdentityTable) -> Import:
    """Read the list, compare it with the last import of its format, write both files.

    Raises StateError where the file is not such a list or has shrunk, or cannot be written;
    DocumentError where the designations in force are not valid.
    """
    in_force = load_designations(order.designations, catalog)
    found = _screened(order, Screen(catalog, table))
    folder = order.state_dir / "imports"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(folder / ".lock"):
            return _kept(order, found, in_force, folder / f"{order.format}.json", catalog)
    except OSError as error:
        where = error.filename or folder
        raise StateError(f"{where} cannot be written: {error.strerror or error}") from None


def _screened(order: Order, screen: Screen) -> Screened:
    found = Screened()
    digest = hashlib.sha256()
    try:
        for item in READERS[order.format](_chunks(order.file, digest)):
            _take(item, found, screen)
    except UnreadableList as error:
        raise StateError(f"{order.file}:{error.line}: {error.message}") from None
    if not found.rows:
        raise StateError(
            f"{order.file}: no row of {order.format} could be read "
            f"({len(found.malformed)} malformed): is this the right file and format?"
        )
    found.sha256 = digest.hexdigest()
    return found


def _chunks(file: Path, digest: hashlib._Hash) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                if chunk.startswith(_ARCHIVES) and stream.tell() == len(chunk):
                    raise UnreadableList(1, "this is a compressed file: unpack it first")
                digest.update(chunk)
                yield chunk
    except OSError as error:
        raise StateError(f"{file} cannot be read: {error.strerror or error}") from None


def _take(item: Listed | Malformed | Published, found: Screened, screen: Screen) -> None:
    if isinstance(item, Malformed):
        found.malformed.append(item)
        return
    if isinstance(item, Published):
        found.published = item
        return
    found.rows += 1
    for finding in screen.judge(item):
        if finding.certain:
            found.certain.append(Certain(item, finding.vendor, finding.reason))
        else:
            found.doubts.append((item, finding))
    if len(found.doubts) > MAX_DOUBTS:
        raise UnreadableList(item.line, f"over {MAX_DOUBTS} rows are like a vendor's name")


def _kept(
    order: Order,
    found: Screened,
    in_force: tuple[Designation, ...],
    record: Path,
    catalog: Catalog,
) -> Import:
    last = _last(record)
    if last is not None and not order.accept_shrunk and found.rows * 2 < last.rows:
        raise StateError(
            f"{order.file} has {found.rows} rows, the last {order.format} of {last.published} had "
            f"{last.rows}: nothing was written. If it really lost more than half, say "
            "--accept-shrunk"
        )
    again = last if last is not None and last.sha256 == found.sha256 else None
    retrieved = date.fromisoformat(again.imported) if again else order.now.date()
    published = _published(order, found, again)
    source = Source(order.format, found.sha256, published, retrieved)
    known = {fact.id: _content(fact) for fact in in_force}
    began = {fact.id: fact.history[0].at.date() for fact in in_force}
    proposed = propose(found.certain, source, began)
    fresh = [fact for fact in proposed if known.get(fact.id) != _content(fact)]
    gone = _gone(order.format, known, proposed)
    folder = order.designations / PROPOSED
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{order.format}-{published.isoformat()}"
    files = folder / f"{stem}.yaml", folder / f"{stem}.review.txt"
    text = proposals_text(fresh, source, order.file.name, found.rows).encode()
    # What is proposed must load when a person moves it up, so it is loaded here once.
    load_designation_files(folder, {files[0].name: text}, catalog)
    write_atomically(files[0], text, 0o644)
    review = review_text(source, found.doubts, found.malformed, gone)
    write_atomically(files[1], review.encode(), 0o644)
    remembered = LastImport(found.sha256, found.rows, published.isoformat(), retrieved.isoformat())
    write_atomically(record, msgspec.json.encode(remembered))
    return Import(
        source=source,
        rows=found.rows,
        malformed=len(found.malformed),
        proposals=len(fresh),
        unchanged=len(proposed) - len(fresh),
        doubts=len(found.doubts),
        gone=gone,
        proposed_file=files[0],
        review_file=files[1],
        warnings=tuple(_warnings(order, found, published, last)),
    )


def _last(record: Path) -> LastImport | None:
    try:
        return msgspec.json.decode(record.read_bytes(), type=LastImport)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        raise StateError(
            f"{record} is damaged, so this list cannot be compared with the last one: remove it"
        ) from None


def _published(order: Order, found: Screened, again: LastImport | None) -> date:
    """The day of the list: its own word, else the operator's, else that of the file."""
    if found.published is not None:
        return found.published.on
    if order.published is not None:
        return order.published
    if again is not None:
        # The same bytes are the same list, whenever somebody touched the file.
        return date.fromisoformat(again.published)
    return datetime.fromtimestamp(order.file.stat().st_mtime, UTC).date()


def _content(fact: Designation) -> tuple[object, ...]:
    """What a designation says of a vendor, without when and where it was read."""
    changes = tuple((change.at, change.status) for change in fact.history)
    return fact.vendor, fact.authority, fact.statute, changes


def _gone(
    format: str, known: Mapping[str, object], proposed: Iterable[Designation]
) -> tuple[str, ...]:
    still = {fact.id for fact in proposed}
    return tuple(id for id in sorted(known) if id.startswith(f"{format}-") and id not in still)


def _warnings(
    order: Order, found: Screened, published: date, last: LastImport | None
) -> Iterator[str]:
    if order.now.date() - published > STALE_AFTER:
        age = (order.now.date() - published).days
        yield f"the list is of {published}, {age} days old: download it anew"
    if published > order.now.date():
        yield f"the list is of {published}, which is yet to come: is the date right?"
    if last is not None and published.isoformat() < last.published:
        yield f"the list is of {published}, older than the last import's ({last.published})"
    own = found.published
    if own is not None and order.published not in (None, own.on):
        yield f"--published is not taken: the list says itself that it is of {own.on}"
    if own is not None and own.rows is not None:
        rows = found.rows + len(found.malformed)
        if rows != own.rows:
            yield f"the list says that it has {own.rows} entries, but {rows} were found"
    if found.malformed:
        first = ", ".join(str(row.line) for row in found.malformed[:10])
        more = ", …" if len(found.malformed) > 10 else ""
        yield f"{len(found.malformed)} rows could not be read (lines {first}{more})"
