"""The steps of a timeline as rows, and in which revision of a board each row changed last."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from producer.presentation.palette import STACKED
from producer.reading.analysis.presence import presence_shares
from producer.reading.analysis.timeline import Array, Timeline, places_in_stack


def rows_of(timeline: Timeline) -> dict[str | None, Array]:
    """The values of every step: of the class (None) [bins, 17], of each participant [bins, 3]."""
    counts, affect = [timeline.frames, timeline.faces, timeline.readable], [timeline.valence, timeline.arousal]
    scores = timeline.scores[:, STACKED]
    presence = presence_shares(timeline.presence)
    rows: dict[str | None, Array] = {None: np.column_stack([*counts, scores, *affect, timeline.margins, presence])}
    for each in timeline.everybody:
        rows[each.id] = np.column_stack([each.sightings, places_in_stack(each.shown), each.strength])
    return rows


class Rows(Struct, frozen=True):
    """Values [bins, columns], and the revision of each row's last change, [bins]."""

    values: Array
    changed: npt.NDArray[np.int64]

    @classmethod
    def after(cls, before: Rows | None, values: Array, revision: int) -> Rows:
        """`values` as the successor of `before`: only rows that differ count as changed in this revision."""
        changed = np.full(len(values), revision, np.int64)
        if before is not None:
            old = len(before.values)
            same = (values[:old] == before.values) | (np.isnan(values[:old]) & np.isnan(before.values))
            changed[:old] = np.where(same.all(axis=1), before.changed, revision)
        return cls(values, changed)

    def newer(self, revision: int) -> list[tuple[int, list[float]]]:
        """(bin, its values) of the bins with frames that changed after `revision`."""
        wanted = np.flatnonzero((self.changed > revision) & (self.values[:, 0] > 0))
        return list(zip(wanted.tolist(), self.values[wanted].tolist(), strict=True))
