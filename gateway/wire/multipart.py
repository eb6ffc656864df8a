"""Where the fields of a form stand in its bytes, so that one can be replaced, and nothing else.

A form is read more strictly than RFC 7578 asks, and than every parser reads that a vendor may have:
what two of them could take for different fields is refused, so that a vendor cannot read another
model than policy judged. Lines end in CR LF, nothing stands before the first boundary or behind the
last, the boundary occurs nowhere else, and the names of fields are plain words.

Sources: RFC 7578, RFC 2046 5.1, RFC 6266; the WHATWG HTML standard, "multipart form data".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_PARTS = 256
MOST_HEAD = 16 * 1024
"""Bytes of a part's head."""
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = rb'(?:%b|"(?:[^"\\]|\\+[^"\\])*")' % _TOKEN
"""A backslash before a quote ends the value for some parsers, and is part of it for others."""
_PARAMETER = re.compile(rb"[ \t]*;[ \t]*(%b)=(%b)" % (_TOKEN, _VALUE))
_LINE = re.compile(rb"(%b):([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)
_KIND = re.compile(rb"[ \t]*(%b(?:/%b)?)" % (_TOKEN, _TOKEN))
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,200}")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")
_PLAIN = frozenset({b"7bit", b"8bit", b"binary"})
_FORM = b"multipart/form-data"


class MalformedForm(ValueError):
    """The message says what is wrong, without what the form holds; ``field`` where it is."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Part:
    """One field: its part is ``start`` to ``end`` of the body, its value begins at ``value``.
    ``kind`` is the type of its content in lower case, where it says one.
    """

    name: str
    file: bool
    kind: bytes | None
    start: int
    value: int
    end: int


def is_form(content_type: bytes) -> bool:
    """Whether a request's content type says that it is a form."""
    kind = _KIND.match(content_type)
    return kind is not None and kind[1].lower() == _FORM


def boundary_of(content_type: bytes) -> str:
    """The boundary that the content type of a form names. Raises ``MalformedForm``."""
    found = _parameters(content_type)
    if found is None or b"boundary" not in found:
        raise MalformedForm("its Content-Type names no boundary")
    boundary = found[b"boundary"].decode("latin-1")
    if not _BOUNDARY.fullmatch(boundary):
        raise MalformedForm("the boundary in its Content-Type is malformed")
    return boundary


def content_type(boundary: str) -> bytes:
    """The content type of a form with a boundary that ``boundary_of`` gave."""
    # Some servers know no quotes; those with one of these characters need them.
    quoted = f'"{boundary}"' if re.search(r"[^0-9A-Za-z'+_.-]", boundary) else boundary
    return _FORM + b"; boundary=" + quoted.encode("ascii")


def parts(body: bytes, boundary: str) -> Iterator[Part]:
    """The fields in their order. Raises ``MalformedForm``."""
    mark = b"--" + boundary.encode("ascii")
    if not body.startswith(mark):
        raise MalformedForm("it does not begin with the boundary that its Content-Type names")
    start = len(mark)
    for _ in range(MOST_PARTS + 1):
        if body.startswith(b"--", start):
            if body[start + 2 : start + 5] not in (b"", b"\r\n"):
                raise MalformedForm("something stands behind its last boundary")
            return
        if not body.startswith(b"\r\n", start):
            raise MalformedForm("its boundary stands within a line")
        start += 2
        following = body.find(mark, start)
        if following < 0:
            raise MalformedForm("it breaks off before its last boundary")
        if body[following - 2 : following] != b"\r\n":
            raise MalformedForm("its boundary stands within a line")
        yield _part(body, start, following - 2)
        start = following + len(mark)
    raise MalformedForm(f"it has more than {MOST_PARTS} fields")


def _part(body: bytes, start: int, end: int) -> Part:
    head = body.find(b"\r\n\r\n", start, min(end, start + MOST_HEAD))
    if head < 0:
        raise MalformedForm("a field has no head, or one that is too long")
    lines: dict[bytes, bytes] = {}
    for line in body[start:head].split(b"\r\n"):
        match = _LINE.fullmatch(line)
        if match is None or match[1].lower() in lines:
            raise MalformedForm("the head of a field is malformed")
        lines[match[1].lower()] = match[2].strip(b" \t")
    disposition = lines.get(b"content-disposition", b"")
    said = _parameters(disposition)
    kind = _KIND.match(disposition)
    if said is None or kind is None or kind[1].lower() != b"form-data" or b"name" not in said:
        raise MalformedForm("the Content-Disposition of a field is missing or malformed")
    if said.keys() - {b"name", b"filename", b"filename*"}:
        raise MalformedForm("the Content-Disposition of a field says more than it may")
    name = said[b"name"].decode("latin-1")
    if not _NAME.fullmatch(name):
        raise MalformedForm("the name of a field is no plain word")
    _check_plain(lines, name)
    media = _KIND.match(lines.get(b"content-type", b""))
    return Part(
        name=name,
        file=len(said) > 1,
        kind=media and media[1].lower(),
        start=start,
        value=head + 4,
        end=end,
    )


def _check_plain(lines: dict[bytes, bytes], name: str) -> None:
    """What would have a field, or all of them, read in another way than as it stands."""
    if lines.get(b"content-transfer-encoding", b"binary").lower() not in _PLAIN:
        raise MalformedForm("a field is encoded: send it as it is", name)
    if lines.get(b"content-type", b"").lower().startswith((b"multipart/", b"message/")):
        raise MalformedForm("a field holds fields of its own", name)
    if name == "_charset_":
        raise MalformedForm("a form is read as UTF-8 only", name)


def _parameters(value: bytes) -> dict[bytes, bytes] | None:
    """The parameters of a header's value, their names in lower case; ``None`` where it is malformed
    or says one twice.
    """
    kind = _KIND.match(value)
    if kind is None:
        return None
    found: dict[bytes, bytes] = {}
    at = kind.end()
    while match := _PARAMETER.match(value, at):
        name, said = match[1].lower(), match[2]
        if name in found:
            return None
        found[name] = said[1:-1] if said.startswith(b'"') else said
        at = match.end()
    return found if value[at:].strip(b" \t;") == b"" else None
