"""The producer alone: the speed of `producer ingest` over real time, for a 720p25 recording at 2 fps, on one core.

The whole command is timed, start-up included. A stand-in on another core takes the chunks and commits the same face for
every frame. Goal: at least 12 times.

    python -m tests.benchmarks.feed [--repeats 5] [--seconds 120] [--people 25]
"""

import statistics
import subprocess
import sys
import time

from tests.benchmarks.ruler import FPS, Result, Terms, lecture, main, on_cores, two_cores
from tests.conftest import running_redis
from tests.producer.committing import committing

GOAL = 12.0
SHORTEST_S = 120.0
"""In a shorter recording, the start-up of a second would count too much."""


def benchmark(terms: Terms) -> Result:
    core, other = two_cores()
    terms = terms._replace(seconds=max(terms.seconds, SHORTEST_S), images=None)
    with lecture(terms, fps=25) as film, running_redis() as (url, _), on_cores([other]), committing(url):
        times = []
        for n in range(terms.repeats):
            command = [sys.executable, "-m", "producer", "ingest", str(film.video), "--redis", url]
            begun = time.perf_counter()
            with on_cores([core]):
                running = subprocess.Popen(
                    [*command, "--lecture", f"l{n}", "--fps", str(FPS), "--json"], stdout=subprocess.DEVNULL
                )
            if running.wait():
                raise RuntimeError(f"producer ingest ended with {running.returncode}")
            times.append(terms.seconds / (time.perf_counter() - begun))
    median = statistics.median(times)
    return Result(
        ("recording", "times real time"),
        [(f"{terms.seconds:g} s, 720p25, {terms.people} people", f"{median:.1f}")],
        f"goal {GOAL:g}: {'met' if median >= GOAL else 'MISSED'}, by the median of {terms.repeats}",
        {"times_real_time": median, "repeats": times},
    )


if __name__ == "__main__":
    main(benchmark)
