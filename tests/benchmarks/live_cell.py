"""Measures one cell at small scale for `ten_thousand`: a worker on one core, Redis over TCP with its append-only file.

Lectures are fed by the producer's own live feed, at 1 frame per second, and followed as `producer ingest` does.
"""

import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import redis

from producer.feeding.feed import Feed
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.starting import NewLecture
from producer.reading.follow import follow
from producer.reading.lectures import forget
from tests.benchmarks.ruler import CORES, SIZE, Terms, lecture, on_cores, warm_workers
from tests.conftest import running_redis
from tests.gallery import render_gallery
from tests.lectures import begin_lecture, push_chunk
from tests.processes import worker_pids
from tests.producer.committing import committing
from tests.streams import free_port
from worker.contract.connection import connect
from worker.contract.messages import Chunk, ChunkHead, ClassEvent, FrameStamp
from worker.contract.queue import enqueue_chunk, frame_queue

FPS = 1.0
WARM = 4
"""Frames that are not counted: the first ones load what is loaded once."""

FILM_SECONDS = 12.0


class Service(NamedTuple):
    """A worker's seconds for each of some frames, on its processor and by the clock, and the bytes a frame leaves."""

    processor: list[float]
    clock: list[float]
    bytes_kept: float


class Load(NamedTuple):
    """What Redis does: seconds of its thread, commands, bytes in, out, and to disk."""

    processor_s: float
    commands: float
    bytes_in: float
    bytes_out: float
    bytes_to_disk: float


class Watched(NamedTuple):
    """Live lectures: seconds from each frame's time to its event, and what a frame costs Redis beside its idle load."""

    delays: list[float]
    load: Load


@contextmanager
def cell() -> Iterator[redis.Redis]:
    """A worker on one core, and a Redis as deployed. This process and Redis keep to the other core."""
    with on_cores(CORES[1:] or CORES), warm_workers(1, CORES[:1]) as (by_socket, _):
        port = free_port()
        by_socket.config_set("port", port)
        by_socket.config_set("appendonly", "yes")
        by_socket.config_set("auto-aof-rewrite-percentage", 0)  # its size counts what was written
        with connect(f"redis://127.0.0.1:{port}") as client:
            yield client


def gallery(terms: Terms, people: int) -> list[SampledFrame]:
    """Sampled frames of a gallery of `people`."""
    with lecture(terms._replace(people=people, seconds=FILM_SECONDS)) as film:
        return film.frames


def service_times(client: redis.Redis, frames: list[SampledFrame]) -> Service:
    """Let the worker read the frames, one chunk each as in a live lecture, all of which wait in its queue."""
    (worker,) = worker_pids(client)
    keys, queue = begin_lecture(client, f"service-{uuid4().hex[:6]}"), frame_queue(client)
    for n, frame in enumerate(frames):
        push_chunk(client, keys, n, Chunk(ChunkHead([FrameStamp(n, n / FPS)], *SIZE), [frame.jpeg]))
    moments, kept = [], []
    with client.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(keys.class_)
        for part in (range(WARM), range(WARM, len(frames))):
            for n in part:
                enqueue_chunk(queue, keys.lecture, n)
            for _ in part:
                while subscription.get_message(timeout=60.0) is None:
                    pass
                moments.append((_processor_s(worker), time.monotonic()))
            streams = [key for key in client.scan_iter(keys.everything) if client.type(key) == b"stream"]
            kept.append(sum(client.memory_usage(key, samples=0) or 0 for key in streams))
    forget(client, keys.lecture)
    steps = list(zip(moments[WARM:], moments[WARM + 1 :], strict=False))
    processor, clock = ([b[n] - a[n] for a, b in steps] for n in (0, 1))
    return Service(processor, clock, (kept[1] - kept[0]) / (len(frames) - WARM))


def watch(client: redis.Redis, frames: list[SampledFrame], offsets: Sequence[float], seconds: int) -> Watched:
    """Run live lectures, each with its offset in seconds, and follow each."""
    idle = idle_load(client)
    begin = time.monotonic() + 1.0
    delays: list[float] = []
    run = uuid4().hex[:6]
    names = [f"live-{run}-{n}" for n in range(len(offsets))]
    cameras = [Camera(frames, seconds, begin + offset) for offset in offsets]
    lives = list(zip(names, cameras, strict=True))
    threads = [threading.Thread(target=_run, args=(client, name, camera, delays)) for name, camera in lives]
    before = _counted(client)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    after = _counted(client)
    load = Load(*((b - a - took * i) / len(delays) for a, b, i in zip(before, after, idle, strict=True)))
    for name in names:
        forget(client, name)
    return Watched(delays, load)


def idle_load(client: redis.Redis, seconds: float = 5.0) -> Load:
    """What a worker without work costs Redis in a second."""
    before = _counted(client)
    time.sleep(seconds)
    return Load(*((b - a) / seconds for a, b in zip(before, _counted(client), strict=True)))


class Camera:
    """A live source that gives a frame each second from `begin` on, by the monotonic clock."""

    live = True
    shortfall = None

    def __init__(self, given: list[SampledFrame], seconds: int, begin: float) -> None:
        self._given = given
        self._count = round(seconds * FPS)
        self.begin = begin

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        for n in range(self._count):
            time.sleep(max(0.0, self.begin + n / FPS - time.monotonic()))
            yield SampledFrame(n, n / FPS, self._given[n % len(self._given)].jpeg)


def ingest_load() -> tuple[float, float]:
    """Processor seconds of `producer ingest` per second of a 720p25 stream, and bytes of its largest process."""
    with tempfile.TemporaryDirectory() as folder, running_redis() as (url, _), committing(url):
        used = []
        for seconds in (4, 24):
            film = Path(folder) / f"{seconds}.mp4"
            render_gallery(film, 25, seconds, SIZE, fps=25)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [sys.executable, "-m", "producer", "ingest", str(film), "--redis", url, "--json"]
            subprocess.run([*command, "--fps", str(FPS)], stdout=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return (used[1] - used[0]) / 20, after.ru_maxrss * 1024


def _run(client: redis.Redis, name: str, camera: Camera, delays: list[float]) -> None:
    feed = Feed.start(client, NewLecture(name, "camera", FPS, *SIZE, live=True))
    feeding = threading.Thread(target=feed.run, args=(camera, threading.Event()))
    feeding.start()
    for event in follow(client, name):
        if isinstance(event, ClassEvent):
            delays.append(time.monotonic() - camera.begin - event.t)
    feeding.join()


def _processor_s(pid: int) -> float:
    """Seconds that all threads of a process have run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in tasks) / 1e9


def _counted(client: redis.Redis) -> Load:
    """What Redis has done until now."""
    info: dict[str, Any] = {**client.info(), **client.info("commandstats")}
    return Load(
        info["used_cpu_user"] + info["used_cpu_sys"],
        sum(each["calls"] for name, each in info.items() if name.startswith("cmdstat_")),
        info["total_net_input_bytes"],
        info["total_net_output_bytes"],
        info["aof_current_size"],
    )
