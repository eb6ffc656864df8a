"""kill -9 of a model's worker, with the real model behind a gateway that was started as usual."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.end_to_end.running import RunningGateway, configuration
from tests.end_to_end.worker_killed import (
    SLOTS,
    STREAMS,
    config,
    kill_in_the_middle,
    next_worker,
    worker_of,
)
from tests.waiting import until


def test_sixteen_streams_and_no_worker(tmp_path: Path) -> None:
    """Who had nothing yet is answered by the next worker, and who had something gets the rest from
    it, in the same stream; the gateway never goes away.
    """
    with RunningGateway(tmp_path, config(), key=None) as gateway:
        streams, _ = kill_in_the_middle(gateway)
        untouched = [one for one in streams if not one.before]
        begun = [one for one in streams if one.before]
        assert len(streams) == STREAMS
        assert len(begun) >= SLOTS // 2
        assert untouched
        assert {one.end for one in streams} == {"length"}
        assert all(len(one.pieces) > one.before for one in begun)
        until(lambda: len(gateway.records()) == STREAMS)
        seams = [a["seam"] for r in gateway.records() for a in r["attempts"] if a["seam"]]
        assert len(seams) >= SLOTS // 2
        assert gateway.ask("own")[0] == 200
        assert gateway.get("/livez")[0] == 200


def test_a_request_that_comes_while_there_is_no_worker_waits_for_the_next(tmp_path: Path) -> None:
    """It is answered, without the app noticing more than a delay."""
    text = configuration(models="  own: {targets: [local/smollm2]}")
    with RunningGateway(tmp_path, text, key=None) as gateway:
        killed = worker_of(gateway)
        os.kill(killed, signal.SIGKILL)
        until(lambda: gateway.get("/readyz")[0] != 200 or worker_of(gateway) != killed)
        assert gateway.ask("own")[0] == 200


def test_a_model_that_keeps_dying_is_given_up_and_says_so(tmp_path: Path) -> None:
    """After three times in a minute: an answer at once that nothing is left, the rest goes on."""
    text = configuration(models="  own: {targets: [local/smollm2]}")
    with RunningGateway(tmp_path, text, key=None) as gateway:
        for _ in range(2):
            killed = worker_of(gateway)
            os.kill(killed, signal.SIGKILL)
            next_worker(gateway, killed)
        os.kill(worker_of(gateway), signal.SIGKILL)
        until(lambda: "crashed 3 times within 60 s" in gateway.output.read_text())
        status, answer, headers = gateway.ask("own")
        assert (status, answer["error"]["code"]) == (503, "no_healthy_target")
        assert "retry-after" in headers
        assert gateway.get("/livez")[0] == 200
