"""Arrivals and departures of several people within a short time.

A person arrives at the first sighting and leaves at the last one. Who is away in between has not left: a slide may fill
the picture, or a client may show other people for a while. Neither is the begin or the end of a lecture an arrival or a
departure, nor an id that takes the place of another.
"""

import numpy as np

from producer.reading.analysis.chance import ROUNDS, SEED
from producer.reading.analysis.moment import Kind, Moment
from producer.reading.analysis.timeline import Timeline

MOST_P = 0.05
"""People who came or went together by chance still came or went, so this is less strict than for a display."""

# All of a group come or go within this time.
TOGETHER_S = 45.0

# A group has at least this many people, and this share of all.
MIN_GROUP = 2
MIN_SHARE = 0.1

# The begin and the end of a lecture, when everybody comes and goes: a part of its length, within these seconds.
BORDER = 0.05
BORDER_S = (20.0, 120.0)

# The number of faces must change by this share of the group, between means over this many seconds before and after.
REAL = 0.6
BESIDE_S = 40.0


def coming_and_going(timeline: Timeline) -> list[Moment]:
    """All arrivals and departures, in the order of time. None if single people are not known."""
    analysed = np.flatnonzero(timeline.series.frames)
    start = float(analysed[0]) * timeline.series.step_s if len(analysed) else 0.0  # of a part of a recording
    border = min(max(BORDER * (timeline.seconds - start), BORDER_S[0]), BORDER_S[1])
    inner = (start + border, timeline.seconds - border)
    # Somebody who was seen in few frames is a passer-by, or a picture on the wall.
    people = [each for each in timeline.participants if each.last - each.first >= border / 2]
    firsts = sorted(each.first for each in people)
    lasts = sorted(each.last for each in people)
    return [*_moments(timeline, "arrivals", firsts, inner), *_moments(timeline, "departures", lasts, inner)]


def _moments(timeline: Timeline, kind: Kind, times: list[float], inner: tuple[float, float]) -> list[Moment]:
    smallest = max(MIN_GROUP, int(np.ceil(MIN_SHARE * len(times))))
    moving = [each for each in times if inner[0] <= each <= inner[1]]
    found = []
    for group in _groups(moving, smallest):
        of = _in_view(timeline, kind, group)
        p = _p(len(moving), len(group), group[-1] - group[0], inner)
        if p <= MOST_P and len(group) < of and _changed(timeline, kind, group):
            found.append(Moment(kind, group[0], group[-1], {}, len(group), of, p))
    return found


def _groups(times: list[float], smallest: int) -> list[list[float]]:
    """Groups of at least this many who come or go together, the larger ones first chosen; in the order of time."""
    groups: list[list[float]] = []
    left = list(times)
    while left:
        best = max((_together(left, first) for first in range(len(left))), key=lambda each: (len(each), -each[0]))
        if len(best) < smallest:
            break
        groups.append(best)
        left = [each for each in left if not best[0] <= each <= best[-1]]
    return sorted(groups)


def _together(times: list[float], first: int) -> list[float]:
    return [each for each in times[first:] if each <= times[first] + TOGETHER_S]


def _in_view(timeline: Timeline, kind: Kind, group: list[float]) -> int:
    """The number of people before a departure, or after an arrival, who were there and not only passing."""
    at = group[0] if kind == "departures" else group[-1]
    return sum(each.first <= at <= each.last for each in timeline.participants)


def _changed(timeline: Timeline, kind: Kind, group: list[float]) -> bool:
    """Whether the number of faces changed as it must if these people came or went."""
    series = timeline.series
    before = _mean_faces(timeline, group[0] - BESIDE_S, group[0])
    after = _mean_faces(timeline, group[-1] + series.step_s, group[-1] + series.step_s + BESIDE_S)
    fewer = before - after if kind == "departures" else after - before
    return min(before, after) > 0 and fewer >= REAL * len(group)


def _mean_faces(timeline: Timeline, begin: float, end: float) -> float:
    series = timeline.series
    first, last = max(0, int(begin / series.step_s)), int(np.ceil(end / series.step_s))
    there = series.frames[first:last] > 0
    return float(series.faces[first:last][there].mean()) if there.any() else 0.0


def _p(moving: int, together: int, span: float, inner: tuple[float, float]) -> float:
    """How often as many `together` of those who come or go at random times do so within `span` seconds."""
    draws = np.random.default_rng(SEED)
    times = np.sort(draws.uniform(*inner, (ROUNDS, moving)), axis=1)
    several = together - 1
    closest = (times[:, several:] - times[:, :-several]).min(axis=1)
    return (1 + int((closest <= span).sum())) / (1 + ROUNDS)
