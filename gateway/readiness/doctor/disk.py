"""Disks: what is left, and for how long at the rate at which the audit log grows."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.readiness.doctor.examined import GB, Examined, Volume
from gateway.readiness.doctor.finding import Told, check, error, info, warning

MB = 1_000_000
LEAST, LITTLE = 200 * MB, 2 * GB
"""Free bytes below which the state may not be written any more, and below which somebody should
look.
"""
FEW = 0.05
"""Of all inodes."""
DAY = 86400.0
FEWEST_DAYS, FEW_DAYS = 2, 14
SHORTEST = 3600.0
"""Seconds of the log by which nothing is said of a day."""


@check("disk")
def space(found: Examined) -> Iterator[Told]:
    """Less than 2 GB free where state, audit log, contents and models lie (an error: less than 200
    MB), or less than 5 % of inodes.
    """
    for one in found.volumes:
        if one.free < LITTLE:
            say = error if one.free < LEAST else warning
            yield say(
                str(one.path),
                f"{one.free / GB:.2f} GB are free, for {', '.join(one.uses)}",
                "make room, or move it to a larger disk (state.dir); audit.keep bounds the log",
            )
        if one.inodes and one.free_inodes < FEW * one.inodes:
            yield warning(
                str(one.path),
                f"{one.free_inodes} of {one.inodes} inodes are free, for {', '.join(one.uses)}",
                "delete small files that nobody needs, or move the state (state.dir)",
            )


@check("disk")
def growth(found: Examined) -> Iterator[Told]:
    """An audit log that fills its disk within 14 days (an error: 2) at the rate of its segments, or
    that may grow beyond what is free.
    """
    volume = _of_the_log(found)
    rate = daily(found)
    if volume is None:
        return
    keep = found.settings.audit.keep
    room = None if keep.max_mb is None else int(keep.max_mb * MB) - found.logged.size
    if keep.max_age is not None and rate:
        aged = int(rate * float(keep.max_age) / DAY) - found.logged.size
        room = aged if room is None else min(room, aged)
    if room is not None:
        if room > volume.free:
            yield warning(
                "audit.keep",
                f"the log may grow by another {room / GB:.1f} GB before anything is deleted, and "
                f"{volume.free / GB:.1f} GB are free",
                "lower audit.keep.max_mb, or make room",
            )
    elif rate and volume.free / rate < FEW_DAYS:
        days = volume.free / rate
        say = error if days < FEWEST_DAYS else warning
        yield say(
            str(volume.path),
            f"at {rate / MB:.0f} MB a day the audit log fills the disk in {days:.1f} days, and "
            "nothing of it is ever deleted",
            "say audit.keep (max_age, max_mb), or take older segments elsewhere",
        )
    elif rate:
        yield info(
            "audit",
            f"the log grows by {rate / MB:.1f} MB a day, and nothing of it is ever deleted: there "
            f"is room for {volume.free / rate:.0f} days",
            "say audit.keep (max_age, max_mb), if it is not to be kept for ever",
        )


def daily(found: Examined) -> float | None:
    """Bytes a day that the log grows by; ``None`` where there is too little of it to say."""
    logged = found.logged
    if logged.began is None or logged.ended is None:
        return None
    seconds = (logged.ended - logged.began).total_seconds()
    return None if seconds < SHORTEST else logged.size / seconds * DAY


def _of_the_log(found: Examined) -> Volume | None:
    return next((one for one in found.volumes if "the audit log" in one.uses), None)


CHECKS = (space, growth)
