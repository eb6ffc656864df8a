"""An issuer of tokens: keys of its own, what it publishes of them, and a server that tells it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NAME = "https://issuer.example"
AUDIENCE = "gateway"
_WRITES: Mapping[type[Any], Any] = {
    rsa.RSAPublicKey: RSAAlgorithm,
    ec.EllipticCurvePublicKey: ECAlgorithm,
    ed25519.Ed25519PublicKey: OKPAlgorithm,
}


def private_key(algorithm: str) -> Any:
    """A new key that signs so."""
    if algorithm.startswith("ES"):
        curves: Mapping[str, Any] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1}
        return ec.generate_private_key(curves.get(algorithm, ec.SECP521R1)())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    """What of a private or public key stands in a JWKS; what of it is published is the caller's."""
    public = key.public_key() if hasattr(key, "private_bytes") else key
    writes = next(one for kind, one in _WRITES.items() if isinstance(public, kind))
    return {**json.loads(writes.to_jwk(key)), "kid": kid, **more}


class Issuer:
    """Signs with one key for each algorithm, whose ids are their names."""

    def __init__(self, *algorithms: str) -> None:
        self.keys = {name: private_key(name) for name in algorithms}

    @property
    def jwks(self) -> bytes:
        """The public keys."""
        found = [jwk(key.public_key(), kid, use="sig", alg=kid) for kid, key in self.keys.items()]
        return json.dumps({"keys": found}).encode()

    def token(
        self, algorithm: str = "ES256", header: Mapping[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token that is good for an hour; a claim that is ``None`` is left out."""
        now = int(time.time())
        said = {"iss": NAME, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 3600}
        found = {name: value for name, value in {**said, **claims}.items() if value is not None}
        return jwt.encode(
            found,
            self.keys[algorithm],
            algorithm=algorithm,
            headers={"kid": algorithm, **(header or {})},
        )


class Publishing:
    """``with Publishing(jwks) as server``: a server on loopback; ``body`` and ``status`` are what
    it answers, ``asked`` the paths that it was asked for.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status = 200
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(outer.status)
                self.send_header("content-length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            do_POST = do_GET  # noqa: N815 - the standard library's spelling

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
