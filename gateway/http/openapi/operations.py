"""All operations of the data plane."""

from __future__ import annotations

from gateway.http.openapi.chats import CHATS
from gateway.http.openapi.listing import MODELS
from gateway.http.openapi.media import MEDIA
from gateway.http.openapi.operation import Operation
from gateway.http.openapi.responses import RESPONSES
from gateway.http.openapi.texts import TEXTS

OPERATIONS: tuple[Operation, ...] = (*CHATS, *RESPONSES, *TEXTS, *MEDIA, *MODELS)
