"""Shared by all benchmarks: the lecture, the warm workers, the cores, and the files of results."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import redis
from rich.console import Console
from rich.table import Table
from rq import Worker

from producer.feeding.packing import packed
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_source
from tests.conftest import running_redis
from tests.gallery import Tile, render_gallery
from tests.lectures import begin_lecture, events_of, push_chunk
from tests.processes import eventually, workers
from training.provenance import provenance
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys
from worker.contract.messages import Chunk, ChunkHead, ClassEvent, EmotionEvent, Ending
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.perception.manifest import MODELS, load_manifest

FPS = 2.0
SIZE = (1280, 720)
RESULTS = Path(__file__).parent / "results"
CORES = sorted(os.sched_getaffinity(0))

WITHOUT_AVX512 = "LECTUREPULSE_WITHOUT_AVX512"
"""The variable of the environment that `tests.benchmarks.without_avx512` sets."""


class Skipped(Exception):
    """A benchmark that cannot run here; the message says what is missing."""


class Terms(NamedTuple):
    """The options of the command line.

    With `images`, the program `tool` renders galleries of these KDEF pictures; without, galleries show two portraits
    and have no truth.
    """

    repeats: int
    seconds: float
    people: int
    images: Path | None
    tool: Path
    peer_python: Path | None


class Result(NamedTuple):
    """A table, a line on the goal, and all measurements."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdict: str
    measured: dict[str, Any]


Benchmark = Callable[[Terms], Result]


def main(benchmark: Benchmark) -> None:
    """The command line of one benchmark, a module of this package."""
    terms = terms_of(sys.modules[benchmark.__module__].__doc__)
    try:
        conclude(Path(sys.argv[0]).stem, benchmark(terms), terms)
    except Skipped as why:
        sys.exit(f"skipped: {why}")


def terms_of(description: str | None) -> Terms:
    """The command line that all benchmarks share."""
    ask = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--repeats", type=int, default=5)
    ask.add_argument("--seconds", type=float, default=64.0, help="length of the lecture")
    ask.add_argument("--people", type=int, default=25)
    ask.add_argument("--images", type=Path, help="KDEF pictures under their original names")
    beside = Path(__file__).parents[3] / "shared" / "tools" / "gallery.py"
    ask.add_argument("--tool", type=Path, default=beside, help="program that renders galleries of --images")
    ask.add_argument("--peer-python", type=Path, help="Python of an environment with the package fer")
    return Terms(**vars(ask.parse_args()))


def conclude(name: str, result: Result, terms: Terms) -> None:
    """Print a result and write its file."""
    table = Table(*result.columns, title=f"{name} ({instructions()[-1]})")
    for row in result.rows:
        table.add_row(*row)
    console = Console(width=110)
    console.print(table)
    console.print(result.verdict, "\n")
    write_down(name, {"verdict": result.verdict, "terms": terms._asdict(), **result.measured})


def write_down(name: str, measured: dict[str, Any]) -> None:
    """Write a dated file of the measurements and their provenance."""
    origin = provenance(load_manifest(MODELS).digest)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{origin['date'].replace(':', '')}-{name}.json"
    origin["instructions"] = instructions()
    versions = {**origin["versions"], "av": version("av"), "redis": _redis_version()}
    file.write_text(
        json.dumps({**measured, "provenance": {**origin, "versions": versions}}, indent=2, default=str) + "\n"
    )


def instructions() -> list[str]:
    """The instruction sets that programs of this benchmark see, the best for int8 networks last."""
    seen: list[str] = provenance()["instructions"] or ["unknown"]
    return [name for name in seen if WITHOUT_AVX512 not in os.environ or not name.startswith(("avx512", "amx"))]


def medians(contestants: dict[str, Callable[[], float]], repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Run the contestants in turns, A B A B: the median of each, and every repeat."""
    every: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contestant in contestants.items():
            every[name].append(contestant())
    return {name: statistics.median(values) for name, values in every.items()}, {"repeats": every}


class Lecture(NamedTuple):
    """A gallery lecture: its file, its sampled frames, and its truth (rows of person, tile, emotion, t0, t1) or []."""

    video: Path
    frames: list[SampledFrame]
    truth: list[dict[str, Any]]

    def chunks(self) -> list[Chunk]:
        """The chunks of the lecture, with its ending."""
        return [*packed(self.frames, *SIZE), Chunk(ChunkHead([], *SIZE, Ending("done")), [])]

    def right(self, found: Sequence[tuple[float, Sequence[float], str]]) -> tuple[int, int]:
        """The number of shown faces with the right emotion in `found` (t, box, emotion), and of all shown faces."""
        right = shown = 0
        for frame in self.frames:
            here = [(box, emotion) for t, box, emotion in found if abs(t - frame.t) < 0.5 / FPS]
            for row in (row for row in self.truth if row["t0"] <= frame.t <= row["t1"]):
                tile = Tile(*row["tile"])
                shown += 1
                right += next((emotion == row["emotion"] for box, emotion in here if tile.holds(_box(box))), False)
        return right, shown


@contextmanager
def lecture(terms: Terms, fps: int = 10) -> Iterator[Lecture]:
    """Render a gallery with `fps` frames per second, and sample it as the producer does."""
    with tempfile.TemporaryDirectory(prefix="lp-benchmark-") as folder:
        video = Path(folder) / "gallery.mp4"
        truth: list[dict[str, Any]] = []
        if terms.images is None:
            render_gallery(video, terms.people, terms.seconds, SIZE, fps)
        else:
            _render_with_truth(terms, video, fps)
            truth = [json.loads(line) for line in video.with_suffix(".truth.jsonl").read_text().splitlines()]
        with open_source(str(video), FPS) as source:
            yield Lecture(video, list(source.frames(threading.Event())), truth)


@contextmanager
def warm_workers(processes: int, cores: Sequence[int], *options: str) -> Iterator[tuple[redis.Redis, str]]:
    """Worker processes on these cores with a Redis of their own, ready to work: a connection, and its URL."""
    with ExitStack() as stack:
        url, _ = stack.enter_context(running_redis())
        client = stack.enter_context(connect(url))
        with on_cores(cores):
            stack.enter_context(workers(url, processes, *options))
        eventually(lambda: Worker.count(connection=client) == processes, patience=120)
        yield client, url


@contextmanager
def on_cores(cores: Sequence[int]) -> Iterator[None]:
    """Keep this process and the ones that it starts on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def two_cores() -> tuple[int, int]:
    if len(CORES) < 2:
        raise Skipped("this needs two cores")
    return CORES[0], CORES[1]


class Worked(NamedTuple):
    """A processed lecture: the seconds it took, the number of faces, and (t, box, emotion) of each."""

    seconds: float
    faces: int
    found: list[tuple[float, Sequence[float], str]]


def work(client: redis.Redis, chunks: Sequence[Chunk]) -> Worked:
    """Let workers process a lecture whose chunks are all in Redis before the clock starts, and forget it.

    The lecture's own end stops the clock, so that this process need not ask often and leaves the cores to the workers.
    """
    keys = begin_lecture(client, f"l{uuid4().hex[:8]}")
    for number, chunk in enumerate(chunks):
        push_chunk(client, keys, number, chunk)
    queue = frame_queue(client)
    begun = time.time()
    for number in range(len(chunks)):
        enqueue_chunk(queue, keys.lecture, number)
    while (ended := client.hget(keys.info, "ended")) is None:
        time.sleep(0.2)
    seconds = float(ended) - begun
    events = [event for stream in events_of(client, keys).values() for event in stream]
    forget(client, keys)
    return Worked(
        seconds,
        sum(event.faces for event in events if isinstance(event, ClassEvent)),
        [(event.t, event.box, event.emotion or "") for event in events if isinstance(event, EmotionEvent)],
    )


def forget(client: redis.Redis, keys: LectureKeys) -> None:
    client.delete(*client.scan_iter(keys.everything))


def _render_with_truth(terms: Terms, video: Path, fps: int) -> None:
    size = f"{SIZE[0]}x{SIZE[1]}"
    command = [sys.executable, str(terms.tool), str(video), "--images", str(terms.images), "--size", size]
    command += ["--people", str(terms.people), "--seconds", str(terms.seconds), "--fps", str(fps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"{terms.tool} renders no gallery: {done.stderr.strip().splitlines()[-1]}")


def _box(values: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, w, h = values
    return x, y, w, h


def _redis_version() -> str:
    with running_redis() as (url, _), connect(url) as client:
        return str(client.info("server")["redis_version"])
