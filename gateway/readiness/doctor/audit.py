"""The audit log: whether it is what was written, can be written on, and can be vouched for."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.finding import Told, check, error, info, warning


@check("audit")
def chain(found: Examined) -> Iterator[Told]:
    """The last lines of the log: each as it was written, behind the one before it, and its
    checkpoints signed by a key that is known.
    """
    fault = found.logged.fault
    if fault is not None:
        yield error(
            f"{fault.file}, seq {fault.seq}",
            f"it is not as it was written, by the check {fault.check.value!r}: expected "
            f"{fault.expected}, found {fault.found}",
            "keep the folder as it is, and see gateway audit verify (--checkpoint with a copy from "
            "elsewhere)",
        )


@check("audit")
def log_writable(found: Examined) -> Iterator[Told]:
    """Files of the log, or copies of its checkpoints, that this user cannot write."""
    refuse = found.settings.audit.on_failure == "refuse"
    for path in found.logged.unwritable:
        yield error(
            str(path),
            "it cannot be written: "
            + ("requests are refused then" if refuse else "what is decided is lost then"),
            "make it writable for the gateway's user, and see that the disk is there",
        )


@check("audit")
def log_keys(found: Examined) -> Iterator[Told]:
    """Keys that the log needs and that are none: of checkpoints, prompts and contents; a key that
    signed up to now and is gone.
    """
    logged = found.logged
    if logged.unusable:
        yield error("audit", logged.unusable, "the gateway does not start before this is mended")
    elif logged.signed_by and logged.signer != logged.signed_by:
        yield warning(
            "audit.signing_key",
            f"the key {logged.signed_by} signed the checkpoints so far, and "
            + (f"{logged.signer} would sign the next" if logged.signer else "it is gone"),
            f"if that was not meant, put it back; else keep {logged.signed_by}.pub, without which "
            "nobody can check the older ones",
        )


@check("audit")
def copies(found: Examined) -> Iterator[Told]:
    """A log of whose checkpoints no copy is kept elsewhere: that its end was cut off cannot be
    seen.
    """
    if found.logged.segments and found.settings.audit.checkpoints.copy_to is None:
        yield info(
            "audit.checkpoints.copy_to",
            "no copy of checkpoints is kept elsewhere: who can write here can cut off the log's "
            "end, or write it anew, unseen",
            "name a file on another machine (docs/audit.md)",
        )


CHECKS = (chain, log_writable, log_keys, copies)
