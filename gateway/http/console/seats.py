"""Who sits at the console, and what they may do there: the gate of ``/admin``, for pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from gateway.access.operators import Actor, OperatorRole
from gateway.errors import Forbidden, Unauthenticated
from gateway.http.admin.entry import WITHIN
from gateway.http.admin.gate import Gate, Visit
from gateway.http.asgi import read_body_within

FORM_LIMIT = 65_536
"""Bytes of a form; the longest that the pages send is a few thousand."""
_VISIT = "gateway.console.visit"


@dataclass(frozen=True, slots=True)
class Seat:
    """Somebody who has signed in. ``csrf`` is what their forms send."""

    actor: Actor
    csrf: str

    def may(self, least: OperatorRole) -> bool:
        return self.actor.role.may(least)


class Seats:
    """``made`` says whether there is an operator's key at all; ``noted`` is told of what was done,
    and by whom.
    """

    def __init__(
        self, gate: Gate, made: Callable[[], bool], noted: Callable[[str, Visit], None]
    ) -> None:
        self.made = made
        self._gate = gate
        self._noted = noted

    async def arrived(self, request: Request) -> Request:
        """The request, with who asks and all of its body in it. Raises ``Misdirected``,
        ``BodyTooLarge`` and ``UnsupportedEncoding``.
        """
        self._gate.check_host(request.scope)
        try:
            request.scope[_VISIT] = self._gate.visitor(request.scope)
        except Unauthenticated:
            # A session that is over: as if there were none.
            request.scope[_VISIT] = None
        if request.method != "POST":
            return request
        body = await read_body_within(request.scope, request.receive, FORM_LIMIT, WITHIN)

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        return Request(request.scope, receive)

    def seat(self, request: Request) -> Seat | None:
        """Of a request that has arrived; None where nobody has signed in."""
        visit = request.scope.get(_VISIT)
        return None if visit is None else Seat(visit.actor, self._gate.token(visit) or "")

    def taken(self, request: Request, least: OperatorRole = OperatorRole.VIEWER) -> Seat:
        """Who asks. Raises ``Unauthenticated`` where nobody has signed in, and ``Forbidden``."""
        seat = self.seat(request)
        if seat is None:
            raise Unauthenticated("Sign in first.")
        if not seat.may(least):
            raise Forbidden(f"You are a {seat.actor.role}: this takes the role {least}.")
        return seat

    async def changing(self, request: Request, least: OperatorRole) -> Seat:
        """As ``taken``, of a form. Raises ``Forbidden`` too where no page of ours sent it."""
        seat = self.taken(request, least)
        await self._gate.check_change(request, request.scope[_VISIT])
        return seat

    def sign_in(self, request: Request, key: str, answer: Response) -> None:
        """Open a session by an operator's key. Raises ``Forbidden`` and ``Unauthenticated``."""
        visit, (name, cookie) = self._gate.login(request.scope, key)
        self._noted("login", visit)
        answer.headers[name.decode()] = cookie.decode("latin-1")

    def sign_out(self, request: Request, answer: Response) -> None:
        visit = request.scope[_VISIT]
        name, cookie = self._gate.logout(request.scope, visit)
        self._noted("logout", visit)
        answer.headers[name.decode()] = cookie.decode("latin-1")

    def renew(self, request: Request, answer: Response) -> None:
        """Write the cookie anew of a session that goes on."""
        visit = request.scope.get(_VISIT)
        if visit is not None and visit.renewed is not None and "set-cookie" not in answer.headers:
            name, cookie = self._gate.cookie(request.scope, visit.renewed)
            answer.headers[name.decode()] = cookie.decode("latin-1")
