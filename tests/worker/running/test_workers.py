"""Real worker processes on a real Redis with the real models."""

import os
import shutil
import signal
from pathlib import Path

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from tests.conftest import running_redis
from tests.lectures import await_end, begin_lecture, events_of, feed_chunk, push_chunk
from tests.processes import eventually, worker_pids, workers
from tests.undisturbed import FRAMES, chunks
from tests.worker.perception.linear_network import write_adaptive_models
from worker.contract.jobs import QUEUE
from worker.contract.messages import ClassEvent, EmotionEvent, EndEvent, Event
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.perception.manifest import MODELS


def test_every_frame_of_every_participant_is_published(expected: dict[str, list[Event]]) -> None:
    assert set(expected) == {"class", *(f"participant:p{n:02d}" for n in range(1, 5))}
    for name, stream in expected.items():
        kind = ClassEvent if name == "class" else EmotionEvent
        assert [event.frame for event in stream if isinstance(event, kind)] == list(range(FRAMES))
        assert isinstance(stream[-1], EndEvent)
        assert stream[-1].ledger.balances


def test_four_workers_publish_the_same_events_even_if_all_chunks_are_enqueued_in_reverse_and_twice(
    client: redis.Redis, redis_url: str, expected: dict[str, list[Event]]
) -> None:
    keys = begin_lecture(client, "l")
    for number, chunk in enumerate(chunks()):
        push_chunk(client, keys, number, chunk)
    for number in [*reversed(range(len(chunks()))), *range(len(chunks()))]:
        enqueue_chunk(frame_queue(client), "l", number)
        # a second job with the same id replaces the first while that waits, so enqueue one with another id too
        Queue(QUEUE, connection=client, serializer=JSONSerializer).enqueue_call("worker.job.process", ("l", number))
    with workers(redis_url, 4):
        await_end(client, keys)
        eventually(lambda: frame_queue(client).count == 0)
    assert events_of(client, keys) == expected


def test_on_sigterm_workers_finish_their_jobs_and_exit(client: redis.Redis, redis_url: str) -> None:
    keys = begin_lecture(client, "l")
    with workers(redis_url, 2) as supervisor:
        eventually(lambda: len(worker_pids(client)) == 2)
        feed_chunk(client, keys, 0, chunks()[0])
        eventually(lambda: frame_queue(client).count == 0)
        supervisor.terminate()
        supervisor.communicate(timeout=60)
        assert supervisor.returncode == 0
    assert client.hget(keys.info, "published") == b"3"
    assert client.smembers("rq:workers") == set()


def test_on_sigterm_workers_exit_even_if_redis_is_gone() -> None:
    with running_redis() as (url, server), workers(url, 1) as supervisor:
        with redis.Redis.from_url(url) as client:
            eventually(lambda: worker_pids(client))
        server.kill()
        server.wait()
        supervisor.terminate()
        supervisor.communicate(timeout=60)  # far less than the time after which a supervisor kills
        assert supervisor.returncode == 0


def worker_package(folder: Path, first: str, threshold: float) -> Path:
    """A copy of the package `worker` in `folder`, with two small models and a threshold."""
    shutil.copytree(MODELS.parent, folder / "worker", ignore=shutil.ignore_patterns("models", "__pycache__"))
    models = folder / "worker" / "models"
    models.mkdir()
    write_adaptive_models(models, first, threshold)
    return folder


def test_the_chosen_ensemble_is_also_that_of_workers_that_replace_dead_ones(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    package = worker_package(tmp_path, "resnet50v2", threshold=0.0)
    keys = begin_lecture(client, "l")
    with workers(redis_url, 1, "--ensemble", "adaptive", cwd=package):
        eventually(lambda: worker_pids(client))
        first, *others = chunks()
        feed_chunk(client, keys, 0, first)
        eventually(lambda: client.hget(keys.info, "published") == b"3")
        killed = worker_pids(client)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: worker_pids(client) and worker_pids(client).isdisjoint(killed))
        for number, chunk in enumerate(others, 1):
            feed_chunk(client, keys, number, chunk)
        await_end(client, keys)
    emotions = [
        event for stream in events_of(client, keys).values() for event in stream if isinstance(event, EmotionEvent)
    ]
    assert {event.frame for event in emotions} == set(range(FRAMES))
    assert {tuple(event.models) for event in emotions} == {("resnet50v2",)}
