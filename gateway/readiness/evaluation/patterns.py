"""Regular expressions of an operator's own, looked for in what a model wrote.

They are those of Rust's ``regex``, which pydantic carries: no expression takes longer than a time
that is in proportion to the text, whatever stands in either. Look-around and references back, which
cannot be had so, are refused when the file is read.
"""

from __future__ import annotations

from pydantic_core import SchemaError, SchemaValidator, core_schema

_ERROR = "error: "


class Pattern:
    """Raises ValueError for what is none, in words for whoever wrote it."""

    def __init__(self, source: str, *, ignore_case: bool = False) -> None:
        self.source = source
        written = f"(?i){source}" if ignore_case else source
        try:
            self._found = SchemaValidator(core_schema.str_schema(pattern=written))
        except (SchemaError, UnicodeEncodeError) as error:
            raise ValueError(f"not a regular expression: {_why(str(error))}") from None

    def found(self, text: str) -> bool:
        """Whether it is anywhere in the text."""
        return self._found.isinstance_python(text)


def _why(told: str) -> str:
    """The last line says what it is; those before show where."""
    last = told.strip().splitlines()[-1].strip()
    _, found, words = last.partition(_ERROR)
    return words if found else last.removeprefix("SchemaError: ")
