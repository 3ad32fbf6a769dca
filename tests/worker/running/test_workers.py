"""Real worker processes on a real Redis with the real models."""

import os
import signal
from pathlib import Path

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from tests.conftest import running_redis
from tests.lectures import await_end, begin_lecture, events_of, feed_chunk, push_chunk
from tests.processes import children, eventually, worker_pids, workers
from tests.undisturbed import FRAMES, chunks
from tests.worker.perception.linear_network import write_adaptive_models
from worker.contract.jobs import QUEUE
from worker.contract.keys import LectureKeys
from worker.contract.messages import ClassEvent, EmotionEvent, EndEvent, Event
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.perception.manifest import MODELS, load_manifest


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


def is_safe_from(pid: int, number: signal.Signals) -> bool:
    """Whether the process has this signal blocked or ignored."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith(("SigBlk:", "SigIgn:"))]
    return any(mask >> (number - 1) & 1 for mask in masks)


def test_ctrl_c_while_models_load_ends_without_a_traceback(redis_url: str) -> None:
    """A terminal sends SIGINT to all processes of the command."""
    with workers(redis_url, 2) as supervisor:
        # The workers, which block it, and Python's tracker of shared memory, which soon ignores it instead.
        eventually(lambda: len(children(supervisor.pid)) > 2)
        assert all(is_safe_from(pid, signal.SIGINT) for pid in children(supervisor.pid))
        for pid in (*children(supervisor.pid), supervisor.pid):
            os.kill(pid, signal.SIGINT)
        said, _ = supervisor.communicate(timeout=60)
        assert supervisor.returncode == 0
    assert "Traceback" not in said


def test_on_sigterm_workers_exit_even_if_redis_is_gone() -> None:
    with running_redis() as (url, server), workers(url, 1) as supervisor:
        with redis.Redis.from_url(url) as client:
            eventually(lambda: worker_pids(client))
        server.kill()
        server.wait()
        supervisor.terminate()
        supervisor.communicate(timeout=60)  # far less than the time after which a supervisor kills
        assert supervisor.returncode == 0


def predicted_by(client: redis.Redis, keys: LectureKeys) -> set[tuple[str, ...]]:
    """The networks that were asked, for each face of the lecture."""
    streams = events_of(client, keys).values()
    return {tuple(event.models) for stream in streams for event in stream if isinstance(event, EmotionEvent)}


def test_the_chosen_models_and_ensemble_are_also_that_of_workers_that_replace_dead_ones(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    write_adaptive_models(tmp_path, "resnet50v2", threshold=0.0)
    keys = begin_lecture(client, "l")
    with workers(redis_url, 1, "--models", str(tmp_path), "--ensemble", "adaptive"):
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
    assert client.hget(keys.info, "published") == str(FRAMES).encode()
    assert predicted_by(client, keys) == {("resnet50v2",)}


def test_without_a_choice_the_manifest_says_whether_the_ensemble_is_adaptive(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    write_adaptive_models(tmp_path, "resnet50v2", threshold=0.0, default=True)
    for lecture, options, asked in (
        ("a", [], ("resnet50v2",)),
        ("b", ["--ensemble", "full"], ("mobilenetv2", "resnet50v2")),
    ):
        keys = begin_lecture(client, lecture)
        with workers(redis_url, 1, "--models", str(tmp_path), *options):
            for number, chunk in enumerate(chunks()):
                feed_chunk(client, keys, number, chunk)
            await_end(client, keys)
        assert predicted_by(client, keys) == {asked}


def test_frames_read_by_other_models_than_the_first_are_counted_logged_and_the_reason_of_the_end(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    keys = begin_lecture(client, "l")
    first, *others = chunks()
    with workers(redis_url, 1):
        feed_chunk(client, keys, 0, first)
        eventually(lambda: client.hget(keys.info, "published") == b"3")
    write_adaptive_models(tmp_path, "resnet50v2", threshold=0.0)
    with workers(redis_url, 1, "--models", str(tmp_path)) as supervisor:
        for number, chunk in enumerate(others, 1):
            feed_chunk(client, keys, number, chunk)
        await_end(client, keys)
        supervisor.terminate()
        log = supervisor.communicate(timeout=60)[0]

    stream = events_of(client, keys)["class"]
    versions = [event.model_version for event in stream if isinstance(event, ClassEvent)]
    assert versions == [load_manifest(MODELS).digest] * 3 + [load_manifest(tmp_path).digest] * (FRAMES - 3)
    end = stream[-1]
    assert isinstance(end, EndEvent)
    assert end.ledger.reasons == {"published:other_models": FRAMES - 3}
    assert end.ledger.balances
    assert end.reason == f"{FRAMES - 3} of {FRAMES} frames were read by other models than the first ones"
    assert "frames read by other models than the lecture's first" in log
    assert versions[0] in log
    assert versions[-1] in log
