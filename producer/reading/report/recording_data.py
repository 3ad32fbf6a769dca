"""The data for the recording beside a report, in the form that recording.js takes."""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from producer.reading.analysis.boxes import MAX_SHAPE_DIFFERENCE, STAYS_FRAMES, Boxes, slack_s
from producer.reading.lectures import Lecture

# Boxes are stored in steps of the picture's longer side by this number: finer than a pixel of most screens.
STEPS = 1024


def recording_data(lecture: Lecture, seconds: float, boxes: Boxes | None, names: Mapping[str, str]) -> dict[str, Any]:
    """The size and length of the lecture, by how much a recording may differ, and the `boxes` of its participants.

    `boxes` is None for a report of the class only.
    `names` is participant id -> name. `packed` is deflated and in base64. It holds little-endian differences from the
    value before: the times of all boxes in milliseconds (int32), then all x, y, widths and heights in `unit` pixels
    (int16). The boxes of a participant follow those of the one before, `count` of them. A box is shown for at most
    `stay` seconds.
    """
    info = lecture.info
    return {
        "lecture": lecture.id,
        "width": info.width,
        "height": info.height,
        "seconds": seconds,
        "slack": slack_s(info.fps),
        "shape": MAX_SHAPE_DIFFERENCE,
        "over": info.status == "done",
        "boxes": None if boxes is None else _packed(boxes, info.fps, names, max(info.width, info.height) / STEPS),
    }


def _packed(boxes: Boxes, fps: float, names: Mapping[str, str], unit: float) -> dict[str, Any]:
    people = [
        {"id": each, "name": names.get(each), "count": len(times)}
        for each, times in zip(boxes.participants, boxes.times, strict=True)
    ]
    times = [_differences(np.round(1000 * each)) for each in boxes.times]
    places = [_differences(np.round(each / unit)) for each in boxes.boxes]
    columns = [place[:, column].astype("<i2") for column in range(4) for place in places]
    body = b"".join(each.tobytes() for each in [*(each.astype("<i4") for each in times), *columns])
    packed = base64.b64encode(zlib.compress(body)).decode()
    return {"people": people, "stay": STAYS_FRAMES * boxes.every / fps, "unit": unit, "packed": packed}


def _differences(values: Any) -> Any:
    """[n, ...]: the first value, then the difference of each to the one before."""
    return np.diff(values, axis=0, prepend=np.zeros_like(values[:1]))
