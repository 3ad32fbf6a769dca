"""Somebody kills the decoder of a running `producer ingest`, as a machine without memory does."""

import os
import signal
from pathlib import Path

import redis

from tests.faults.commands import finished, producing
from tests.faults.slides import published
from tests.processes import children, eventually
from tests.producer.committing import committing, register
from tests.producer.feeding.conftest import is_decoder
from worker.contract.keys import LectureKeys

KEYS = LectureKeys("l")


def decoders(pid: int) -> list[int]:
    return [child for child in children(pid) if is_decoder(child)]


def test_a_lecture_whose_decoder_is_killed_has_the_same_events(
    client: redis.Redis, redis_url: str, lecture_video: Path
) -> None:
    words = ["ingest", lecture_video, "--redis", redis_url, "--json", "--max-bytes", 1]
    with committing(redis_url), producing(*words, "--lecture", "whole") as ingest:
        assert finished(ingest)[0] == 0
    register(client)
    with producing(*words, "--lecture", "l") as ingest:
        eventually(lambda: decoders(ingest.pid))
        os.kill(decoders(ingest.pid)[0], signal.SIGKILL)  # while it is opened
        eventually(lambda: client.hlen(KEYS.in_flight))
        os.kill(decoders(ingest.pid)[0], signal.SIGTERM)  # while nobody commits, so that the feed waits for room
        with committing(redis_url):
            code, _, said = finished(ingest)
    lines = [
        f"producer: the decoder was killed ({name}); starting it again where it stood"
        for name in ("SIGKILL", "SIGTERM")
    ]
    assert (code, said) == (0, lines)
    assert published(client, "l") == published(client, "whole")
