"""Who comes to an operators' path, and whether they may.

Three things are asked of every request, before anything else is told: that it was meant for this
gateway (``Host``: a page on the web may give its own name our address), that it shows an operator's
key, the credential of this machine or a session, and, where it changes something by a session, that
it comes from a page of our own: a browser sends a cookie whichever page asks it to.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.types import Scope

from gateway.access.entrance import Entrance
from gateway.access.operators import Actor, OperatorRole
from gateway.access.sessions import LONGEST, Session
from gateway.access.slowing import Slowing
from gateway.errors import (
    Forbidden,
    Misdirected,
    TooManyWrongKeys,
    Unauthenticated,
)
from gateway.http.head import Header, header, peer

VISIT = "gateway.visit"
"""Where the scope of a request holds who comes."""
CSRF_HEADER = "x-gateway-csrf"
CSRF_FIELD = "csrf"
USER = b"x-gateway-user"
_COOKIE = "gateway_session"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_CHANGING = frozenset({"DELETE", "PATCH", "POST", "PUT"})
_FORM = "application/x-www-form-urlencoded"
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^][:@/]+)(?::\d{1,5})?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who comes, by a ``session`` or else by a key. ``renewed`` is the session as it is to be
    written anew.
    """

    actor: Actor
    session: Session | None = None
    renewed: Session | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """``hosts`` are the names by which operators come, beside those of this machine, with or
    without a port; ``https`` says that their browsers speak it, to whatever stands in front.
    """

    hosts: Collection[str] = ()
    https: bool = False

    def knows(self, host: str) -> bool:
        return bare(host) in _LOOPBACK or host in self.hosts or bare(host) in self.hosts

    def secure(self, host: str) -> bool:
        """Whether a browser that says ``host`` came by https."""
        return self.https and bare(host) not in _LOOPBACK


class Gate:
    """``refused`` is told of every wrong key that was answered: from which peer, and why."""

    def __init__(
        self, entrance: Entrance, names: Names, refused: Callable[[str, str], None]
    ) -> None:
        self._entrance = entrance
        self._names = names
        self._refused = refused
        self._slowing = Slowing()

    def enter(self, scope: Scope) -> Visit:
        """Raises ``Misdirected``, ``Unauthenticated`` and ``TooManyWrongKeys``."""
        self.check_host(scope)
        visit = self.visitor(scope)
        if visit is None:
            raise Unauthenticated(
                "This is for operators: send an operator's key as Authorization: Bearer, or log in "
                "at /console. `gateway operators create` makes one.",
                code="missing_operator_key",
            )
        return visit

    def visitor(self, scope: Scope) -> Visit | None:
        """As ``enter``, of a scope whose host is right; ``None`` for who shows nothing at all."""
        now = datetime.now(UTC)
        presented = _bearer(scope)
        if presented is not None:
            said = header(scope, USER)
            user = None if said is None else said.decode("latin-1")
            try:
                return Visit(self._entrance.by_key(presented, user, now))
            except Unauthenticated as error:
                raise self._slowed(scope, error) from None
        cookie = self._cookie(scope)
        if cookie is None:
            return None
        actor, session = self._entrance.by_cookie(cookie, now)
        return Visit(actor, session, self._entrance.sessions.renewed(session, now))

    def check_host(self, scope: Scope) -> None:
        """Raises ``Misdirected`` where a request was meant for another name."""
        if not self.is_meant(scope):
            host = _host(scope)[:100]
            raise Misdirected(
                f"{host!r} is no name by which operators reach this gateway. If it is one, say so "
                "under admin.hosts of gateway.yaml."
            )

    def is_meant(self, scope: Scope) -> bool:
        """Whether a request was meant for a name of this gateway."""
        return self._names.knows(_host(scope))

    def login(self, scope: Scope, presented: str) -> tuple[Visit, Header]:
        """A session for whoever presents a key, and the header that sets its cookie. Raises
        ``Forbidden`` for another's page, ``Unauthenticated`` and ``TooManyWrongKeys``.
        """
        self._same_origin(scope, asked=False)
        try:
            actor, session = self._entrance.login(presented, datetime.now(UTC))
        except Unauthenticated as error:
            raise self._slowed(scope, error) from None
        return Visit(actor, session), self.cookie(scope, session)

    def logout(self, scope: Scope, visit: Visit) -> Header:
        """End a session; the header that takes its cookie away."""
        if visit.session is not None:
            self._entrance.sessions.end(visit.session)
        return self._set_cookie(scope, "", 0)

    def cookie(self, scope: Scope, session: Session) -> Header:
        """The header that sets it."""
        written = self._entrance.sessions.written(session)
        return self._set_cookie(scope, written, int(LONGEST.total_seconds()))

    def token(self, visit: Visit) -> str | None:
        """What a page shows beside its cookie where it changes something."""
        return None if visit.session is None else self._entrance.sessions.token(visit.session)

    async def check_change(self, request: Request, visit: Visit) -> None:
        """Raises ``Forbidden`` where a request that changes something comes by a cookie, and not
        from a page of our own.
        """
        if visit.session is None or request.method not in _CHANGING:
            return
        self._same_origin(request.scope, asked=True)
        token = request.headers.get(CSRF_HEADER) or await _field(request)
        if token is None or not self._entrance.sessions.is_token(visit.session, token):
            raise Forbidden(
                f"A session changes something only with its token, as header {CSRF_HEADER} or as "
                f"field {CSRF_FIELD} of a form: GET /admin/session tells it.",
                code="csrf",
            )

    def _same_origin(self, scope: Scope, *, asked: bool) -> None:
        """What the browser says of the page that asks; where it must be ``asked``, something."""
        site, origin = header(scope, b"sec-fetch-site"), header(scope, b"origin")
        host = _host(scope)
        ours = f"{'https' if self._names.secure(host) else 'http'}://{host}"
        wrong = (site is not None and site != b"same-origin") or (
            origin is not None and origin.decode("latin-1").lower() != ours
        )
        if wrong or (asked and site is None and origin is None):
            raise Forbidden(
                f"A session is changed, and changes something, only from a page of {ours} itself "
                "(Origin, Sec-Fetch-Site). Where https is spoken in front of this gateway, say "
                "admin.https: true.",
                code="other_origin",
            )

    def _slowed(self, scope: Scope, error: Unauthenticated) -> Unauthenticated:
        address = peer(scope)
        wait = self._slowing.wrong(address, time.monotonic())
        if wait is None:
            self._refused(address, error.message)
            return error
        return TooManyWrongKeys(
            f"Too many wrong keys from {address[:64]}: wait {wait:.0f} seconds.", retry_after=wait
        )

    def _cookie(self, scope: Scope) -> str | None:
        name = self._name(scope)
        for key, value in scope["headers"]:
            if key == b"cookie":
                for pair in value.decode("latin-1").split(";"):
                    said, _, content = pair.strip().partition("=")
                    if said == name:
                        return str(content)
        return None

    def _name(self, scope: Scope) -> str:
        # With this prefix no other host and no page by http can have set it (RFC 6265bis, 4.1.3).
        return f"__Host-{_COOKIE}" if self._names.secure(_host(scope)) else _COOKIE

    def _set_cookie(self, scope: Scope, value: str, seconds: int) -> Header:
        secure = "; Secure" if self._names.secure(_host(scope)) else ""
        flags = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
        return b"set-cookie", f"{self._name(scope)}={value}; {flags}".encode("latin-1")


def visit_of(request: Request) -> Visit:
    """Who comes; of a request that was let in."""
    visit = request.scope[VISIT]
    assert isinstance(visit, Visit)  # noqa: S101 - what the gate puts there
    return visit


class Least:
    """A dependency of routes: they take at least this role, and changes come from where they may.
    What the matrix of roles is made from.
    """

    def __init__(self, gate: Gate, role: OperatorRole) -> None:
        self._gate = gate
        self.role = role

    async def __call__(self, request: Request) -> None:
        """Raises ``Forbidden``."""
        visit = visit_of(request)
        if not visit.actor.role.may(self.role):
            raise Forbidden(
                f"This takes the role {self.role}, and {visit.actor.title} is {visit.actor.role}.",
                code="role",
            )
        await self._gate.check_change(request, visit)


def bare(host: str) -> str:
    """Without its port; empty for what is no host at all."""
    match = _HOST.match(host)
    return "" if match is None else match[1]


def _host(scope: Scope) -> str:
    """The ``Host`` of a request, in lower case; of two, neither."""
    said = [value for name, value in scope["headers"] if name == b"host"]
    return said[0].decode("latin-1").lower() if len(said) == 1 else ""


def _bearer(scope: Scope) -> str | None:
    value = header(scope, b"authorization")
    if value is None:
        return None
    scheme, _, presented = value.decode("latin-1").partition(" ")
    return presented.strip() if scheme.lower() == "bearer" else ""


async def _field(request: Request) -> str | None:
    """The token, of a form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    body = await request.body()
    return parse_qs(body.decode("utf-8", "replace")).get(CSRF_FIELD, [None])[0]
