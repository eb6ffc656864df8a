"""Who else may read and write what the gateway goes by."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from gateway.readiness.doctor.examined import Examined, Guarded
from gateway.readiness.doctor.finding import Told, check, error, warning


@check("permissions")
def state(found: Examined) -> Iterator[Told]:
    """A state's folder that this user cannot write."""
    if found.state:
        yield error(
            str(found.settings.state.dir),
            f"the gateway cannot keep its state here: {found.state}",
            "make it writable for the gateway's user, or say another state.dir",
        )


@check("permissions")
def writable(found: Examined) -> Iterator[Told]:
    """Configuration, policy, state, keys and models that others (an error) or the group (a warning)
    can write.
    """
    for one in found.guarded:
        who = writers(one)
        if who and not _shut(one, found):
            say = error if who == "everybody" else warning
            yield say(
                str(one.path),
                f"{who} can write {one.what} (mode {stat.S_IMODE(one.mode):o})",
                f"chmod go-w {one.path}",
            )


@check("permissions")
def readable(found: Examined) -> Iterator[Told]:
    """Secrets that others or the group can read: keys, credentials, the audit log."""
    for one in found.guarded:
        bits = one.mode & (stat.S_IROTH if one.alone else stat.S_IRGRP | stat.S_IROTH)
        if one.secret and bits and not _shut(one, found):
            who = "everybody" if bits & stat.S_IROTH else "its group"
            yield warning(
                str(one.path),
                f"{who} can read {one.what} (mode {stat.S_IMODE(one.mode):o})",
                f"chmod go-rwx {one.path}",
            )


def _shut(one: Guarded, found: Examined) -> bool:
    """Whether nobody else comes to it, because a folder of ours above it lets nobody through."""
    above = {other.path: other for other in found.guarded}
    return any(
        parent in above and not above[parent].mode & (stat.S_IXGRP | stat.S_IXOTH)
        for parent in one.path.parents
    )


@check("permissions")
def owners(found: Examined) -> Iterator[Told]:
    """Files of another user than the one that looks, who is taken to be the gateway's; root's are
    well.
    """
    for one in found.guarded:
        if one.owner not in (0, found.user):
            yield warning(
                str(one.path),
                f"{one.what} is of the user {one.owner}, and this is {found.user}",
                "look as the gateway's own user (sudo -u), or chown it",
            )


def writers(one: Guarded) -> str:
    """Who beside its owner can write it; nobody where that is empty."""
    if one.mode & stat.S_IWOTH:
        return "everybody"
    return "its group" if one.mode & stat.S_IWGRP and not one.alone else ""


CHECKS = (state, writable, readable, owners)
