"""The chart and the tables of a comparison: text and places for every cell."""

import math
from collections.abc import Sequence
from typing import Any

from producer.presentation.clock import clock, date
from producer.presentation.palette import STACK
from producer.reading.analysis.comparison import Shares, interval
from producer.reading.comparison.lectures import Compared, Pair
from producer.reading.comparison.words import difference_cells, sentence
from worker.contract.messages import EMOTIONS

SHOWN = tuple(reversed(STACK))
"""The emotions in the order of legends: pleasant ones first."""

# The axis of each expression ends at a multiple of this, and is never shorter than twice as long, so that small
# differences do not look large.
AXIS_STEP = 0.1

NOTHING = "\N{EN DASH}"


def panels(lectures: Sequence[Compared]) -> list[dict[str, Any]]:
    """One panel for each emotion: the end of its axis, and a row for each lecture. Places are percent of the axis."""
    ends = [interval(each.whole) for each in lectures]
    made = []
    for emotion in SHOWN:
        n = EMOTIONS.index(emotion)
        means = [None if each.whole.mean is None else float(each.whole.mean[n]) for each in lectures]
        most = max([0.0, *(high[n] for _, high in filter(None, ends)), *(mean for mean in means if mean is not None)])
        axis = min(1.0, max(2, math.ceil(most / AXIS_STEP - 1e-9)) * AXIS_STEP)
        rows = []
        for each, mean, both in zip(lectures, means, ends, strict=True):
            row: dict[str, Any] = {"id": each.id, "text": NOTHING}
            if mean is not None:
                row |= {"text": f"{mean:.0%}", "at": _place(mean, axis)}
            if mean is not None and both is not None:
                low, high = (float(end[n]) for end in both)
                row |= {"low": _place(low, axis), "width": round(100 * (high - low) / axis, 2)}
                row["text"] += f" ({100 * low:.0f} to {100 * high:.0f})"
            rows.append(row)
        made.append({"emotion": emotion, "end": f"{axis:.0%}", "middle": f"{axis / 2:.0%}", "rows": rows})
    return made


def lecture_rows(lectures: Sequence[Compared]) -> list[dict[str, Any]]:
    """One row for each lecture: when it was, its length, people, and shares."""
    return [
        {
            "id": each.id,
            "started": date(each.lecture.info.started),
            "length": clock(max(0, each.timeline.seconds - (each.lecture.info.begin or 0))),
            "people": NOTHING if each.lecture.info.class_only else str(len(each.whole.people)),
            "shares": _shares(each.whole),
        }
        for each in lectures
    ]


def difference_rows(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """One row for each pair: what it is about, and the difference of each emotion."""
    return [
        {
            "title": each.title,
            "other": each.other.id,
            "cells": difference_cells(each.difference, SHOWN),
        }
        for each in pairs
    ]


def chapter_parts(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """For each chapter that the first lecture shares: its title, and a sentence for each other lecture."""
    parts: dict[str, list[str]] = {}
    for each in pairs:
        parts.setdefault(each.title or "", []).append(sentence(each))
    return [{"title": title, "sentences": sentences} for title, sentences in parts.items()]


def _shares(part: Shares) -> list[str]:
    if part.mean is None:
        return [NOTHING] * len(SHOWN)
    return [f"{float(part.mean[EMOTIONS.index(emotion)]):.0%}" for emotion in SHOWN]


def _place(share: float, axis: float) -> float:
    return round(100 * share / axis, 2)
