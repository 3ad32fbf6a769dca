"""What each person of a lecture usually displays, and by how much an event differs from it."""

from collections import defaultdict
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, Event, Scores
from worker.contract.usual import change, counted, mean_of, usual

# Sightings that are collected before they are counted.
_BATCH = 256


class OwnUsual:
    """Everybody's usual, from all events of a lecture. Its size grows with the participants, not with the frames.

    Add all events first. Then take the changes of the same events, in the order of `follow`:

        for event in replay(client, lecture): own.add(event)
        for event in replay(client, lecture): row(event, own.change(event))
    """

    def __init__(self, left_out: Collection[str] = ()) -> None:
        """Participants who are `left_out` do not count for the class."""
        self._left_out = left_out
        self._counts: defaultdict[str, bytes] = defaultdict(bytes)
        self._waiting: defaultdict[str, list[list[float]]] = defaultdict(list)
        self._usual: dict[str, Scores | None] = {}
        self._frame: tuple[int, list[Scores]] = (-1, [])

    def add(self, event: Event) -> None:
        if isinstance(event, EmotionEvent) and event.scores is not None:
            waiting = self._waiting[event.participant]
            waiting.append([event.scores[each] for each in EMOTIONS])
            self._usual.pop(event.participant, None)
            if len(waiting) >= _BATCH:
                self._count(event.participant)

    def add_scores(self, participant: str, scores: npt.NDArray[np.float64]) -> None:
        """Add sightings by their scores [n, 7], in the order of EMOTIONS."""
        self._counts[participant] = counted(self._counts[participant], scores)
        self._usual.pop(participant, None)

    def of(self, participant: str) -> Scores | None:
        """The median of the participant's own scores; None if their face could never be read."""
        if participant not in self._usual:
            self._count(participant)
            self._usual[participant] = usual(self._counts[participant])
        return self._usual[participant]

    def change(self, event: Event) -> Scores | None:
        """By how much the share of each emotion differs from the person's own usual; None without scores.

        For the class it is the mean over those who were read in the same frame, whose events came before. So it is
        None for a lecture in which single people are not known.
        """
        if isinstance(event, EmotionEvent) and event.scores is not None:
            own = self.of(event.participant)
            if own is None:
                return None
            differs = change(event.scores, own)
            if event.frame > self._frame[0]:
                self._frame = (event.frame, [])
            if event.frame == self._frame[0] and event.participant not in self._left_out:
                self._frame[1].append(differs)
            return differs
        if isinstance(event, ClassEvent) and event.frame == self._frame[0]:
            return mean_of(self._frame[1])
        return None

    def _count(self, participant: str) -> None:
        self._counts[participant] = counted(self._counts[participant], self._waiting.pop(participant, []))
