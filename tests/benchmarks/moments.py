"""How many moments of simulated lectures are found, and how many are found where there are none.

    python -m tests.benchmarks.moments [--lectures 60] [--seed 1]

Lectures have 3 to 25 people, 5 to 90 minutes and 0.5 to 5 frames a second. Everybody displays one emotion for 4 to 9 s,
then another, with the scores that the models give to real faces; some people miss, look away and leave
(tests/producer/reading/simulated.py). In half of the lectures all emotions are as frequent, in the others 64 % is
neutral. A stretch of 30 points lasts 20 s to 10 minutes. It is found if both ends are within 10 s. `at best` counts the
stretches whose ends are found if the emotions, and about the place, are known: people display what they do by chance,
so no method finds more. docs/moments.md shows the result.
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from producer.reading.analysis.changes import changes_of
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.moments import moments
from producer.reading.analysis.timeline import Timeline
from tests.benchmarks.ruler import write_down
from tests.producer.reading.simulated import Episode, Script, simulated_timeline
from worker.contract.messages import EMOTIONS

TOLERANCE_S = {"stretch": 10.0, "burst": 2.5, "departures": 2.5}  # with steps of 1 s
KEEP_FOR = (4.0, 9.0)
NAMED = (("anger", "sadness"), ("happiness",), ("surprise",), ("sadness",), ("fear",), ("anger",))
CLASSES = (3, 4, 5, 6, 9, 9, 12, 16, 25)
MINUTES = (5, 10, 20, 40, 60, 90)
Random = np.random.Generator


def nothing(random: Random, script: Script) -> tuple[Script, list[Moment]]:
    return script, []


def stretch(random: Random, script: Script, lengths: tuple[float, ...]) -> tuple[Script, list[Moment]]:
    length = float(min(random.choice(lengths), script.seconds / 3))
    begin = float(random.uniform(30, script.seconds - length - 30))
    emotions = NAMED[random.integers(len(NAMED))]
    return replace(script, episodes=[Episode(begin, begin + length, emotions, 30)]), [
        _truth("stretch", begin, begin + length)
    ]


def burst(random: Random, script: Script) -> tuple[Script, list[Moment]]:
    length, begin = float(random.uniform(3, 8)), float(random.uniform(30, script.seconds - 40))
    episode = Episode(begin, begin + length, ("happiness",), share=0.85)
    return replace(script, episodes=[episode]), [_truth("burst", begin, begin + length)]


def departures(random: Random, script: Script) -> tuple[Script, list[Moment]]:
    at, several = float(random.uniform(0.2, 0.8)) * script.seconds, max(3, script.people // 4)
    who = random.permutation(script.people)[:several].tolist()
    return replace(script, leave=dict.fromkeys(who, at)), [_truth("departures", at, at)]


def _truth(kind: Any, begin: float, end: float) -> Moment:
    return Moment(kind, begin, end, {}, None, None, 0)


LECTURES: dict[str, tuple[Callable[..., tuple[Script, list[Moment]]], int]] = {
    "nothing": (nothing, 1),
    "stretch of 1 to 10 min": (partial(stretch, lengths=(60, 90, 150, 240, 400, 600)), 1),
    "stretch of 20 to 60 s": (partial(stretch, lengths=(20, 30, 45)), 1),
    "burst": (burst, 1),
    "departures": (departures, 6),  # of a class of at least so many people
}


def measured(lectures: int, seed: int) -> list[dict[str, Any]]:
    """One row for each lecture."""
    random = np.random.default_rng(seed)
    rows = []
    for name, (play, least) in LECTURES.items():
        for number in range(lectures):
            people = int(random.choice([each for each in CLASSES if each >= least]))
            seconds, fps = 60.0 * float(random.choice(MINUTES)), float(random.choice([0.5, 1, 2, 5]))
            # More frames a second only where it is quick.
            fps = min(fps, 0.5 if people * seconds > 30_000 else 1.0 if people * seconds > 10_000 else 5.0)
            neutral = float(random.choice([1 / 7, 0.64]))
            script, truth = play(random, Script(people, seconds, fps, keep_for=KEEP_FOR, neutral=neutral))
            timeline = simulated_timeline(script, seed * 10_000 + number)
            begun = time.process_time()
            found = moments(timeline)
            taken = time.process_time() - begun
            hits = [each for each in found if any(_same(each, other) for other in truth)]
            at = [each for each in found if any(_overlap(each, other) for other in truth)]
            rows.append(
                {
                    "lecture": name,
                    "people": people,
                    "seconds": seconds,
                    "fps": fps,
                    "neutral": round(neutral, 2),
                    "hit": len(hits) == len(truth),
                    "seen": len(at) >= len(truth),
                    "best": _best(timeline, script, truth),
                    "false": len(found) - len(at),
                    "cpu_s": round(taken, 3),
                    "truth": [each.as_json() for each in truth],
                    "found": [each.as_json() for each in found],
                }
            )
    return rows


def _same(one: Moment, other: Moment) -> bool:
    apart = max(abs(one.begin - other.begin), abs(one.end - other.end))
    return one.kind == other.kind and apart <= TOLERANCE_S[one.kind]


def _overlap(one: Moment, other: Moment) -> bool:
    return one.kind == other.kind and one.begin <= other.end + 3 and other.begin <= one.end + 3


def _best(timeline: Timeline, script: Script, truth: list[Moment]) -> bool:
    """Whether the ends of a stretch can be found if its emotions, and about its place, are known; else true."""
    changes = changes_of(timeline)
    if changes is None or not truth or truth[0].kind != "stretch":
        return True
    named = [EMOTIONS.index(each) for each in script.episodes[0].emotions]
    along = changes.of_class[named].sum(axis=0)
    first, end = changes.span(truth[0].begin, truth[0].end)
    outside = np.concatenate([along[:first], along[end:]])
    around = max(end - first, changes.steps(60))
    low, high, middle = max(0, first - around), end + around, (first + end) // 2
    evidence = np.cumsum(np.pad(along[low:high] - (along[first:end].mean() + outside.mean()) / 2, (1, 0)))
    begin = low + int(evidence[: middle - low + 1].argmin())
    over = middle + int(evidence[middle - low :].argmax())
    return max(abs(begin - first), abs(over - end)) * changes.step_s <= TOLERANCE_S["stretch"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lectures", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rows = measured(given.lectures, given.seed)
    table = Table("lectures", "people", "of it", "found", "within the tolerance", "at best", "false, in ten lectures")
    summary: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        people = "3 to 5" if row["people"] <= 5 else "6 to 25"
        counted = {each: int(row[each]) for each in ("hit", "seen", "best", "false")}
        summary[f"{row['lecture']}, {people}"].update(lectures=1, **counted)
    for name, counts in sorted(summary.items()):
        shares = [f"{counts[each] / counts['lectures']:.0%}" for each in ("seen", "hit", "best")]
        false = f"{10 * counts['false'] / counts['lectures']:.1f}"
        table.add_row(*name.split(", "), str(counts["lectures"]), *shares, false)
    Console().print(table)
    write_down("moments", {"seed": given.seed, "summary": {k: dict(v) for k, v in summary.items()}, "rows": rows})


if __name__ == "__main__":
    main()
