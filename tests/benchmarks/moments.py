"""How many moments of simulated lectures are found, and how many are found where there are none.

    python -m tests.benchmarks.moments [--lectures 60] [--seed 1]

Lectures have 1 to 25 people, 5 to 90 minutes and 0.5 to 5 frames a second, with people who flicker, drift, are misread,
look away and leave (tests/producer/reading/simulated.py). A stretch of 30 points lasts 30 s to 5 minutes. It is found
if both ends are within 10 s. docs/moments.md shows the result.
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from producer.reading.analysis.moment import Moment
from producer.reading.analysis.moments import moments
from tests.benchmarks.ruler import write_down
from tests.producer.reading.simulated import Episode, Script, simulated_timeline

TOLERANCE_S = 10.0
NAMED = (("anger", "sadness"), ("happiness",), ("surprise",), ("sadness",), ("fear",))
CLASSES = (1, 2, 3, 4, 6, 9, 12, 16, 25)
MINUTES = (5, 10, 20, 40, 60, 90)
Random = np.random.Generator


def nothing(random: Random, people: int, seconds: float, fps: float) -> tuple[Script, list[Moment]]:
    return Script(people, seconds, fps), []


def stretch(random: Random, people: int, seconds: float, fps: float) -> tuple[Script, list[Moment]]:
    length = float(min(random.choice([30, 60, 120, 300]), seconds / 5))
    begin = float(random.uniform(20, seconds - length - 20))
    emotions = NAMED[random.integers(len(NAMED))]
    # Each of two emotions rises by 15 points.
    script = Script(people, seconds, fps, [Episode(begin, begin + length, emotions, 30, random.uniform(0.5, 1))])
    return script, [_truth("stretch", begin, begin + length)]


def burst(random: Random, people: int, seconds: float, fps: float) -> tuple[Script, list[Moment]]:
    length, begin = float(random.uniform(4, 10)), float(random.uniform(20, seconds - 40))
    script = Script(people, seconds, fps, [Episode(begin, begin + length, ("happiness",), 50, 0.9)])
    return script, [_truth("burst", begin, begin + length)]


def departures(random: Random, people: int, seconds: float, fps: float) -> tuple[Script, list[Moment]]:
    begin, several = float(random.uniform(0.2, 0.8)) * seconds, 3
    who = random.permutation(people)[:several].tolist()
    times = sorted(begin + random.uniform(0, 8, several))
    script = Script(people, seconds, fps, leave=dict(zip(who, times, strict=True)))
    return script, [_truth("departures", times[0], times[-1])]


def _truth(kind: Any, begin: float, end: float) -> Moment:
    return Moment(kind, begin, end, {}, None, None, 0)


LECTURES: dict[str, tuple[Callable[..., tuple[Script, list[Moment]]], int]] = {
    "nothing": (nothing, 1),
    "stretch": (stretch, 1),
    "burst": (burst, 3),  # of a class of at least so many people
    "departures": (departures, 6),
}


def measured(lectures: int, seed: int) -> list[dict[str, Any]]:
    """One row for each lecture."""
    random = np.random.default_rng(seed)
    rows = []
    for name, (play, least) in LECTURES.items():
        for number in range(lectures):
            people = int(random.choice([each for each in CLASSES if each >= least]))
            seconds, fps = 60.0 * float(random.choice(MINUTES)), float(random.choice([0.5, 1, 2, 5]))
            fps = min(fps, 2.0) if people * seconds > 20_000 else fps  # five frames a second only where it is quick
            script, truth = play(random, people, seconds, fps)
            timeline = simulated_timeline(script, seed * 10_000 + number)
            begun = time.process_time()
            found = moments(timeline)
            taken = time.process_time() - begun
            hits = [each for each in found if any(_same(each, other) for other in truth)]
            rows.append(
                {
                    "lecture": name,
                    "people": people,
                    "seconds": seconds,
                    "fps": fps,
                    "hit": len(hits) == len(truth),
                    "false": len(found) - len(hits),
                    "cpu_s": round(taken, 3),
                    "truth": [each.as_json() for each in truth],
                    "found": [each.as_json() for each in found],
                }
            )
    return rows


def _same(one: Moment, other: Moment) -> bool:
    apart = max(abs(one.begin - other.begin), abs(one.end - other.end))
    return one.kind == other.kind and apart <= TOLERANCE_S


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lectures", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rows = measured(given.lectures, given.seed)
    table = Table("lectures", "people", "lectures of it", "found", "false ones, in ten lectures")
    summary: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        people = "1 or 2" if row["people"] <= 2 else "3 to 5" if row["people"] <= 5 else "6 to 25"
        summary[f"{row['lecture']}, {people}"].update(lectures=1, hit=row["hit"], false=row["false"])
    for name, counts in sorted(summary.items()):
        lecture, people = name.split(", ")
        hit = "" if lecture == "nothing" else f"{counts['hit'] / counts['lectures']:.0%}"
        table.add_row(lecture, people, str(counts["lectures"]), hit, f"{10 * counts['false'] / counts['lectures']:.1f}")
    Console().print(table)
    write_down("moments", {"seed": given.seed, "summary": {k: dict(v) for k, v in summary.items()}, "rows": rows})


if __name__ == "__main__":
    main()
