"""Real worker processes on a real Redis with the real networks."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import msgspec
import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer
from typer.testing import CliRunner

import worker.cli
from tests.conftest import running_redis
from tests.gallery import gallery_pages
from tests.lectures import await_end, begin_lecture, chunks_of, events_of, feed_lecture, push_chunk
from tests.processes import eventually, workers
from tests.scraping import counted
from tests.worker.perception.linear_network import write_linear_models
from worker.contract.jobs import QUEUE
from worker.contract.keys import LectureKeys
from worker.contract.messages import ClassEvent, EmotionEvent, EndEvent, Event
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.perception.manifest import MODELS, Adaptive, write_manifest
from worker.perception.perception import Perception

PAGES = list(gallery_pages(4, 12, fps=2, size=(640, 360)))


def worker_pids(client: redis.Redis) -> set[int]:
    return {int(pid) for key in client.smembers("rq:workers") if (pid := client.hget(key, "pid"))}


def someone_else_works(client: redis.Redis, killed: set[int]) -> bool:
    return bool(worker_pids(client)) and worker_pids(client).isdisjoint(killed)


@pytest.fixture(scope="module")
def undisturbed(redis_server: str) -> dict[str, list[Event]]:
    """The events of the lecture when one worker does it alone."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
        keys = feed_lecture(client, "l", chunks_of(PAGES, 3))
        with workers(redis_server, 1):
            await_end(client, keys)
        return events_of(client, keys)


def test_one_worker_tells_every_frame_of_every_participant(undisturbed: dict[str, list[Event]]) -> None:
    assert set(undisturbed) == {"class", *(f"participant:p{n:02d}" for n in range(1, 5))}
    for name, stream in undisturbed.items():
        kind = ClassEvent if name == "class" else EmotionEvent
        assert [event.frame for event in stream if isinstance(event, kind)] == list(range(len(PAGES)))
        assert isinstance(stream[-1], EndEvent)
        assert stream[-1].ledger.balances


@pytest.mark.parametrize("processes", [2, 4])
def test_the_events_are_the_same_whatever_the_number_of_workers(
    client: redis.Redis, redis_url: str, undisturbed: dict[str, list[Event]], processes: int
) -> None:
    keys = feed_lecture(client, "l", chunks_of(PAGES, 3))
    with workers(redis_url, processes):
        await_end(client, keys)
    assert events_of(client, keys) == undisturbed


def test_the_events_are_the_same_when_the_last_chunk_is_asked_for_first_and_each_one_twice(
    client: redis.Redis, redis_url: str, undisturbed: dict[str, list[Event]]
) -> None:
    chunks = chunks_of(PAGES, 3)
    keys = begin_lecture(client, "l")
    for number, chunk in enumerate(chunks):
        push_chunk(client, keys, number, chunk)
    for number in [*reversed(range(len(chunks))), *range(len(chunks))]:
        enqueue_chunk(frame_queue(client), "l", number)
        # a second job under the same id replaces the first only while it waits: ask under another as well
        Queue(QUEUE, connection=client, serializer=JSONSerializer).enqueue_call("worker.job.process", ("l", number))
    with workers(redis_url, 2):
        await_end(client, keys)
        eventually(lambda: frame_queue(client).count == 0)
    assert events_of(client, keys) == undisturbed


def test_killed_workers_are_replaced_and_their_chunks_are_done_once(
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
                eventually(partial(someone_else_works, client, killed))
        await_end(client, keys)
    assert events_of(client, keys) == undisturbed


def test_frames_that_are_no_pictures_fail_and_the_others_are_published(client: redis.Redis, redis_url: str) -> None:
    chunks = chunks_of(PAGES[:6], 2)
    chunks[1].jpegs[0] = b"not a picture"
    keys = feed_lecture(client, "l", chunks)
    with workers(redis_url, 1):
        await_end(client, keys)
    end = events_of(client, keys)["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published, end.ledger.reasons) == ("failed", 5, {"failed:bad_picture": 1})


def test_told_to_stop_workers_finish_the_job_in_hand_and_leave(client: redis.Redis, redis_url: str) -> None:
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


def test_workers_leave_when_they_are_told_to_though_redis_is_gone() -> None:
    with running_redis() as (url, server), workers(url, 1) as supervisor:
        with redis.Redis.from_url(url) as client:
            eventually(lambda: worker_pids(client))
        server.kill()
        server.wait()
        supervisor.terminate()
        supervisor.communicate(timeout=60)  # far less than what a supervisor waits before it kills
        assert supervisor.returncode == 0


def worker_package(folder: Path, first: str, threshold: float) -> Path:
    """A copy of the package `worker` in `folder` that ships two small networks and a threshold."""
    shutil.copytree(MODELS.parent, folder / "worker", ignore=shutil.ignore_patterns("models", "__pycache__"))
    models = folder / "worker" / "models"
    models.mkdir()
    manifest = write_linear_models(models, {"mobilenetv2": 1, "resnet50v2": 2})
    write_manifest(msgspec.structs.replace(manifest, adaptive=Adaptive(first, 1.0, threshold)), models)
    return folder


def test_the_ensemble_that_was_chosen_is_that_of_every_worker_also_of_those_that_replace_dead_ones(
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
                eventually(partial(someone_else_works, client, killed))
        await_end(client, keys)
    told = [event for stream in events_of(client, keys).values() for event in stream if isinstance(event, EmotionEvent)]
    assert {event.frame for event in told} == set(range(4))
    assert {tuple(event.models) for event in told} == {("resnet50v2",)}


def test_perception_counts_its_faces_and_those_that_all_networks_were_asked_about(tmp_path: Path) -> None:
    chunk = chunks_of(PAGES[:2], 2)[0]
    for threshold, escalated in ((0.0, 0), (1.0, 8)):
        faces, escalations = counted("faces"), counted("escalations")
        models = worker_package(tmp_path / str(threshold), "mobilenetv2", threshold) / "worker" / "models"
        perception = Perception(models, "adaptive")
        observations = perception.observe(chunk)
        frames = observations.frames
        assert [len(frame.faces) for frame in frames] == [4, 4]
        assert (observations.faces, observations.escalated) == (8, escalated)
        assert (counted("faces"), counted("escalations")) == (faces + 8, escalations + escalated)
        assert {len(face.models) for frame in frames for face in frame.faces} == {2 if escalated else 1}


def test_the_adaptive_ensemble_of_models_without_threshold_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_linear_models(tmp_path, {"mobilenetv2": 1})
    monkeypatch.setattr(worker.cli, "MODELS", tmp_path)
    refused = CliRunner().invoke(worker.cli.app, ["run", "--redis", "redis://127.0.0.1:1", "--ensemble", "adaptive"])
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("worker: ")
    assert "no threshold for the adaptive ensemble; fit one with `training ensemble`" in line


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


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis://127.0.0.1:1", "cannot reach Redis at redis://127.0.0.1:1"),
        ("nonsense", "must specify one of the following schemes"),
    ],
)
def test_a_redis_that_cannot_be_used_is_one_clear_line(url: str, complaint: str) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "worker", "run", "--redis", url], capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 2
    assert complaint in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
