"""The error that goes back where no target served. Pure; the words are for whoever reads the app's
log, so they name targets, vendors and rules, and never an address or a key.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.events import Failed, FailureKind
from gateway.domain.plan import LeftOut, Omission, Plan, Step
from gateway.errors import (
    CapabilityMissing,
    ContextOverflow,
    GatewayError,
    PolicyDenied,
    Unavailable,
    VendorFault,
)
from gateway.routing.failover import TABLE, Move, Progress

_BY_POLICY = (LeftOut.POLICY, LeftOut.RISKY)
_NOT_THERE = (*_BY_POLICY, LeftOut.OFFLINE, LeftOut.NO_CREDENTIALS)
LASTING = frozenset({*_NOT_THERE, LeftOut.CAPABILITY, LeftOut.OTHER_VECTORS, LeftOut.DRILL})
"""Why a target is left out, however long one waits."""


def nothing_planned(plan: Plan, wait: float | None) -> GatewayError:
    """The error for a plan without steps. ``wait`` is in seconds, ``None`` where it is no use."""
    # What may not serve because its vectors are others is not what kept the request from being
    # served: at least the first choice is there beside.
    omitted = [one for one in plan.omitted if one.why is not LeftOut.OTHER_VECTORS]
    if all(omission.why in _BY_POLICY for omission in omitted):
        return _denied(omitted[0])
    listing = "; ".join(_line(omission) for omission in plan.omitted)
    lacking = [omission for omission in omitted if omission.why is LeftOut.CAPABILITY]
    if lacking and all(o.why in LASTING for o in omitted):
        missing = lacking[0].detail
        return CapabilityMissing(
            f"No target that may be used now supports: {missing} ({listing}).",
            param=missing.split(",")[0],
        )
    if all(omission.why in _NOT_THERE for omission in omitted):
        offline = any(omission.why is LeftOut.OFFLINE for omission in omitted)
        code = "offline" if offline else "no_credentials"
        return Unavailable(f"No target is usable: {listing}.", code=code)
    return Unavailable(f"No healthy target is left: {listing}.", retry_after=wait)


def after_failures(
    failures: Sequence[tuple[Step, Failed]], wait: float | None, omitted: Sequence[Omission] = ()
) -> GatewayError:
    """The error after all attempts failed, those ``omitted`` being none of them. ``wait`` as in
    ``nothing_planned``.
    """
    last = failures[-1][1]
    reaction = TABLE[Progress.NOTHING_SENT, last.kind]
    if reaction.move is Move.HAND_BACK:
        return VendorFault(
            last.message, status=last.status or 400, code=last.code, param=last.param
        )
    if reaction.move is Move.NEXT_OR_FAULT:
        if last.kind is FailureKind.INCAPABLE:
            return CapabilityMissing(last.message, param=last.param)
        return ContextOverflow(last.message, param=last.param or "messages")
    listing = "; ".join(f"{s.target.id}: {f.kind}" for s, f in failures)
    if last.kind is FailureKind.BUSY:
        return Unavailable(
            f"The local queue is full ({listing}).",
            code="queue_full",
            retry_after=last.retry_after or wait,
        )
    others = [_line(one) for one in omitted if one.why is LeftOut.OTHER_VECTORS]
    if others:
        listing = "; ".join((listing, *others))
        return Unavailable(f"Every target that may serve failed: {listing}.", retry_after=wait)
    return Unavailable(f"Every target failed: {listing}.", retry_after=wait)


def _denied(omission: Omission) -> PolicyDenied:
    decision = omission.decision
    words = [
        f"Policy does not allow {omission.target.id}: vendor {decision.vendor} is "
        f"{'denied' if omission.why is LeftOut.POLICY else 'risky'} by rule {decision.rule}"
    ]
    if decision.reason:
        words.append(f"reason: {decision.reason}")
    if decision.reference:
        words.append(f"reference: {decision.reference}")
    return PolicyDenied("; ".join(words) + ".", param="model")


def _line(omission: Omission) -> str:
    detail = f" ({omission.detail})" if omission.detail else ""
    return f"{omission.target.id}: {omission.why}{detail}"
