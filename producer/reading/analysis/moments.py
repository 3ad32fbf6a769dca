"""Moments worth watching: stretches, bursts, arrivals and departures. docs/moments.md explains them."""

from producer.reading.analysis.bursts import bursts
from producer.reading.analysis.chance import Chance
from producer.reading.analysis.changes import changes_of
from producer.reading.analysis.coming_and_going import coming_and_going
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.stretches import candidates, stretches
from producer.reading.analysis.timeline import Timeline


def moments(timeline: Timeline) -> list[Moment]:
    """All moments of a lecture, in the order of time."""
    found = coming_and_going(timeline)
    changes = changes_of(timeline)
    if changes is not None:
        segments = candidates(changes)
        chance = Chance(changes, [(each.first, each.end) for each in segments])
        longer = stretches(changes, segments, chance)
        found = [*found, *longer, *bursts(changes, chance, longer)]
    return sorted(found, key=lambda each: (each.begin, each.end))
