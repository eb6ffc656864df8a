"""What is where, and who is let in there: asked of every request that no model answers.

Without a port of their own, probes, metrics, the operators' API and the console are on the port of
the apps; with one, they are there and nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Message, Receive, Scope

from gateway.errors import BodyTooLarge, RouteNotFound, Unauthenticated
from gateway.http.admin.gate import VISIT, Gate
from gateway.http.admin.manners import of_operators
from gateway.http.admin.session import LOGIN
from gateway.http.asgi import read_body_within
from gateway.http.head import Header

LARGEST = 256_000
"""Bytes of a body that an operator sends."""
WITHIN = 30.0
"""Seconds in which it must have come: of a login nobody knows who sends it."""
METRICS = "/metrics"
DESCRIPTION = "/openapi.json"
CONSOLE = "/console"
_PROBES = frozenset({"/livez", "/readyz", METRICS})
_WITH_BODY = frozenset({"DELETE", "PATCH", "POST", "PUT"})


class Entry:
    """``near`` says whether a request comes from a program on this machine; ``apart`` is the port
    of what is for operators, where that is another than the apps'.
    """

    def __init__(self, gate: Gate, near: Callable[[Scope], bool], apart: int | None) -> None:
        self._gate = gate
        self._near = near
        self._apart = apart

    def is_here(self, scope: Scope) -> bool:
        """Whether a request came to the port on which its path is."""
        return self._apart is None or self.is_there(scope, scope["path"])

    def has_data_plane(self, port: int | None) -> bool:
        """Whether models are asked on a port."""
        return self._apart is None or port != self._apart

    def is_there(self, scope: Scope, path: str) -> bool:
        """Whether a path is on the port that a request came to."""
        if self._apart is None or path == DESCRIPTION:
            return True
        return self._is_apart(scope) is _aside(path)

    def describes(self, scope: Scope) -> bool:
        """Whether what is asked for is the description of what is for operators alone."""
        return scope["path"] == DESCRIPTION and self._is_apart(scope)

    def _is_apart(self, scope: Scope) -> bool:
        server = scope.get("server")
        return self._apart is not None and server is not None and server[1] == self._apart

    async def let_in(
        self, scope: Scope, receive: Receive, add: Callable[[Header], None]
    ) -> Receive:
        """What to read the body of a request from that may go on; ``add`` gives its answer a
        header. Raises ``GatewayError``, ``ClientGone``.
        """
        path = scope["path"]
        if not self.is_here(scope):
            raise RouteNotFound(f"{path[:200]} is not on this port.")
        if path == METRICS and scope["method"] != "OPTIONS":
            self._let_read_metrics(scope)
        if not of_operators(path) and not self.describes(scope):
            return receive
        if path == LOGIN and scope["method"] == "POST":
            self._gate.check_host(scope)
        else:
            visit = self._gate.enter(scope)
            scope[VISIT] = visit
            if visit.renewed is not None:
                add(self._gate.cookie(scope, visit.renewed))
        if scope["method"] not in _WITH_BODY:
            return receive
        try:
            return _again(await read_body_within(scope, receive, LARGEST, WITHIN))
        except BodyTooLarge as error:
            raise type(error)(f"The body is larger than {LARGEST} bytes.") from None

    def _let_read_metrics(self, scope: Scope) -> None:
        """Whoever is on this machine, or an operator; no app, and no page on the web."""
        if self._near(scope):
            return
        if self._gate.visitor(scope) is None:
            raise Unauthenticated(
                "Metrics are for this machine and for operators: send an operator's key as "
                "Authorization: Bearer.",
                code="missing_operator_key",
            )


def _aside(path: str) -> bool:
    """Whether a path is for operators and what works for them."""
    return of_operators(path) or path in _PROBES or f"{path}/".startswith(f"{CONSOLE}/")


def _again(body: bytes) -> Receive:
    """A body that was read, for whoever reads it next."""
    read = False

    async def receive() -> Message:
        nonlocal read
        if read:
            return {"type": "http.disconnect"}
        read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
