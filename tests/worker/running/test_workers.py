"""Real worker processes on a real Redis with the real models."""

import os
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from tests.conftest import running_redis
from tests.gallery import gallery_pages
from tests.lectures import await_end, begin_lecture, chunks_of, events_of, feed_lecture, push_chunk
from tests.processes import eventually, worker_pids, workers
from tests.worker.perception.linear_network import write_adaptive_models
from worker.contract.jobs import QUEUE
from worker.contract.keys import LectureKeys
from worker.contract.messages import ClassEvent, EmotionEvent, EndEvent, Event
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.perception.manifest import MODELS

PAGES = list(gallery_pages(4, 12, fps=2, size=(640, 360)))


def another_works(client: redis.Redis, killed: set[int]) -> bool:
    return bool(worker_pids(client)) and worker_pids(client).isdisjoint(killed)


@pytest.fixture(scope="module")
def undisturbed(redis_server: str) -> dict[str, list[Event]]:
    """The events of the lecture with one worker and no failures."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
        keys = feed_lecture(client, "l", chunks_of(PAGES, 3))
        with workers(redis_server, 1):
            await_end(client, keys)
        return events_of(client, keys)


def test_one_worker_publishes_every_frame_of_every_participant(undisturbed: dict[str, list[Event]]) -> None:
    assert set(undisturbed) == {"class", *(f"participant:p{n:02d}" for n in range(1, 5))}
    for name, stream in undisturbed.items():
        kind = ClassEvent if name == "class" else EmotionEvent
        assert [event.frame for event in stream if isinstance(event, kind)] == list(range(len(PAGES)))
        assert isinstance(stream[-1], EndEvent)
        assert stream[-1].ledger.balances


@pytest.mark.parametrize("processes", [2, 4])
def test_the_events_are_the_same_for_any_number_of_workers(
    client: redis.Redis, redis_url: str, undisturbed: dict[str, list[Event]], processes: int
) -> None:
    keys = feed_lecture(client, "l", chunks_of(PAGES, 3))
    with workers(redis_url, processes):
        await_end(client, keys)
    assert events_of(client, keys) == undisturbed


def test_the_events_are_the_same_when_all_chunks_are_enqueued_in_reverse_and_twice(
    client: redis.Redis, redis_url: str, undisturbed: dict[str, list[Event]]
) -> None:
    chunks = chunks_of(PAGES, 3)
    keys = begin_lecture(client, "l")
    for number, chunk in enumerate(chunks):
        push_chunk(client, keys, number, chunk)
    for number in [*reversed(range(len(chunks))), *range(len(chunks))]:
        enqueue_chunk(frame_queue(client), "l", number)
        # a second job with the same id replaces the first while that waits, so enqueue one with another id too
        Queue(QUEUE, connection=client, serializer=JSONSerializer).enqueue_call("worker.job.process", ("l", number))
    with workers(redis_url, 2):
        await_end(client, keys)
        eventually(lambda: frame_queue(client).count == 0)
    assert events_of(client, keys) == undisturbed


def test_killed_workers_are_replaced_and_their_chunks_are_published_once(
    client: redis.Redis, redis_url: str, undisturbed: dict[str, list[Event]]
) -> None:
    keys = begin_lecture(client, "l")
    chunks = chunks_of(PAGES, 3)
    with workers(redis_url, 1):
        eventually(lambda: worker_pids(client))
        for number, chunk in enumerate(chunks):
            push_chunk(client, keys, number, chunk)
            enqueue_chunk(frame_queue(client), "l", number)
            if number < 3:
                eventually(lambda: frame_queue(client).count == 0)
                killed = worker_pids(client)
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
                eventually(partial(another_works, client, killed))
        await_end(client, keys)
    assert events_of(client, keys) == undisturbed


def test_on_sigterm_workers_finish_their_jobs_and_exit(client: redis.Redis, redis_url: str) -> None:
    keys = begin_lecture(client, "l")
    with workers(redis_url, 2) as supervisor:
        eventually(lambda: len(worker_pids(client)) == 2)
        for number, chunk in enumerate(chunks_of(PAGES, 12)[:1]):
            push_chunk(client, keys, number, chunk)
            enqueue_chunk(frame_queue(client), "l", number)
        eventually(lambda: frame_queue(client).count == 0)
        supervisor.terminate()
        supervisor.communicate(timeout=60)
        assert supervisor.returncode == 0
    assert client.hget(keys.info, "published") == b"12"
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
    chunks = chunks_of(PAGES[:4], 2)
    keys = begin_lecture(client, "l")
    with workers(redis_url, 1, "--ensemble", "adaptive", cwd=package):
        eventually(lambda: worker_pids(client))
        for number, chunk in enumerate(chunks):
            push_chunk(client, keys, number, chunk)
            enqueue_chunk(frame_queue(client), "l", number)
            if number == 0:
                eventually(lambda: client.hget(keys.info, "published") == b"2")
                killed = worker_pids(client)
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
                eventually(partial(another_works, client, killed))
        await_end(client, keys)
    emotions = [
        event for stream in events_of(client, keys).values() for event in stream if isinstance(event, EmotionEvent)
    ]
    assert {event.frame for event in emotions} == set(range(4))
    assert {tuple(event.models) for event in emotions} == {("resnet50v2",)}


def test_workers_end_when_their_supervisor_is_killed(client: redis.Redis, redis_url: str) -> None:
    with workers(redis_url, 1) as supervisor:
        eventually(lambda: worker_pids(client))
        (pid,) = worker_pids(client)
        supervisor.kill()
        eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])


def test_a_forgotten_lecture_leaves_nothing_behind(client: redis.Redis, redis_url: str) -> None:
    forgotten = feed_lecture(client, "gone", chunks_of(PAGES[:4], 2))
    client.delete(*client.scan_iter(forgotten.everything), forgotten.info)
    kept = feed_lecture(client, "kept", chunks_of(PAGES[:4], 2))
    with workers(redis_url, 1):
        await_end(client, kept)
    assert list(client.scan_iter(LectureKeys("gone").info + "*")) == []
