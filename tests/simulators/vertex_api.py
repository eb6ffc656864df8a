"""Google's Vertex AI: its token endpoint, which verifies the service account's signature, and the
two kinds of models behind its API, Gemini and Claude.

Sources: "Using OAuth 2.0 for Server to Server Applications", and the published references of
``generateContent`` and ``rawPredict``.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.simulators import anthropic_api, gemini_api
from tests.simulators.foreign import ForeignVendor, compact
from tests.simulators.seen import SeenRequest

PROJECT = "planted-project"
REGION = "europe-west1"
TOKEN = "ya29.planted-0123456789"
EMAIL = "gateway@planted-project.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "https://oauth2.googleapis.com/token"
"""Whom the vendor's library makes every assertion out to, wherever it sends it."""
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class TokenVendor(ForeignVendor):
    """``POST /token``, for one service account that is made here."""

    def __init__(self) -> None:
        super().__init__()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def service_account(self) -> str:
        """The file that an operator would have from the vendor."""
        private = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "planted",
                "private_key": private.decode(),
                "client_email": EMAIL,
                "token_uri": f"{self.url}/token",
                "universe_domain": "googleapis.com",
            }
        )

    def check(self, request: SeenRequest) -> tuple[int, str] | None:
        form = parse_qs(request.body.decode())
        if request.path != "/token" or form.get("grant_type") != [GRANT]:
            return 400, "unsupported_grant_type"
        head, claims, signature = form["assertion"][0].split(".")
        try:
            self._key.public_key().verify(
                _decoded(signature),
                f"{head}.{claims}".encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return 401, "invalid_grant"
        said = json.loads(_decoded(claims))
        now = time.time()
        good = (
            json.loads(_decoded(head))["alg"] == "RS256"
            and said["iss"] == EMAIL
            and said["aud"] == AUDIENCE
            and SCOPE in said["scope"].split()
            and said["iat"] <= now + 60 < said["exp"]
        )
        return None if good else (401, "invalid_grant")

    def streams(self, request: SeenRequest) -> bool:
        return False

    def whole(self, request: SeenRequest) -> bytes:
        return compact({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})

    def refusal(self, status: int, message: str, kind: str) -> tuple[bytes, Mapping[str, str]]:
        return compact({"error": message, "error_description": "Invalid JWT Signature."}), {}


class VertexVendor(ForeignVendor):
    """``POST /v1/projects/…/locations/…/publishers/…/models/…``."""

    def check(self, request: SeenRequest) -> tuple[int, str] | None:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return 401, "Request had invalid authentication credentials."
        where = f"/projects/{PROJECT}/locations/{REGION}/publishers/"
        return None if where in request.path else (404, "Not found")

    def streams(self, request: SeenRequest) -> bool:
        method = urlsplit(request.path).path.rpartition(":")[2]
        return method in ("streamGenerateContent", "streamRawPredict")

    def whole(self, request: SeenRequest) -> bytes:
        tool = self.behaviour == "tool"
        api = anthropic_api.message if _claude(request) else gemini_api.answer
        return compact(api(self, tool=tool))

    def events(self, request: SeenRequest) -> Iterator[bytes]:
        api = anthropic_api.events if _claude(request) else gemini_api.events
        return api(self, tool=self.behaviour == "tool")

    def refusal(self, status: int, message: str, kind: str) -> tuple[bytes, Mapping[str, str]]:
        return gemini_api.refusal(status, message, kind), {}

    def error_event(self) -> bytes:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        return anthropic_api.event({"type": "error", "error": error})


def _claude(request: SeenRequest) -> bool:
    if "/publishers/anthropic/" not in request.path:
        return False
    assert request.json["anthropic_version"].startswith("vertex-")
    return True


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def asked(request: SeenRequest) -> dict[str, Any]:
    """The body that was asked for."""
    return request.json
