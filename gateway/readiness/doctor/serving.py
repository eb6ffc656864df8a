"""The server: what it would run with, and what runs already."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from gateway import __version__
from gateway.processes.interpreter import Build
from gateway.readiness.doctor.examined import GB, Examined
from gateway.readiness.doctor.finding import Told, check, error, info, warning

FILES = 4096
"""Files below which a process is soon out of them."""
A_STREAM = 2
"""Files that a stream keeps open: the app's connection, and the target's."""
BODIES = 64
"""Requests of the greatest size that come at one time."""
SWAPPED = GB
"""Bytes that are swapped out by more than chance."""


@check("server")
def workers(found: Examined) -> Iterator[Told]:
    """More serving processes than cores, beside local models that compute."""
    count, cores = found.settings.server.workers, found.machine.cores
    if count > max(1.0, cores):
        yield warning(
            "server.workers",
            f"{count} serving processes, and {cores:g} cores: they wait for each other, and for "
            "local models",
            f"say server.workers: {max(1, int(cores))} or fewer",
        )


@check("server")
def descriptors(found: Examined) -> Iterator[Told]:
    """A limit of open files that streams would soon come to."""
    most = found.machine.descriptors
    if most < FILES:
        yield warning(
            "ulimit -n",
            f"a process may have {most} files open: no more than {most // A_STREAM} streams at "
            "one time",
            "raise it (ulimit -n 65536; LimitNOFILE= of systemd; --ulimit nofile= of Docker)",
        )


@check("server")
def python(found: Examined) -> Iterator[Told]:
    """A Python that was built without optimisations, or (a warning) for debugging."""
    subject = f"Python {platform.python_version()}"
    advice = (
        "remove .venv and make setup: it takes the best Python that is there; docs/install.md says "
        "which are good, and how one is compiled"
    )
    if found.machine.python is Build.PLAIN:
        yield info(
            subject,
            f"it was {Build.PLAIN.value}: a relayed request takes about a tenth more of the "
            "processor's time",
            advice,
        )
    elif found.machine.python is Build.DEBUG:
        yield warning(subject, f"it was {Build.DEBUG.value}: it is far slower than others", advice)


@check("server")
def bodies(found: Examined) -> Iterator[Told]:
    """Requests so large that few of them at one time fill the memory."""
    size = float(found.settings.server.max_body_mb) * (1 << 20)
    if size * BODIES > found.machine.memory / 2:
        yield warning(
            "server.max_body_mb",
            f"{BODIES} requests of {found.settings.server.max_body_mb:g} MB at one time take half "
            f"of the {found.machine.memory / GB:.1f} GB that there are, or more",
            "lower server.max_body_mb to what apps send, or limit keys (docs/limits.md)",
        )


@check("server")
def deadline(found: Examined) -> Iterator[Told]:
    """A deadline that one vendor who hangs uses up, so that nobody after it is tried."""
    upstream, deadline = found.settings.upstream, found.settings.server.deadline
    waits = {
        "answer_timeout": upstream.answer_timeout,
        "first_token_timeout": upstream.first_token_timeout,
    }
    for word, seconds in waits.items():
        if deadline <= seconds:
            yield warning(
                f"upstream.{word}",
                f"a target is waited for {seconds:g} s, and a request has {deadline:g} s in all: "
                "where the first hangs, the local one is never tried",
                f"raise server.deadline, or lower upstream.{word}",
            )


@check("server")
def swap(found: Examined) -> Iterator[Told]:
    """More than 1 GB swapped out, where local models must answer in time."""
    if found.local and found.machine.swap > SWAPPED:
        yield warning(
            "swap",
            f"{found.machine.swap / GB:.1f} GB are swapped out: a model whose memory is there "
            "answers at the speed of the disk",
            "give the machine memory, or load less: gateway models fit reckons",
        )


@check("server")
def port(found: Examined) -> Iterator[Told]:
    """An address to listen on that cannot be had, while no gateway runs on this state."""
    for address, why in found.running.taken.items():
        yield error(
            address,
            f"the gateway cannot listen there: {why}",
            "stop who does, or say another server.port (admin.port): ss -ltnp shows who it is",
        )


@check("server")
def in_force(found: Examined) -> Iterator[Told]:
    """A gateway that runs with another policy or configuration than its files have, and why."""
    policy, running = found.ruled.policy, found.running
    for one in running.processes:
        for what, problem in (
            ("policy", one.problem),
            ("configuration", one.configuration_problem),
        ):
            if problem:
                yield error(
                    f"process {one.pid}",
                    f"it does not run with the {what} on disk: {problem}",
                    "correct it: it is taken within a second",
                )
        if policy is not None and not one.problem and one.revision != policy.revision:
            yield warning(
                f"process {one.pid}",
                f"it runs with policy {one.revision[:12]}, the files are {policy.revision[:12]}",
                "look again in a second; if that stays, see its log and restart it",
            )
        if not one.configuration_problem and one.configuration != running.revision:
            yield warning(
                f"process {one.pid}",
                f"it runs with configuration {one.configuration[:12]}, and the file is "
                f"{running.revision[:12]}",
                "look again in a second; if that stays, see its log and restart it",
            )


@check("server")
def background(found: Examined) -> Iterator[Told]:
    """Work in the background of a gateway that runs, which has failed within the last minute."""
    works = {work: said for one in found.running.processes for work, said in one.background.items()}
    for work, said in sorted(works.items()):
        yield error(
            work,
            f"it failed in the background, and was begun again: {said}",
            "see the log of the gateway for background.failed: gateway status shows whether it "
            "goes on",
        )


@check("server")
def version(found: Examined) -> Iterator[Told]:
    """A gateway that runs in another version than the one that is installed."""
    others = {one.version for one in found.running.processes} - {__version__}
    if others:
        yield warning(
            "version",
            f"{', '.join(sorted(others))} runs, and {__version__} is installed",
            "restart the gateway when it suits",
        )


CHECKS = (workers, descriptors, python, bodies, deadline, swap, port, in_force, background, version)
