"""Events are told apart by their very type."""

from __future__ import annotations

from typing import get_args

from gateway.domain.events import Continued, Event, Piece
from gateway.engine.attempt import Serving


def test_no_kind_of_event_is_another_too() -> None:
    kinds = {*get_args(Event), *get_args(Piece), Continued, Serving}
    assert len(kinds) == 11
    assert not [kind for kind in kinds if kind.__subclasses__()]
