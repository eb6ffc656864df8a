"""A form as a vendor's server reads it: by python-multipart, which FastAPI has."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.multipart import MultipartParser, parse_options_header


@dataclass(slots=True)
class Field:
    """``head`` has the lines of its head as they came."""

    head: list[tuple[bytes, bytes]] = field(default_factory=list)
    data: bytes = b""

    @property
    def disposition(self) -> dict[bytes, bytes]:
        lines = {name.lower(): value for name, value in self.head}
        return parse_options_header(lines.get(b"content-disposition", b""))[1]

    @property
    def name(self) -> str:
        return self.disposition.get(b"name", b"").decode()


def fields(body: bytes, content_type: str) -> list[Field]:
    """The fields in their order. Raises ``ValueError`` for what is no form."""
    found: list[Field] = []
    line = [b"", b""]

    def begin() -> None:
        found.append(Field())

    def name(data: bytes, start: int, end: int) -> None:
        line[0] += data[start:end]

    def value(data: bytes, start: int, end: int) -> None:
        line[1] += data[start:end]

    def line_end() -> None:
        found[-1].head.append((line[0], line[1]))
        line[:] = [b"", b""]

    def data(data: bytes, start: int, end: int) -> None:
        found[-1].data += data[start:end]

    boundary = parse_options_header(content_type)[1][b"boundary"]
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": begin,
            "on_header_field": name,
            "on_header_value": value,
            "on_header_end": line_end,
            "on_part_data": data,
        },
    )
    parser.write(body)
    parser.finalize()
    return found
