"""``/v1/responses/…``: the responses that are kept, for whoever asked for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway.access.callers import Caller
from gateway.domain.kept import KeptResponse
from gateway.errors import InvalidRequest, ResponseNotFound, RouteNotFound
from gateway.http.other import caller_of
from gateway.http.responses import ResponseStore
from gateway.wire.openai_responses_kept import input_items, page

_PAGE = 20
_LONGEST_PAGE = 100


class KeptResponses(ResponseStore, Protocol):
    """All that a store of responses does: what a database must be able to do to be one. All of it
    raises ``Unavailable`` where the store cannot be read.
    """

    async def find(self, owner: str, id: str) -> KeptResponse | None: ...

    async def conversation(self, owner: str, id: str) -> Sequence[KeptResponse]:
        """A response and those before it, as far as they are there, oldest first; none where it is
        not there itself.
        """
        ...

    async def forget(self, owner: str, id: str) -> bool:
        """Delete a response; whether there was one."""
        ...


def router(store: KeptResponses, looked: Callable[[str, str, Caller], None]) -> APIRouter:
    """What has been kept can be seen, listed and deleted; nothing runs in the background. Who did
    so (``read``, ``deleted``), with which response, is told to ``looked``.
    """

    def owner(request: Request) -> str:
        return caller_of(request.scope).owner

    routes = APIRouter(prefix="/v1/responses", tags=["responses"])

    @routes.post("/compact", include_in_schema=False)
    async def compact() -> None:
        raise RouteNotFound(
            "POST /v1/responses/compact is not there: only the vendor could read what it gives. "
            "Send the items that are still needed as 'input'."
        )

    @routes.get("/{id}")
    async def retrieve(request: Request, id: str, stream: bool = False) -> Response:
        if stream:
            raise InvalidRequest(
                "'stream' is not supported here: a response that is kept is complete.",
                param="stream",
                code="unsupported_parameter",
            )
        found = await store.find(owner(request), id)
        if found is None:
            raise _not_found(id)
        looked("read", id, caller_of(request.scope))
        return Response(found.body, media_type="application/json")

    @routes.delete("/{id}")
    async def delete(request: Request, id: str) -> dict[str, Any]:
        if not await store.forget(owner(request), id):
            raise _not_found(id)
        looked("deleted", id, caller_of(request.scope))
        return {"id": id, "object": "response.deleted", "deleted": True}

    @routes.get("/{id}/input_items")
    async def listed(
        request: Request,
        id: str,
        limit: Annotated[int, Query(ge=1, le=_LONGEST_PAGE)] = _PAGE,
        order: Literal["asc", "desc"] = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> dict[str, Any]:
        conversation = await store.conversation(owner(request), id)
        if not conversation:
            raise _not_found(id)
        looked("read", id, caller_of(request.scope))
        items = input_items(conversation)
        return page(items, limit=limit, newest_first=order == "desc", after=after, before=before)

    @routes.post("/{id}/cancel")
    async def cancel(request: Request, id: str) -> None:
        if await store.find(owner(request), id) is None:
            raise _not_found(id)
        raise InvalidRequest("Cannot cancel a synchronous response.")

    return routes


def _not_found(id: str) -> ResponseNotFound:
    return ResponseNotFound(f"Response with id {id[:200]!r} not found.")
