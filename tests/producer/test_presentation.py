"""What all views share: the form of times, the time until a participant is away, and the colours."""

from datetime import datetime
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from producer.presentation.clock import clock, date
from producer.presentation.palette import COLOURS, STACK
from producer.presentation.thresholds import away_after_s
from worker.contract.messages import EMOTIONS


def test_times_are_shown_in_hours_and_absence_begins_after_five_seconds_or_two_frames() -> None:
    assert [away_after_s(fps) for fps in (None, 2.0, 0.1)] == pytest.approx([5.0, 5.0, 20.0])
    for fps in (0.3, 0.11, 0.07):  # two frames are never more than two frames apart, in any rounding
        assert not any((k + 2) / fps - k / fps > away_after_s(fps) for k in range(1000))
    assert [clock(0), clock(59.99), clock(723), clock(36_000)] == ["0:00:00", "0:00:59", "0:12:03", "10:00:00"]


def test_dates_have_one_form() -> None:
    assert date(datetime(2026, 1, 9, 8, 5, 59).timestamp()) == "2026-01-09 08:05"


# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
VISION = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("vision", VISION)
def test_the_colours_differ_for_every_colour_vision(vision: str) -> None:
    seen = {emotion: _oklab(np.array(VISION[vision]) @ _linear(colour)) for emotion, colour in COLOURS.items()}
    nearest = min(combinations(seen, 2), key=lambda pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])))
    assert float(np.linalg.norm(seen[nearest[0]] - seen[nearest[1]])) > 0.13, nearest
    assert set(COLOURS) == set(STACK) == set(EMOTIONS)


def _linear(colour: str) -> npt.NDArray[np.float64]:
    value = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _oklab(linear: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    opponents = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.asarray(np.array(opponents) @ np.cbrt(np.array(cones) @ np.clip(linear, 0, 1)))
