"""Many lectures at once for minutes on two workers: whether a process grows, and which keys are left in the end.

Half of the lectures last as long as the soak. The others are short: each is forgotten when it is over, and the next one
begins. The producer's feed runs in threads of this process, on one recording that is decoded before; fifty decoders
would leave no core for the workers. The workers are those of `worker run`, with a private Redis. Goal: no process grows
by more than 5 % from the second quarter of the time to the last (Redis keeps results, so only its keys in the end
count), and no key of a lecture is left.

    python -m tests.benchmarks.soak [--seconds 600] [--lectures 50]
"""

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import linear_regression, mean
from typing import Any

import redis

from producer.feeding.feed import Feed
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_source
from producer.feeding.sources.source import Source
from producer.feeding.starting import NewLecture
from producer.reading.lectures import forget
from tests.benchmarks.ruler import CORES, FPS, Result, Terms, conclude, warm_workers
from tests.gallery import render_gallery
from tests.lectures import await_end, ledger_of
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys

SIZE = (320, 180)
PEOPLE = 2
SHORT_FRAMES = 48
"""Frames of a short lecture: three chunks."""

MAX_BYTES = 512 * 1024
"""Bytes in flight of one lecture: a few chunks of such small pictures, so that all lectures get a turn."""

QUEUES = b"rq:queues"
"""RQ's list of all queues, which names ours from the first job on."""

SAMPLE_EVERY_S = 5.0
MAX_GROWTH = 0.05
DRAINING_S = 600.0


def soak(seconds: float, lectures: int) -> Result:
    with warm_workers(2, CORES) as (client, url):
        before = set(client.scan_iter("*"))
        pids = _pids(client)
        memory: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
        stop = threading.Event()
        begun = time.monotonic()
        with ThreadPoolExecutor(lectures + 1) as pool:
            slides = _slides()
            going = [pool.submit(_lecture_after_lecture, url, f"s{n}", slides, stop, n % 2) for n in range(lectures)]
            while (now := time.monotonic() - begun) < seconds:
                for name, pid in pids.items():
                    memory[name].append((now, _resident(pid)))
                for each in going:
                    if each.done():
                        each.result()
                stop.wait(SAMPLE_EVERY_S)
            used = client.info("memory")["used_memory"]
            stop.set()
            ended = [each.result() for each in going]
        left = sorted(key.decode() for key in set(client.scan_iter("*")) - before - {QUEUES})
        used_after = client.info("memory")["used_memory"]
    frames, count = sum(f for f, _ in ended), sum(n for _, n in ended)
    rows = [(name, *_figures(samples)) for name, samples in memory.items()]
    grown = [name for name, samples in memory.items() if name != "redis" and _growth(samples) > MAX_GROWTH]
    verdict = f"{count} lectures, {frames} frames; " + ("GREW: " + ", ".join(grown) if grown else "no process grew")
    verdict += f"; keys left: {', '.join(left) or 'none'}"
    return Result(
        ("process", "MiB at first", "in the middle", "at last", "slope, KiB a minute"),
        rows,
        verdict,
        {
            "lectures_at_once": lectures,
            "lectures": count,
            "frames": frames,
            "memory_mib": memory,
            "slopes_kib_a_minute": {name: _slope(samples) for name, samples in memory.items()},
            "redis_used_bytes": {"before the end": used, "when all is forgotten": used_after},
            "keys_left": left,
        },
    )


def _lecture_after_lecture(
    url: str, name: str, slides: list[SampledFrame], stop: threading.Event, short: int
) -> tuple[int, int]:
    """Feed lectures until `stop`, and forget each: the numbers of published frames and of lectures."""
    frames = 0
    with connect(url) as client:
        for number in itertools.count(1):
            keys = LectureKeys(f"{name}-{number}")
            feed = Feed.start(client, NewLecture(keys.lecture, "soak", FPS, *SIZE), MAX_BYTES)
            feed.run(Loop(slides, SHORT_FRAMES if short else None), stop)
            await_end(client, keys, DRAINING_S)
            ledger = ledger_of(client, keys)
            assert ledger.balances, keys.lecture
            assert ledger.published == ledger.sampled, ledger
            frames += ledger.published
            forget(client, keys.lecture)
            if stop.is_set():
                return frames, number
    raise AssertionError("numbers do not end")


class Loop(Source):
    """A recording that is repeated until it has given `count` frames."""

    live = False
    shortfall: str | None = None

    def __init__(self, slides: list[SampledFrame], count: int | None) -> None:
        self._slides = slides
        self._count = count

    def frames(self, stop: threading.Event, first: int | None = None) -> Iterator[SampledFrame]:
        for number, slide in enumerate(itertools.cycle(self._slides)):
            if stop.is_set() or number == self._count:
                return
            yield SampledFrame(number, number / FPS, slide.jpeg)

    def close(self) -> None:
        pass


def _slides() -> list[SampledFrame]:
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "soak.mp4"
        render_gallery(video, PEOPLE, 16, SIZE, 4)
        with open_source(str(video), FPS) as source:
            return list(source.frames(threading.Event()))


def _pids(client: redis.Redis) -> dict[str, int]:
    """Every process that lasts: Redis, the supervisor, its workers, and this one, which feeds."""
    keys: Any = client.smembers("rq:workers")
    of_workers = sorted(int(client.hget(key, "pid") or 0) for key in keys)
    stat = Path(f"/proc/{of_workers[0]}/stat").read_text()
    return {
        "redis": int(client.info("server")["process_id"]),
        "supervisor": int(stat.rpartition(")")[2].split()[1]),
        **{f"worker {n}": pid for n, pid in enumerate(of_workers, 1)},
        "feeds": os.getpid(),
    }


def _resident(pid: int) -> float:
    """The resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _quarter(samples: list[tuple[float, float]], number: int) -> float:
    size = max(1, len(samples) // 4)
    return mean(mib for _, mib in samples[number * size : (number + 1) * size] or samples[-1:])


def _growth(samples: list[tuple[float, float]]) -> float:
    return _quarter(samples, 3) / _quarter(samples, 1) - 1


def _slope(samples: list[tuple[float, float]]) -> float:
    """KiB per minute, without the first quarter of the time, in which processes still load."""
    settled = samples[len(samples) // 4 :]
    return linear_regression([t / 60 for t, _ in settled], [mib * 1024 for _, mib in settled]).slope


def _figures(samples: list[tuple[float, float]]) -> tuple[str, ...]:
    first, middle, last = (_quarter(samples, n) for n in (0, 1, 3))
    return f"{first:.1f}", f"{middle:.1f}", f"{last:.1f}", f"{_slope(samples):+.1f}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seconds", type=float, default=600.0)
    ask.add_argument("--lectures", type=int, default=50)
    given = ask.parse_args()
    terms = Terms(1, given.seconds, PEOPLE, None, Path(), None)
    conclude("soak", soak(given.seconds, given.lectures), terms)


if __name__ == "__main__":
    main()
