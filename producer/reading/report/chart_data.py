"""The data of a report's charts, in the form that charts.js takes."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from producer.presentation.clock import clock
from producer.presentation.palette import STACK, STACKED
from producer.reading.analysis.moment import Moment
from producer.reading.analysis.presence import presence_shares
from producer.reading.analysis.timeline import Array, Timeline, places_in_stack
from producer.reading.report.content import Content

# Seconds between two marks of a time axis. The smallest that gives at most MAX_TICKS marks is used.
TICK_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
MAX_TICKS = 9

# The axis of valence and arousal ends at a multiple of this, below and above zero. It is never shorter than one step
# each way, so that small changes do not look large.
AFFECT_STEP = 0.25

# The distance of a line from the edge of its chart, as a part of AFFECT_STEP. A line on the edge would be cut in half.
CLEARANCE = 0.05

# If two moments are nearer to each other than this share of the lecture, their numbers overlap on a narrow page.
NEAR = 0.08


def chart_data(content: Content) -> dict[str, Any]:
    """The data of all charts and strips, for JSON.

    `class` has a row for every step with readable faces: `y0` to `y7` are the borders of the stacked shares, in
    percent from bottom to top. `faces` has a row for every step with faces, `unread` for those in which no face
    could be read or their scores are hidden (`few` says of whom), and `margins` for those with enough
    participants. `presence` has the borders `y0` to `y3` of the shares of PRESENCE. One more row closes each run
    of steps.
    `strips` have two numbers for every step: `shown` is the emotion displayed most (its index in `emotions`, -1 where
    the participant was not seen, -2 where the face could not be read), `strength` its share in percent.
    """
    timeline, places = content.timeline, content.places
    return {
        "emotions": STACK,
        "step": timeline.bin_s,
        "steps": timeline.bins,
        "seconds": timeline.seconds,
        "frames": timeline.analysed,
        "ticks": [{"t": t, "label": clock(t)} for t in ticks(timeline.seconds)],
        "parameters": _parameters(timeline),
        "class": list(_class_rows(timeline)),
        "faces": list(_face_rows(timeline)),
        "few": f"{content.few}, hidden",
        "unread": [place for _, place in _runs((timeline.read == 0) & (timeline.faces > 0), timeline)],
        "margins": list(_margin_rows(timeline)),
        "presence": list(_presence_rows(timeline)),
        "analysed": (timeline.frames > 0).astype(int).tolist(),
        "moments": list(_moment_rows(content.moments, timeline.seconds)),
        "strips": [
            {
                "id": each.id,
                "name": content.names.get(each.id),
                "shown": places_in_stack(each.shown).tolist(),
                "strength": np.round(100 * each.strength).astype(int).tolist(),
                "place": places[each.id].map(content.size) if each.id in places else None,
            }
            for each in timeline.everybody
        ],
    }


def _moment_rows(moments: list[Moment], seconds: float) -> Iterator[dict[str, Any]]:
    """`lift` is 1 where a moment's number would cover the one before."""
    before, lift = -math.inf, 0
    for n, each in enumerate(moments, 1):
        lift = 1 - lift if each.begin - before < NEAR * seconds else 0
        before = each.begin
        yield {"t": each.begin, "end": each.end, "n": n, "lift": lift, "words": each.in_words}


def _parameters(timeline: Timeline) -> dict[str, Any]:
    """The parameters of the charts: the ends of their axes."""
    middle = np.stack([timeline.valence, timeline.arousal], axis=1)
    margins = np.nan_to_num(timeline.margins)
    reached = np.nan_to_num(np.concatenate([middle - margins, middle + margins]))
    low, high = (np.array([reached.min(), reached.max()]) if timeline.bins else np.zeros(2)) / AFFECT_STEP
    most = np.nan_to_num(timeline.faces).max(initial=1.0)
    return {
        "seconds": max(timeline.seconds, 1e-3),
        "step": timeline.bin_s,
        "ticks": ticks(timeline.seconds),
        "affectLow": max(-1.0, min(-1, math.floor(low - CLEARANCE)) * AFFECT_STEP),
        "affectHigh": min(1.0, max(1, math.ceil(high + CLEARANCE)) * AFFECT_STEP),
        "faces": math.ceil(most),
    }


def ticks(seconds: float) -> list[int]:
    """The times to mark on an axis of `seconds`, in seconds."""
    step = next((each for each in TICK_S if seconds / each <= MAX_TICKS), TICK_S[-1])
    return list(range(0, int(seconds) + 1, step))


def _class_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    borders = np.cumsum(100 * timeline.scores[:, STACKED], axis=1)
    borders = np.concatenate([np.zeros((timeline.bins, 1)), borders / borders[:, -1:] * 100], axis=1)
    for step, place in _runs(~np.isnan(timeline.scores[:, 0]), timeline):
        yield {
            **place,
            **{f"y{n}": round(float(border), 2) for n, border in enumerate(borders[step])},
            "valence": round(float(timeline.valence[step]), 3),
            "arousal": round(float(timeline.arousal[step]), 3),
            "read": round(float(timeline.read[step]), 2),
            "frames": int(timeline.frames[step]),
        }


def _face_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for step, place in _runs(timeline.faces > 0, timeline):
        yield {
            **place,
            "faces": round(float(timeline.faces[step]), 2),
            "read": round(float(timeline.readable[step]), 2),
            "frames": int(timeline.frames[step]),
        }


def _presence_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    shares = presence_shares(timeline.presence)
    borders = np.cumsum(100 * np.nan_to_num(shares), axis=1)
    for step, place in _runs(~np.isnan(shares[:, 0]), timeline):
        numbers = {f"y{n}": round(float(border), 2) for n, border in enumerate([0.0, *borders[step]])}
        weight = float(np.nansum(timeline.presence[step]) * timeline.frames[step])
        yield {**place, **numbers, "people": round(weight, 1)}


def _margin_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for step, place in _runs(~np.isnan(timeline.margins[:, 0]), timeline):
        yield {
            **place,
            **_interval("valence", timeline.valence, timeline.margins[:, 0], step),
            **_interval("arousal", timeline.arousal, timeline.margins[:, 1], step),
        }


def _interval(name: str, middle: Array, margin: Array, step: int) -> dict[str, float]:
    """Both ends of the interval, clipped to the scale."""
    low, high = np.clip([middle[step] - margin[step], middle[step] + margin[step]], -1, 1)
    return {f"{name}_low": round(float(low), 3), f"{name}_high": round(float(high), 3)}


def _runs(wanted: npt.NDArray[np.bool_], timeline: Timeline) -> Iterator[tuple[int, dict[str, Any]]]:
    """(step, its time and run) for every `wanted` step; the last step of a run comes again, with its end time."""
    run = -1
    before = False
    for step in range(timeline.bins):
        if wanted[step]:
            run += not before
            yield step, {"t": step * timeline.bin_s, "run": run, "step": step}
            if step + 1 == timeline.bins or not wanted[step + 1]:
                yield step, {"t": min((step + 1) * timeline.bin_s, timeline.seconds), "run": run}
        before = bool(wanted[step])
