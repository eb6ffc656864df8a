"""An auditor's own verifier: nothing of the gateway, only what its documentation says."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key


def verified(folder: Path) -> list[dict[str, Any]]:
    """The lines of a log, each checked against the one before; the first may be any."""
    lines, seq, prev = [], None, None
    for file in sorted(folder.glob("audit-*.jsonl")):
        text = file.read_bytes()
        assert text.endswith(b"\n") or not text, file
        for raw in text.split(b"\n")[:-1]:
            line = json.loads(raw)
            assert raw == canonical(line), raw
            assert seq in (None, line["seq"] - 1), line
            assert prev in (None, line["prev"]), line
            if line["kind"] == "checkpoint":
                key = load_pem_public_key((folder / "keys" / f"{line['key']}.pub").read_bytes())
                assert isinstance(key, Ed25519PublicKey)
                assert hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16] == line["key"]
                signed = {name: value for name, value in line.items() if name != "signature"}
                key.verify(base64.b64decode(line["signature"]), canonical(signed))
            seq, prev = line["seq"], hashlib.sha256(raw).hexdigest()
            lines.append(line)
    return lines


def canonical(value: Any) -> bytes:
    """RFC 8785, for what has neither fractions nor keys beyond U+FFFF."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
