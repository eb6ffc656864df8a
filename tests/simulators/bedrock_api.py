"""Amazon Bedrock's Converse and ConverseStream, with the signature of each request verified and the
binary framing of the stream.

Sources: the published API reference of Amazon Bedrock Runtime, "Signature Version 4 signing
process", and "Amazon event stream encoding" (as of Transcribe's reference).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from tests.simulators.foreign import TOOL, WORDS, ForeignVendor, compact
from tests.simulators.openai_texts import numbers
from tests.simulators.seen import SeenRequest

ACCESS_KEY = "AKIAPLANTED0123456789"
SECRET_KEY = "planted/secret+0123456789"
SESSION_TOKEN = "planted-session-token"
REGION = "us-east-1"
USAGE = {"inputTokens": 9, "outputTokens": 5, "totalTokens": 18, "cacheReadInputTokens": 4}
KINDS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


class BedrockVendor(ForeignVendor):
    """``POST /model/…/converse`` and ``/converse-stream``; ``/invoke`` for Titan's embeddings."""

    stream_media = "application/vnd.amazon.eventstream"

    def check(self, request: SeenRequest) -> tuple[int, str] | None:
        why = unsigned(request)
        return None if why is None else (403, why)

    def streams(self, request: SeenRequest) -> bool:
        return request.path.endswith("/converse-stream")

    def whole(self, request: SeenRequest) -> bytes:
        if request.path.endswith("/invoke"):
            # Titan's embeddings: one text a request.
            asked = request.json
            vector = numbers(asked["inputText"], asked.get("dimensions", 8))
            return compact({"embedding": vector, "inputTextTokenCount": 3})
        content: list[dict[str, Any]] = [{"text": "".join(WORDS)}]
        tool = self.behaviour == "tool"
        if tool:
            name, given = TOOL
            content.append({"toolUse": {"toolUseId": "tooluse_1", "name": name, "input": given}})
        return compact(
            {
                "output": {"message": {"role": "assistant", "content": content}},
                "stopReason": "tool_use" if tool else "end_turn",
                "usage": USAGE,
                "metrics": {"latencyMs": 12},
            }
        )

    def events(self, request: SeenRequest) -> Iterator[bytes]:
        tool = self.behaviour == "tool"
        yield _event("messageStart", {"role": "assistant"})
        for word in WORDS:
            yield _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}})
        yield _event("contentBlockStop", {"contentBlockIndex": 0})
        if tool:
            start = {"toolUse": {"toolUseId": "tooluse_1", "name": TOOL[0]}}
            yield _event("contentBlockStart", {"contentBlockIndex": 1, "start": start})
            for part in ('{"city"', ': "Paris"}'):
                delta = {"toolUse": {"input": part}}
                yield _event("contentBlockDelta", {"contentBlockIndex": 1, "delta": delta})
            yield _event("contentBlockStop", {"contentBlockIndex": 1})
        yield _event("messageStop", {"stopReason": "tool_use" if tool else "end_turn"})
        yield _event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 12}})

    def refusal(self, status: int, message: str, kind: str) -> tuple[bytes, Mapping[str, str]]:
        kind = kind or KINDS.get(status, "InternalServerException")
        return compact({"message": message}), {
            "x-amzn-errortype": f"{kind}:http://internal.amazon.com/"
        }

    def error_event(self) -> bytes:
        headers = {":message-type": "exception", ":exception-type": "throttlingException"}
        return frame(headers, compact({"message": "Too many tokens."}))


def _event(kind: str, data: dict[str, Any]) -> bytes:
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return frame(headers, compact(data))


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """A prelude with its checksum, the headers (all of them strings), the payload, a checksum."""
    packed = b"".join(
        struct.pack("!B", len(name))
        + name.encode()
        + struct.pack("!BH", 7, len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + packed + payload
    return message + struct.pack("!I", zlib.crc32(message))


def unsigned(request: SeenRequest) -> str | None:
    """Why the signature of a request does not hold, worked out from the request and the secret."""
    given = request.headers.get("authorization", "")
    scheme, _, rest = given.partition(" ")
    if scheme != "AWS4-HMAC-SHA256":
        return "Missing Authentication Token"
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    key, date, region, service, last = fields["Credential"].split("/")
    if (key, region, service, last) != (ACCESS_KEY, REGION, "bedrock", "aws4_request"):
        return "The security token included in the request is invalid."
    if request.headers.get("x-amz-security-token") != SESSION_TOKEN:
        return "The security token included in the request is invalid."
    names = fields["SignedHeaders"].split(";")
    if not {"host", "x-amz-date", "x-amz-security-token"} <= set(names):
        return "'host', 'x-amz-date' and the token must be signed."
    canonical = "\n".join(
        [
            "POST",
            # For every service but S3 each segment is encoded twice.
            quote(quote(unquote(request.path), safe="/-_.~"), safe="/-_.~"),
            "",
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    stamp = request.headers["x-amz-date"]
    scope = f"{date}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, digest])
    signing = f"AWS4{SECRET_KEY}".encode()
    for word in (date, region, service, "aws4_request"):
        signing = hmac.digest(signing, word.encode(), "sha256")
    expected = hmac.new(signing, text.encode(), "sha256").hexdigest()
    if not hmac.compare_digest(expected, fields["Signature"]):
        return "The request signature we calculated does not match the signature you provided."
    return None


def asked(request: SeenRequest) -> Any:
    """The body that was asked for."""
    return json.loads(request.body)
