"""What is written down that is no request: what changed what requests are decided by, and who did
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

GATEWAY = "gateway"
"""The actor of what nobody did."""
ANYBODY = "anybody"
"""The actor of what was done without a key, where there are none."""


class Happening(msgspec.Struct, frozen=True, omit_defaults=True):
    """``event`` is what happened, as ``policy.changed`` or ``vendor.banned``: what it is about
    before the point. ``actor`` is who did it (``operator:<key id>``, ``key:<id>``,
    ``local:<user>``); ``subject`` what it was done to: a vendor, a key's id, a model. No secret
    stands in it.
    """

    event: str
    at: datetime
    actor: str = GATEWAY
    subject: str = ""
    reason: str = ""
    detail: Mapping[str, str | int] = {}
