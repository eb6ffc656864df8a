"""What goes wrong on the way to a vendor, until the relay turns it into a ``Failed`` event."""

from __future__ import annotations

from gateway.domain.events import Failed, FailureKind


class AttemptFault(Exception):
    """One attempt cannot go on. The message holds no address, key or prompt; ``param`` is what of
    the request it is about.
    """

    kind = FailureKind.REFUSED

    def __init__(
        self, message: str, kind: FailureKind | None = None, *, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if kind is not None:
            self.kind = kind

    def failed(self) -> Failed:
        return Failed(self.kind, self.message, param=self.param)


class StaleConnection(AttemptFault):
    """A kept-alive connection was closed by the peer before a byte of the answer came."""

    kind = FailureKind.STALE_CONNECTION


class EgressRefused(AttemptFault):
    """The egress guard does not let this connection be made or used."""

    kind = FailureKind.EGRESS_REFUSED


class NoKeyLeft(AttemptFault):
    """Of the channel's keys none can be used now."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.message, failed.kind)
        self._failed = failed

    def failed(self) -> Failed:
        return self._failed


class Outdated(EgressRefused):
    """The channel was configured otherwise while the attempt was on its way."""

    kind = FailureKind.STALE_CONNECTION
