"""What was asked and answered, word by word, while a request is served: for the HMAC of its prompt
and for the encrypted content, where the configuration wants them. Nothing else has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.audit.content import Contents
from gateway.audit.prompts import prompt_hmac
from gateway.audit.record import Record

LOST = "lost"
"""In place of the digest of a content that could not be written."""


@dataclass(slots=True)
class Transcript:
    """``answer`` are the pieces of the answer's body, where that is ``heard``."""

    heard: bool
    request: bytes = b""
    answer: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Keeps:
    """What is made of transcripts: an HMAC with ``key``, a file among ``contents``, or both."""

    key: bytes | None = None
    contents: Contents | None = None

    def begin(self) -> Transcript | None:
        """For a request; ``None`` where nothing is wanted of it."""
        if self.key is None and self.contents is None:
            return None
        return Transcript(heard=self.contents is not None)

    def add(self, record: Record, of: Transcript) -> None:
        """To the record, what is to be known of its words. Raises ``OSError`` where the content
        cannot be written: the record is told the rest.
        """
        if self.key is not None:
            record.prompt_hmac = prompt_hmac(self.key, of.request)
        if self.contents is not None:
            record.content = LOST
            record.content = self.contents.keep(record.id, record.at, of.request, of.answer)

    def probe(self) -> None:
        """Raises ``OSError`` where no content can be written."""
        if self.contents is not None:
            self.contents.probe()
