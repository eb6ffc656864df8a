"""The console's paths. Each works as a page of its own; the script shows some in a dialog."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from gateway.access.operators import OperatorRole
from gateway.domain.identity import Role
from gateway.errors import Forbidden, GatewayError, NotThere, Unauthenticated
from gateway.http.console.assets import FOREVER, Assets
from gateway.http.console.board import MINUTES, board
from gateway.http.console.chart import chart
from gateway.http.console.forms import BanAsked, DrillWanted, Form
from gateway.http.console.pages import HEADERS, Pages, elsewhere
from gateway.http.console.seats import Seat, Seats
from gateway.http.exchange import ClientGone
from gateway.http.operations import Operations
from gateway.http.seen import Standing

PREFIX = "/console"
ROLES = (
    (Role.CHANNEL, "it operates the endpoint that gets the prompt"),
    (Role.DEVELOPER, "it trained the model, whoever serves it"),
    (Role.LINEAGE, "the model derives from one of its models"),
    (Role.WEIGHTS, "its open weights, on our own hardware"),
)
USUAL = (Role.CHANNEL, Role.DEVELOPER)


class Console:
    """What the paths share."""

    def __init__(self, operations: Operations, seats: Seats) -> None:
        self.operations = operations
        self.seats = seats
        self.assets = Assets(f"{PREFIX}/static")
        self.pages = Pages(self.assets)

    async def sent(self, request: Request) -> tuple[Seat, Form]:
        """A form that an operator sent from a page of ours."""
        seat = await self.seats.changing(request, OperatorRole.OPERATOR)
        return seat, Form.of(await request.body())

    async def ban_page(self, seat: Seat, asked: BanAsked, problem: str = "") -> Response:
        """The form of a ban, with what it would move as things stand now."""
        seen = (await self.operations.policy()).revision
        preview = await self.operations.preview(asked.vendor, asked.roles or USUAL)
        return self.pages.page(
            "ban",
            409 if problem else 200,
            seat=seat,
            asked=asked,
            seen=seen,
            preview=preview,
            moved=[model for model in preview.models if model.moved],
            unmoved=[model.model for model in preview.models if not model.moved],
            roles=ROLES,
            problem=problem,
        )

    async def drill_page(self, seat: Seat, asked: DrillWanted, problem: str = "") -> Response:
        """The form of a drill, with what the ban would move that it practises."""
        preview = await self.operations.preview(asked.vendor, USUAL)
        return self.pages.page(
            "practise",
            409 if problem else 200,
            seat=seat,
            asked=asked,
            preview=preview,
            moved=[model for model in preview.models if model.moved],
            problem=problem,
        )

    async def unban_page(self, seat: Seat, vendor: str, problem: str = "") -> Response:
        for known in await self.operations.vendors():
            if known.vendor == vendor:
                status = 409 if problem else 200
                return self.pages.page("unban", status, seat=seat, vendor=known, problem=problem)
        raise NotThere(f"{vendor[:64]!r} is neither configured nor banned.")

    def refused(self, request: Request, error: GatewayError) -> Response:
        """What went wrong, as a page."""
        if isinstance(error, Unauthenticated):
            return elsewhere(f"{PREFIX}/login")
        title = "Not allowed" if isinstance(error, Forbidden) else "That cannot be done"
        seat = self.seats.seat(request)
        return self.pages.page(
            "problem", error.status, seat=seat, title=title, problem=error.message
        )


def router(operations: Operations, seats: Seats) -> APIRouter:
    console = Console(operations, seats)
    routes = APIRouter(prefix=PREFIX, include_in_schema=False, route_class=_telling(console))
    _doors(routes, console)
    _board(routes, console)
    _bans(routes, console)
    _models(routes, console)
    _drill(routes, console)
    return routes


def _telling(console: Console) -> type[APIRoute]:
    """Routes that know who asks, and whose errors are pages."""

    class Telling(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    answer = await handle(await console.seats.arrived(request))
                except GatewayError as error:
                    answer = console.refused(request, error)
                except ClientGone:
                    return Response()
                console.seats.renew(request, answer)
                return answer

            return handled

    return Telling


def _doors(routes: APIRouter, console: Console) -> None:
    seats = console.seats

    @routes.get("/login")
    async def login(request: Request) -> Response:
        if seats.seat(request) is not None:
            return elsewhere(PREFIX)
        return console.pages.page("login", any=seats.made(), problem="")

    @routes.post("/login")
    async def sign_in(request: Request) -> Response:
        answer = elsewhere(PREFIX)
        try:
            seats.sign_in(request, Form.of(await request.body()).one("key"), answer)
        except GatewayError as error:
            return console.pages.page(
                "login", error.status, any=seats.made(), problem=error.message
            )
        return answer

    @routes.post("/logout")
    async def sign_out(request: Request) -> Response:
        await seats.changing(request, OperatorRole.VIEWER)
        answer = elsewhere(f"{PREFIX}/login")
        seats.sign_out(request, answer)
        return answer

    @routes.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        asset = console.assets.find(name)
        if asset is None:
            raise NotThere("There is no such file.")
        headers = {**HEADERS, "cache-control": FOREVER, "etag": asset.etag}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        return Response(asset.content, headers=headers, media_type=asset.media_type)


def _board(routes: APIRouter, console: Console) -> None:
    @routes.get("")
    async def page(
        request: Request, banned: str = "", unbanned: str = "", drill: str = ""
    ) -> Response:
        seat = console.seats.taken(request)
        shown = await board(console.operations)
        standing = {vendor.vendor: vendor for vendor in shown.vendors}
        done = ""
        # An address is no proof: it is said only of what is so.
        if banned in standing and standing[banned].standing is Standing.BANNED:
            done = f"{standing[banned].title} is banned: policy {shown.policy.revision[:12]}"
        if unbanned in standing and standing[unbanned].standing is not Standing.BANNED:
            done = f"{standing[unbanned].title} is banned no more"
        if shown.drill is not None and shown.drill.drill.id == drill:
            state = "is over" if shown.drill.end else "runs"
            done = f"The drill of {shown.drill.drill.vendor} {state}"
        return console.pages.page(
            "console",
            seat=seat,
            may=seat.may(OperatorRole.OPERATOR),
            board=shown,
            chart=chart(shown.traffic),
            minutes=MINUTES,
            done=done,
        )


def _bans(routes: APIRouter, console: Console) -> None:
    operations, seats = console.operations, console.seats

    @routes.get("/ban")
    async def ban_form(request: Request, vendor: str = "") -> Response:
        seat = seats.taken(request, OperatorRole.OPERATOR)
        return await console.ban_page(seat, BanAsked(vendor.strip()))

    @routes.post("/ban")
    async def ban(request: Request) -> Response:
        seat, form = await console.sent(request)
        asked = BanAsked.of(form)
        if form.one("only") == "preview":
            return await console.ban_page(seat, asked)
        try:
            asked.check()
            if problem := await _overlooked(operations, asked):
                return await console.ban_page(seat, asked, problem)
            await operations.ban(
                asked.vendor,
                reason=asked.reason,
                authority=asked.authority or None,
                reference=asked.reference or None,
                until=asked.ends(),
                roles=asked.roles,
                actor=seat.actor,
            )
        except GatewayError as error:
            return await console.ban_page(seat, asked, error.message)
        return elsewhere(f"{PREFIX}?banned={quote(asked.vendor)}")

    @routes.get("/unban")
    async def unban_form(request: Request, vendor: str = "") -> Response:
        seat = seats.taken(request, OperatorRole.OPERATOR)
        return await console.unban_page(seat, vendor)

    @routes.post("/unban")
    async def unban(request: Request) -> Response:
        seat, form = await console.sent(request)
        vendor = form.one("vendor")
        try:
            await operations.unban(vendor, actor=seat.actor)
        except GatewayError as error:
            return await console.unban_page(seat, vendor, error.message)
        return elsewhere(f"{PREFIX}?unbanned={quote(vendor)}")


async def _overlooked(operations: Operations, asked: BanAsked) -> str:
    """What whoever bans has not seen of what it would do; empty where they have."""
    if asked.seen != (await operations.policy()).revision:
        return "The policy has changed since this was shown: look at it once more."
    stranded = (await operations.preview(asked.vendor, asked.roles)).stranded
    if stranded and not asked.accepted:
        return f"This would leave {', '.join(stranded)} with nothing: say that you want that."
    return ""


def _drill(routes: APIRouter, console: Console) -> None:
    operations, seats = console.operations, console.seats

    @routes.get("/drill")
    async def form(request: Request, vendor: str = "") -> Response:
        seat = seats.taken(request, OperatorRole.OPERATOR)
        return await console.drill_page(seat, DrillWanted(vendor.strip()))

    @routes.post("/drill")
    async def start(request: Request) -> Response:
        seat, form = await console.sent(request)
        wanted = DrillWanted.of(form)
        try:
            begun = await operations.drills.start(wanted.asked(), seat.actor)
        except GatewayError as error:
            return await console.drill_page(seat, wanted, error.message)
        return elsewhere(f"{PREFIX}?drill={quote(begun.drill.id)}")

    @routes.post("/drill/stop")
    async def stop(request: Request) -> Response:
        seat, _ = await console.sent(request)
        ended = await operations.drills.stop(seat.actor)
        return elsewhere(f"{PREFIX}?drill={quote(ended.drill.id)}")


def _models(routes: APIRouter, console: Console) -> None:
    operations, seats = console.operations, console.seats

    @routes.post("/load")
    async def load(request: Request) -> Response:
        seat, form = await console.sent(request)
        await operations.load(form.one("model"), actor=seat.actor)
        return elsewhere(PREFIX)

    @routes.get("/unload")
    async def unload_form(request: Request, model: str = "") -> Response:
        seat = seats.taken(request, OperatorRole.OPERATOR)
        for known in await operations.models():
            if known.name == model:
                return console.pages.page("unload", seat=seat, model=known, problem="")
        raise NotThere(f"{model[:64]!r} is no local model.")

    @routes.post("/unload")
    async def unload(request: Request) -> Response:
        seat, form = await console.sent(request)
        cut = form.one("cut") == "yes"
        await operations.unload(form.one("model"), cut=cut, actor=seat.actor)
        return elsewhere(PREFIX)
