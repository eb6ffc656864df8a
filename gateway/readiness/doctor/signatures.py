"""Who may decide: signatures of the policy."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.finding import Told, check, error, warning
from gateway.readiness.doctor.permissions import writers


@check("signatures")
def signature(found: Examined) -> Iterator[Told]:
    """A policy that must be signed and is not, or by no trusted key; a signature that nobody asks
    for.
    """
    if found.ruled.unsigned:
        yield error(
            str(found.settings.policy.dir),
            found.ruled.unsigned,
            "nothing of this policy comes into force before it is signed: gateway policy sign, by "
            "whoever may decide",
        )
    if found.ruled.unasked:
        yield warning(
            str(found.settings.policy.dir),
            "it is signed, and the signature is not asked for: an altered policy comes into force",
            "say policy.require_signature: true, with the key in policy.public_keys",
        )


@check("signatures")
def unsigned(found: Examined) -> Iterator[Told]:
    """A policy that others than the gateway's user can write, and that need not be signed."""
    if found.settings.policy.require_signature:
        return
    folder = found.settings.policy.dir
    own = [one for one in found.guarded if folder == one.path or folder in one.path.parents]
    if any(writers(one) for one in own):
        yield warning(
            str(folder),
            "others can write the policy, and it need not be signed: they decide what is allowed",
            "chmod go-w, or have it signed: policy.require_signature (docs/policy.md)",
        )


CHECKS = (signature, unsigned)
