"""Moments worth watching: stretches, bursts, arrivals and departures. docs/moments.md explains them."""

from producer.reading.analysis.bursts import bursts
from producer.reading.analysis.changes import changes_of
from producer.reading.analysis.coming_and_going import coming_and_going
from producer.reading.analysis.head_count import head_count
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.stretches import stretches
from producer.reading.analysis.timeline import Timeline

# A burst this near to the begin or the end of a stretch is the step of the stretch.
NEAR_S = 15.0

SEARCH_S, SEARCH_PART = 10.0, 1 / 60
"""A running lecture is searched again after this many seconds of media time, or this part of the lecture if that is
longer. A search takes up to a second."""


def moments(timeline: Timeline) -> list[Moment]:
    """All moments of a lecture, in the order of time."""
    found = coming_and_going(timeline) if timeline.participants else head_count(timeline)
    changes = changes_of(timeline)
    if changes is not None:
        short = bursts(changes)
        longer = stretches(changes, short)
        found += [*longer, *(each for each in short if not _is_end_of(each, longer))]
    return sorted(found, key=lambda each: (each.begin, each.end))


def grown_enough(seconds: float, searched_s: float) -> bool:
    """Whether a running lecture of `seconds` is searched again, if it had `searched_s` at the last search."""
    return seconds - searched_s >= max(SEARCH_S, SEARCH_PART * searched_s)


def _is_end_of(burst: Moment, stretches: list[Moment]) -> bool:
    """Whether a burst is the step with which a stretch begins or ends."""
    return any(abs(burst.begin - border) <= NEAR_S for each in stretches for border in (each.begin, each.end))
