"""Two workers on two cores against one on one, the producer's share, and the load of Redis.

First, one process and two processes take turns at a lecture that is in Redis already; goal: two are at least 1.95 times
as fast. 16 frames are one job, so only a long lecture keeps both busy to its end. Then `producer ingest` of the same
recording: its processor time over that of the worker. Then the commands and bytes per frame that Redis handles,
producer included, with 1 to 8 workers and 1 to 50 lectures at once: they must not grow. Last, the memory of Redis,
which must stay within the feeds' budget.

    python -m tests.benchmarks.scale_out --seconds 512 [--repeats 5] [--people 25] [--images KDEF]
"""

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import cv2
import redis

from producer.feeding.feed import Feed
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.starting import NewLecture
from tests.benchmarks.ruler import (
    CORES,
    FPS,
    Result,
    Terms,
    forget,
    lecture,
    main,
    medians,
    two_cores,
    warm_workers,
    work,
)
from tests.gallery import gallery_pages
from worker.contract.keys import LectureKeys

GOAL = 1.95
WORKERS = (1, 2, 4, 8)
LECTURES = (5, 50)

# The many lectures are small, so that 50 do not take minutes.
SMALL = (640, 360)
SMALL_FRAMES = 48
SMALL_CHUNK_BYTES = 1_000_000  # more than 16 of these pictures
TOLERANCE = 0.25
"""Allowed growth of commands or bytes per frame, against one worker and one lecture."""


def benchmark(terms: Terms) -> Result:
    one, other = two_cores()
    with lecture(terms) as film, warm_workers(1, [one]) as (alone, _), warm_workers(2, [one, other]) as (together, url):
        chunks = film.chunks()
        faces = work(alone, chunks).faces
        work(together, chunks)
        seconds, measured = medians(
            {"1": lambda: work(alone, chunks).seconds, "2": lambda: work(together, chunks).seconds}, terms.repeats
        )
        producer = _processor_time_of_ingest(str(film.video), url)
    gain = seconds["1"] / seconds["2"]
    share = producer / seconds["1"]

    small = _small_lecture()
    traffic = {f"{n} workers, 1 lecture": _traffic(n, 1, small) for n in WORKERS}
    traffic |= {f"2 workers, {n} lectures": _traffic(2, n, small) for n in LECTURES}
    first = next(iter(traffic.values()))
    constant = all(
        load[kind] <= first[kind] * (1 + TOLERANCE) for load in traffic.values() for kind in ("commands", "bytes")
    )
    within = all(load["peak"] <= load["budget"] + load["kept"] for load in traffic.values())
    rows = [
        ("1 worker", f"{faces / seconds['1']:.0f} faces/s", "", "", ""),
        ("2 workers", f"{faces / seconds['2']:.0f} faces/s, {gain:.2f} times", "", "", ""),
        ("producer ingest", f"{share:.0%} of one worker's time", "", "", ""),
        *(
            (
                name,
                "",
                f"{load['commands']:.1f}",
                f"{load['bytes'] / 1000:.0f}",
                f"{load['peak'] / 1e6:.1f} / {(load['budget'] + load['kept']) / 1e6:.1f}",
            )
            for name, load in traffic.items()
        ),
    ]
    verdict = (
        f"goal {GOAL}: {'met' if gain >= GOAL else 'MISSED'}; commands and bytes a frame "
        f"{'stay' if constant else 'DO NOT STAY'} constant; memory {'within' if within else 'BEYOND'} the budget"
    )
    columns = ("", "", "commands/frame", "kB/frame", "MB at most / budget and results")
    return Result(
        columns, rows, verdict, {"gain": gain, "producer_share": share, "faces": faces, "traffic": traffic, **measured}
    )


def _processor_time_of_ingest(video: str, url: str) -> float:
    """Processor seconds of `producer ingest` and its decoder, while other processes work."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "producer", "ingest", video, "--redis", url, "--json"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


class Small:
    """A source whose frames are in memory."""

    live = False
    shortfall = None

    def __init__(self, given: list[SampledFrame]) -> None:
        self._given = given

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        return iter(self._given)


def _small_lecture() -> Small:
    pages = gallery_pages(1, SMALL_FRAMES, fps=2, size=SMALL)
    return Small([SampledFrame(n, n / FPS, cv2.imencode(".jpg", page)[1].tobytes()) for n, page in enumerate(pages)])


def _traffic(processes: int, lectures: int, source: Small) -> dict[str, Any]:
    """Commands and bytes per frame, and Redis' memory in bytes: its peak, what it kept in the end, and the budget."""
    with warm_workers(processes, CORES) as (client, _):
        names = [f"l{n}" for n in range(lectures)]
        empty = _memory(client)
        client.config_resetstat()
        feeds = [Feed.start(client, NewLecture(name, "", FPS, *SMALL), SMALL_CHUNK_BYTES) for name in names]
        threads = [threading.Thread(target=feed.run, args=(source, threading.Event())) for feed in feeds]
        for thread in threads:
            thread.start()
        peak = 0
        while not _all_done(client, names):
            peak = max(peak, _memory(client) - empty)
            time.sleep(0.05)
        for thread in threads:
            thread.join()
        calls, transferred = _counted(client)
        kept = _memory(client) - empty
        for name in names:
            forget(client, LectureKeys(name))
    frames = SMALL_FRAMES * lectures
    return {
        "commands": sum(calls.values()) / frames,
        "bytes": transferred / frames,
        "peak": peak,
        "kept": kept,
        "budget": lectures * SMALL_CHUNK_BYTES,
        "calls": calls,
    }


def _all_done(client: redis.Redis, lectures: list[str]) -> bool:
    """Asked by HSTRLEN, a command that nothing else here uses and that is not counted."""
    with client.pipeline(transaction=False) as pipe:
        for lecture in lectures:
            pipe.hstrlen(LectureKeys(lecture).info, "status")
        return set(pipe.execute()) == {len("done")}


def _memory(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def _counted(client: redis.Redis) -> tuple[dict[str, int], int]:
    """Calls of every command except the measuring ones, and bytes in and out."""
    ours = ("cmdstat_hstrlen", "cmdstat_info", "cmdstat_config|resetstat")
    calls = {name: of_command["calls"] for name, of_command in client.info("commandstats").items() if name not in ours}
    stats = client.info("stats")
    return calls, stats["total_net_input_bytes"] + stats["total_net_output_bytes"]


if __name__ == "__main__":
    main(benchmark)
