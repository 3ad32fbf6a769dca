"""Outcomes of chunks, and storing them as workers do, so that commits can be tested without perception."""

import redis

from tests.lectures import begin_lecture
from worker.contract.keys import LectureKeys
from worker.contract.messages import Ending, FrameStamp, InFlight, encode
from worker.outcome import DESCRIPTOR_BYTES, FaceObservation, FrameObservation, Outcome, ScoreVector

SAD: ScoreVector = (0.0, 0.0, 0.0, 0.0, 0.75, 0.0, 0.25)
FRAMES_PER_CHUNK = 2


def outcomes(count: int, people: int = 2) -> list[Outcome]:
    """A lecture of `count` chunks and its ending."""
    faces = [
        FaceObservation((300.0 * i, 100.0, 90.0, 90.0), 0.95, SAD, {"m": "sadness"}, bytes([i]) * DESCRIPTOR_BYTES)
        for i in range(people)
    ]
    frames = [FrameObservation(FrameStamp(n, n / 2), faces) for n in range(count * FRAMES_PER_CHUNK)]
    chunks = [Outcome(frames[n : n + FRAMES_PER_CHUNK]) for n in range(0, len(frames), FRAMES_PER_CHUNK)]
    return [*chunks, Outcome(ending=Ending("done"))]


def begin(client: redis.Redis, lecture: list[Outcome]) -> LectureKeys:
    """Begin the lecture `l`, with all chunks in flight and no outcome stored yet."""
    keys = begin_lecture(client, "l")
    put_in_flight(client, keys, lecture)
    return keys


def put_in_flight(client: redis.Redis, keys: LectureKeys, lecture: list[Outcome]) -> None:
    for number, outcome in enumerate(lecture):
        frames = 0 if outcome.ending else FRAMES_PER_CHUNK
        client.hset(keys.in_flight, str(number), encode(InFlight(frames, 1000)))
        client.hincrby(keys.info, "sampled", frames)


def store(client: redis.Redis, keys: LectureKeys, number: int, outcome: Outcome) -> None:
    client.set(keys.outcome(number), encode(outcome))
