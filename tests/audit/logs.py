"""Logs as a gateway writes them, without one."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.audit.chain import Head, Kind, line
from gateway.audit.entries import entry
from gateway.audit.happening import Happening
from gateway.audit.record import AttemptRecord, JudgedParty, JudgedTarget, Record
from gateway.domain.decision import Labels, Verdict
from gateway.domain.identity import Locality, Role

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Signer:
    """A key that is the same in each run."""

    def __init__(self, seed: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(bytes([seed])).digest())
        self.public = self._key.public_key()
        self.id = hashlib.sha256(self.public.public_bytes_raw()).hexdigest()[:16]

    @property
    def pem(self) -> bytes:
        """The public key."""
        return self.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def line(self, head: Head, at: str) -> tuple[bytes, Head]:
        """The checkpoint behind ``head``."""
        fields = {"at": at, "key": self.id}
        part, _ = line(head, Kind.CHECKPOINT, fields)
        signature = base64.b64encode(self._key.sign(part)).decode()
        return line(head, Kind.CHECKPOINT, {**fields, "signature": signature})


def judged(target: str, verdict: Verdict = Verdict.ALLOW, rule: str = "vendors") -> JudgedTarget:
    """Of a target whose channel is its vendor."""
    vendor, _, model = target.partition("/")
    locality = Locality.LOCAL if vendor == "local" else Locality.CLOUD
    return JudgedTarget(
        target=target,
        channel=vendor,
        developer=vendor,
        model=model,
        locality=locality,
        parties=(JudgedParty(Role.CHANNEL, vendor), JudgedParty(Role.DEVELOPER, vendor)),
        verdict=verdict,
        rule=rule,
        party=vendor,
        role=Role.CHANNEL,
        left_out="policy" if verdict is Verdict.DENY else "",
    )


def request(number: int = 1, **fields: Any) -> Record:
    """One that OpenAI served, a second behind the one with the number before."""
    attempt = AttemptRecord("openai/gpt-4o", "served", 800_000, "r1", 300_000, status=200)
    return Record(
        **{
            "id": f"req-{number}",
            "at": NOW + timedelta(seconds=number),
            "api": "chat/completions",
            "model": "gpt-4o",
            "key": "k1",
            "labels": Labels(team="shop", app="checkout"),
            "policy": "r1",
            "targets": (judged("openai/gpt-4o"), judged("local/smollm2")),
            "attempts": [attempt],
            "outcome": "served",
            "status": 200,
            "served_by": "openai/gpt-4o",
            "locality": "cloud",
            "prompt_tokens": 14,
            "completion_tokens": 8,
            "cost": 115,
            "duration_us": 812_345,
            **fields,
        }
    )


@dataclass
class Written:
    """A log in the making. ``lines`` are without their newlines."""

    signer: Signer = field(default_factory=Signer)
    head: Head = field(default_factory=Head)
    lines: list[bytes] = field(default_factory=list)

    def add(self, *things: Record | Happening) -> Written:
        for thing in things:
            written, self.head = line(self.head, *entry(thing))
            self.lines.append(written)
        return self

    def sign(self, at: datetime = NOW) -> Written:
        written, self.head = self.signer.line(self.head, at.isoformat().replace("+00:00", "Z"))
        self.lines.append(written)
        return self

    def save(self, folder: Path, *breaks: int) -> list[Path]:
        """Into segments that end behind so many lines each; the public key beside them."""
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        (folder / "keys" / f"{self.signer.id}.pub").write_bytes(self.signer.pem)
        ends = [*breaks, len(self.lines)]
        files, begin = [], 0
        for number, end in enumerate(ends, 1):
            file = folder / f"audit-{number:08}.jsonl"
            file.write_bytes(joined(self.lines[begin:end]))
            files.append(file)
            begin = end
        return files


def joined(lines: Iterable[bytes]) -> bytes:
    return b"".join(one + b"\n" for one in lines)
