"""What everybody displayed in equal steps of about a second: finer than the timeline, in which moments are searched."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.contract.messages import EMOTIONS

Values = npt.NDArray[np.float32]

MAX_STEPS = 3600
"""A lecture of up to an hour has steps of 1 s. When it outgrows its steps, every two of them are joined."""

# Columns of the sums of a participant: sightings, those that could be read, and the scores of the latter. Those of the
# class are frames, faces, faces that could be read, and the sums of their scores.
_FRAMES, _FACES = 0, 1
_COLUMNS = 3 + len(EMOTIONS)


@dataclass(frozen=True)
class Series:
    """A lecture in steps of `step_s` seconds.

    `frames` [steps] counts the analysed frames; `faces` and `read` [steps] are their mean numbers of faces, and of
    those that could be read. `scores` [people, 7, steps] are each participant's mean scores, zero where `is_read`
    [people, steps] is false. `of_class` [7, steps] are the means over all faces; zero where `read` is.
    """

    step_s: float
    frames: Values
    faces: Values
    read: Values
    of_class: Values
    is_read: npt.NDArray[np.bool_]
    scores: Values


class SeriesSums:
    """Sums up the rows of a `TimelineBuilder`."""

    def __init__(self, frame_s: float) -> None:
        """A step is at least one frame, of `frame_s` seconds, long."""
        self.step_s = 1.0
        while self.step_s < frame_s:
            self.step_s *= 2
        self._slack = frame_s * 1e-3
        self._sums = np.zeros((1, _COLUMNS, 0), np.float32)  # the class first, then the participants

    def add(self, rows: npt.NDArray[np.float64]) -> None:
        """Add `rows` of: seconds, 0 for the class or the number of a participant (from 1 on), and the columns."""
        steps = self._steps_of(rows[:, 0])
        while steps.max() >= MAX_STEPS:
            self._join()
            steps = self._steps_of(rows[:, 0])
        who = rows[:, 1].astype(int)
        self._grow(int(who.max()) + 1, int(steps.max()) + 1)
        columns = np.arange(_COLUMNS)
        np.add.at(self._sums, (who[:, None], columns, steps[:, None]), rows[:, 2 : 2 + _COLUMNS].astype(np.float32))

    def series(self, seconds: float, people: Sequence[int], everybody: bool = True) -> Series:
        """The series up to `seconds`, of the participants with these numbers.

        If they are not `everybody`, the class is made of them alone.
        """
        steps = int(np.ceil((seconds - self._slack) / self.step_s)) if seconds > 0 else 0
        self._grow(max(people, default=0) + 1, steps)
        sums = self._sums[[0, *people], :, :steps]
        if not everybody:
            sums[0, _FACES:] = sums[1:, _FACES:].sum(axis=0)
        frames, read, own = sums[0, _FRAMES], sums[0, 2], sums[1:, 2]
        analysed = np.maximum(frames, 1)
        return Series(
            step_s=self.step_s,
            frames=frames.copy(),
            faces=sums[0, _FACES] / analysed,
            read=read / analysed,
            of_class=sums[0, 3:] / np.maximum(read, 1),
            is_read=own > 0,
            scores=sums[1:, 3:] / np.maximum(own, 1)[:, None],
        )

    def _steps_of(self, t: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        return np.maximum((t + self._slack) // self.step_s, 0).astype(np.int64)

    def _join(self) -> None:
        if self._sums.shape[2] % 2:
            self._sums = np.pad(self._sums, ((0, 0), (0, 0), (0, 1)))
        self._sums = self._sums[..., ::2] + self._sums[..., 1::2]
        self.step_s *= 2

    def _grow(self, people: int, steps: int) -> None:
        """Room for so much; the room grows in large steps, so that copying costs little for each event."""
        had = self._sums.shape
        if people <= had[0] and steps <= had[2]:
            return
        room = [n if n <= old else max(n, old * 3 // 2) for n, old in zip((people, steps), had[::2], strict=True)]
        sums = np.zeros((max(room[0], had[0]), _COLUMNS, max(room[1], had[2])), np.float32)
        sums[: had[0], :, : had[2]] = self._sums
        self._sums = sums
