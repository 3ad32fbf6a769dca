"""10,000 students at once: how many workers and cells that takes, and what gives way first.

Measured on this machine first: a worker's time for a frame, what a frame costs Redis, what a stream costs its producer.
Then a discrete-event simulation (`simulating`) of all lectures, at 1 frame per second, in classes of several sizes. Its
latencies are checked against those of some live lectures on this machine, which it predicts from the measured times.
Measured times are processor times; the check takes times by the clock, so that it also holds on a busy machine.

    python -m tests.benchmarks.ten_thousand [--images KDEF]
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any, NamedTuple

from producer.cells.naming import Cell, ranked
from tests.benchmarks.live_cell import FPS, Load, Service, cell, gallery, idle_load, ingest_load, service_times, watch
from tests.benchmarks.ruler import Result, Terms, main
from tests.benchmarks.simulating import fewest_workers, latencies, live

STUDENTS = 10_000
SIZES = (9, 25, 49)
CLASS = 25
"""The class size of the sweep and of the limits."""

GOALS_S = (0.5, 1.0)
"""p95 from a frame to its event, for which workers are counted."""

SIMULATED_S = 60

# What one cell may take: half of Redis' one thread and of a network of 1 Gbit/s, so that bursts find room; and the
# results of lectures of two hours, which the archive takes over at their end, in three quarters of 16 GB.
THREAD = 0.5
NETWORK_BYTES = 0.5 * 125e6
KEPT_S = 2 * 3600
MEMORY_BYTES = 0.75 * 16e9

CHECKED_LOAD = 0.6
"""The share of the worker's time that the checked lectures take."""

CHECKED_SIZE = 9
CHECKED_S = 12
STARTS = ("staggered", "at once")
"""How the checked lectures begin: at moments of a second by chance, or together, which is the worst case."""


class Measured(NamedTuple):
    """The measured times. `overhead_s` is what a frame takes beside worker and Redis, such as waiting to be polled.

    `idle` is what a worker without work costs Redis in a second.
    """

    service: dict[int, Service]
    load: dict[int, Load]
    idle: Load
    overhead_s: float
    stream_s: float
    ingest_bytes: float


def benchmark(terms: Terms) -> Result:
    chance = random.Random(18)
    measured, check = _measured(terms, chance)
    plans = {size: _plan(measured, size, chance) for size in SIZES}
    sweep = _sweep(measured, plans[CLASS], chance)
    limits = _limits(measured, CLASS)
    rows = [
        (
            f"classes of {size}",
            *(str(plan[name]) for name in ("lectures", "cells", "largest_cell")),
            *(str(plan["workers"][goal] or "never") for goal in GOALS_S),
            *(f"{plan['producer_cores']:.0f}", f"{plan['thread']:.0%}", f"{plan['gigabytes_per_hour']:.1f}"),
        )
        for size, plan in plans.items()
    ]
    first, *others = sorted(limits, key=lambda limit: limits[limit])
    verdict = (
        f"with one Redis of 16 GB that keeps two hours, in classes of {CLASS}, {first} gives way first, at "
        f"{limits[first]:,.0f} students; then "
        + ", ".join(f"{other} at {limits[other]:,.0f}" for other in others)
        + f". Median and p95, simulated and measured, of {check['lectures']} live lectures of {CHECKED_SIZE}: "
        + "; ".join(f"{how} {_compared(check[how], 'p50')}, {_compared(check[how], 'p95')}" for how in STARTS)
    )
    workers = (f"worker cores, p95 {goal:g} s" for goal in GOALS_S)
    largest = ("lectures of the largest", *workers, "producer cores", "Redis' thread in it", "GB/h in it")
    columns = ("10,000 students", "lectures", "cells", *largest)
    details = {"plans": plans, "sweep": sweep, "limits": limits, "check": check, "measured": _as_json(measured)}
    return Result(columns, rows, verdict, details)


def _measured(terms: Terms, chance: random.Random) -> tuple[Measured, dict[str, Any]]:
    """The times of this machine, and how well the simulation predicts its latencies."""
    stream_s, ingest_bytes = ingest_load()
    service, load = {}, {}
    with cell() as client:
        idle = idle_load(client)
        for size in SIZES:
            frames = gallery(terms, size)
            service[size] = service_times(client, frames)
            one = watch(client, frames, [0.0], CHECKED_S)
            load[size] = one.load
            if size == CHECKED_SIZE:
                alone = one
                several = max(2, int(CHECKED_LOAD / FPS / mean(service[size].clock)))
                starts = dict(zip(STARTS, ([chance.random() for _ in range(several)], [0.0] * several), strict=True))
                watched = {how: watch(client, frames, offsets, CHECKED_S) for how, offsets in starts.items()}
                load[size] = watched[STARTS[0]].load
    overhead = max(0.0, median(alone.delays) - median(service[CHECKED_SIZE].clock))
    found = Measured(service, load, idle, overhead, stream_s, ingest_bytes)
    check: dict[str, Any] = {"lectures": several, "people": CHECKED_SIZE, "alone": _milliseconds(alone.delays)}
    for how, offsets in starts.items():
        times, sent = service[CHECKED_SIZE].clock, live(several, CHECKED_S, iter(offsets).__next__, FPS)
        simulated = latencies(sent, 1, partial(chance.choice, times), load[CHECKED_SIZE].processor_s)
        check[how] = {
            "simulated": _milliseconds([each + overhead for each in simulated]),
            "measured": _milliseconds(watched[how].delays),
        }
    return found, check


def _plan(measured: Measured, size: int, chance: random.Random) -> dict[str, Any]:
    """Cells and workers for all students in classes of `size`. Lectures belong to cells by the hash of their ids."""
    lectures = math.ceil(STUDENTS / size)
    load = measured.load[size]
    most = int(min(_lectures_of_a_cell(measured, size).values()))
    cells = math.ceil(lectures / most)
    while max(counts := _spread(lectures, cells)) > most:
        cells += 1
    workers: dict[float, int | None] = {}
    for goal in GOALS_S:
        fewest = {count: _workers(measured, size, count, goal, chance) for count in sorted(set(counts))}
        needed = [fewest[count] for count in counts]
        workers[goal] = None if None in needed else sum(each or 0 for each in needed)
    return {
        "lectures": lectures,
        "cells": cells,
        "largest_cell": max(counts),
        "lectures_of_cells": counts,
        "workers": workers,
        "least_workers": lectures * FPS * mean(measured.service[size].processor),
        "producer_cores": lectures * measured.stream_s,
        "producer_gigabytes": lectures * measured.ingest_bytes / 1e9,
        "thread": max(counts) * _thread_s(measured, size),
        "megabits_per_second": max(counts) * FPS * 8 * max(load.bytes_in, load.bytes_out) / 1e6,
        "gigabytes_per_hour": max(counts) * FPS * 3600 * measured.service[size].bytes_kept / 1e9,
    }


def _lectures_of_a_cell(measured: Measured, size: int) -> dict[str, float]:
    """The lectures of classes of `size` for which each part of a cell suffices, within the constants above."""
    load = measured.load[size]
    return {
        "its memory": MEMORY_BYTES / (measured.service[size].bytes_kept * FPS * KEPT_S),
        "its one thread": THREAD / _thread_s(measured, size),
        "its network": NETWORK_BYTES / (max(load.bytes_in, load.bytes_out) * FPS),
    }


def _thread_s(measured: Measured, size: int) -> float:
    """Seconds of Redis' thread for a second of a lecture: for its frames, and for the workers that it needs."""
    workers = FPS * mean(measured.service[size].processor)
    return FPS * measured.load[size].processor_s + workers * measured.idle.processor_s


def _limits(measured: Measured, size: int) -> dict[str, float]:
    """The students for which each part of one Redis suffices, if that part is used whole."""
    whole = {"its memory": MEMORY_BYTES / 16e9, "its one thread": THREAD, "its network": 0.5}
    return {part: size * count / whole[part] for part, count in _lectures_of_a_cell(measured, size).items()}


def _spread(lectures: int, cells: int) -> list[int]:
    """The lectures of each cell."""
    named = [Cell(f"cell-{n}", "") for n in range(cells)]
    counts = Counter(ranked(named, f"lecture-{n}")[0] for n in range(lectures))
    return [counts[each] for each in named]


def _workers(measured: Measured, size: int, lectures: int, goal: float, chance: random.Random) -> int | None:
    """The fewest workers of a cell with which 95 % of its events come within `goal` seconds; None if none suffice."""

    def good(workers: int) -> bool:
        return _p95(measured, size, lectures, workers, chance.random, chance) <= goal

    least = math.ceil(lectures * FPS * mean(measured.service[size].processor))
    return fewest_workers(good, max(1, least)) if good(2 * lectures) else None


def _p95(
    measured: Measured, size: int, lectures: int, workers: int, offsets: Callable[[], float], chance: random.Random
) -> float:
    times, redis_s = measured.service[size].processor, measured.load[size].processor_s
    frames = live(lectures, SIMULATED_S, offsets, FPS)
    found = latencies(frames, workers, lambda: chance.choice(times), redis_s)
    return quantiles(found, n=20)[-1] + measured.overhead_s


def _sweep(measured: Measured, plan: dict[str, Any], chance: random.Random) -> list[dict[str, float]]:
    """p95 of the largest cell with fewer and with more workers than its load, and how much of their time is used.

    Also the worst case: all lectures sample their frames at the same moment.
    """
    lectures = plan["largest_cell"]
    used = lectures * FPS * mean(measured.service[CLASS].processor)
    counts = sorted({math.ceil(used * factor) for factor in (0.95, 1.0, 1.05, 1.1, 1.2, 1.5, 2.0)})
    return [
        {
            "workers": n,
            "used": used / n,
            "p95_s": _p95(measured, CLASS, lectures, n, chance.random, chance),
            "p95_together_s": _p95(measured, CLASS, lectures, n, lambda: 0.0, chance),
        }
        for n in counts
    ]


def _compared(check: dict[str, dict[str, float]], what: str) -> str:
    return f"{check['simulated'][what]:.0f} and {check['measured'][what]:.0f} ms"


def _milliseconds(delays: Sequence[float]) -> dict[str, float]:
    return {"p50": 1000 * median(delays), "p95": 1000 * quantiles(delays, n=20)[-1], "most": 1000 * max(delays)}


def _as_json(measured: Measured) -> dict[str, Any]:
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return {
        **measured._asdict(),
        "service": {size: each._asdict() for size, each in measured.service.items()},
        "load": {size: each._asdict() for size, each in measured.load.items()},
        "idle": measured.idle._asdict(),
        "instructions": [each for each in ("avx2", "avx512f", "avx512_vnni") if each in flags.split()],
    }


if __name__ == "__main__":
    main(benchmark)
