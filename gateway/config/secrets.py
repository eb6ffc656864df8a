"""References to secrets. A configuration never holds one itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gateway.errors import StateError

LITERAL = "a literal key is not allowed: use ${NAME} or file:PATH"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}\Z")
_FILE = re.compile(r"file:([^\x00\n]+)\Z")


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Where a secret is: ``${NAME}`` in the environment or ``file:PATH``. Never what it is."""

    variable: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if (self.variable is None) == (self.file is None):
            raise ValueError("a secret is in a variable or in a file")

    def __repr__(self) -> str:
        return f"Secret({self})"

    def __str__(self) -> str:
        return f"${{{self.variable}}}" if self.variable is not None else f"file:{self.file}"

    @classmethod
    def parse(cls, value: object) -> Secret:
        """Take a reference; anything else is refused without being shown."""
        if isinstance(value, Secret):
            return value
        if isinstance(value, str):
            if found := _VARIABLE.match(value):
                return cls(variable=found.group(1))
            if found := _FILE.match(value):
                return cls(file=found.group(1))
        raise PydanticCustomError("secret_literal", LITERAL)

    def resolve(
        self, environ: Mapping[str, str], base_dir: Path, *, blanks: bool = False
    ) -> str | None:
        """The secret itself; None where the variable or file is missing or empty. It may hold
        ``blanks`` only where that is said.

        Raises StateError for a file that is there and cannot be read, and for a value that could
        not stand in a header.
        """
        if self.variable is not None:
            value = environ.get(self.variable, "").strip()
        else:
            value = self._read(base_dir / Path(str(self.file)).expanduser())
        least = 0x20 if blanks else 0x21
        if any(not least <= ord(character) < 0x7F for character in value):
            raise StateError(f"the secret at {self} has a blank or a character that no key has")
        return value or None

    def document(self, base_dir: Path) -> str | None:
        """The text of a file that is a secret as a whole; None where it is missing or empty. Raises
        StateError for one that cannot be read.
        """
        if self.file is None:
            return None
        return self._read(base_dir / Path(self.file).expanduser()) or None

    def _read(self, path: Path) -> str:
        try:
            return path.read_bytes()[:65536].decode("ascii", "replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            raise StateError(f"the secret at {self} cannot be read: {error.strerror}") from None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.to_string_ser_schema()
        )
