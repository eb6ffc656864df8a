"""The clock: rules, waivers, keys and records go by it. Its time zone does not matter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from gateway.readiness.doctor.examined import Examined
from gateway.readiness.doctor.finding import Told, check, error, warning

SLACK = timedelta(minutes=5)
"""What clocks of machines that exchange files may be apart."""


@check("clocks")
def behind(found: Examined) -> Iterator[Told]:
    """A clock that stands before what has happened already: the last audit record, files of the
    policy, the day on which a designation was read, the installation.
    """
    later = [one for one in found.stamps if one.at > found.now + SLACK]
    if later:
        last = max(later, key=lambda one: one.at)
        yield error(
            "clock",
            f"it says {found.now:%Y-%m-%d %H:%M} UTC, and {last.what} is of "
            f"{last.at:%Y-%m-%d %H:%M} UTC: rules, waivers and keys begin and end too late",
            "set the clock, and have it kept (timedatectl set-ntp true)",
        )


@check("clocks")
def synchronised(found: Examined) -> Iterator[Told]:
    """A clock that nothing keeps, by what the kernel says."""
    if found.machine.synchronised is False:
        yield warning(
            "clock",
            "the kernel says that nothing synchronises it: it drifts, and dates of rules with it",
            "run chrony, systemd-timesyncd or ntpd here; in a container, on its host",
        )


CHECKS = (behind, synchronised)
