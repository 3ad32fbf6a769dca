"""The clock of a live stream, and the pictures that are sampled from it."""

import math
from collections.abc import Iterator
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.pacing import CLOCK_FORWARD_S, LATE_S, StreamClock, paced
from producer.feeding.decoding.sampling import TimedPicture

P = TypeVar("P")

PICTURES = [n / 25 for n in range(100)]


def timed(pictures: list[tuple[float, P]]) -> list[TimedPicture[P]]:
    return [TimedPicture(t, 0.0, picture) for t, picture in pictures]


def times(pictures: list[tuple[float | None, float]]) -> list[float]:
    clock = StreamClock()
    return [clock.at(stamp, came) for stamp, came in pictures]


def test_a_segment_that_arrives_at_once_and_a_network_delay_do_not_change_the_times() -> None:
    assert times([(7000 + t, 50.0) for t in PICTURES]) == pytest.approx(PICTURES)
    delayed = [(t, t if t < 1 else max(t, 3.0)) for t in PICTURES]
    assert times(list(delayed)) == PICTURES


def test_a_stream_clock_that_jumps_stands_still_or_is_missing_is_replaced_by_the_wall_clock() -> None:
    assert times([(95443.0, 10.0), (95443.5, 10.5), (0.0, 11.0), (0.5, 11.5)]) == [0.0, 0.5, 1.0, 1.5]
    assert times([(0.0, 10.0), (0.5, 10.5), (95443.0, 11.0), (95443.5, 11.5)]) == [0.0, 0.5, 1.0, 1.5]
    assert times([(0.0, 0.0), (0.04, 60.0), (0.08, 60.04)]) == [0.0, 60.0, 60.04]
    assert times([(None, 5.0), (None, 5.5), (None, 7.0)]) == [0.0, 0.5, 2.0]


@given(st.lists(st.tuples(st.none() | st.floats(-1e5, 1e5), st.floats(0, 100)), min_size=1))
def test_whatever_the_stamps_are_time_never_decreases_and_is_never_far_behind(
    steps: list[tuple[float | None, float]],
) -> None:
    came, clock, last = 0.0, StreamClock(), 0.0
    for stamp, wait in steps:
        came += wait
        t = clock.at(stamp, came)
        assert t >= last
        assert t >= came - steps[0][1] - LATE_S - 1e-6
        last = t


@given(st.lists(st.floats(0, CLOCK_FORWARD_S), max_size=50), st.floats(-1e5, 1e5))
def test_a_plausible_stream_clock_is_used(steps: list[float], start: float) -> None:
    came, stamps = 0.0, [start]
    for step in steps:
        stamps.append(stamps[-1] + step)
    clock = StreamClock()
    for stamp in stamps:
        came = stamp - start
        assert math.isclose(clock.at(stamp, came), stamp - start, abs_tol=1e-6)


def test_the_first_picture_at_or_after_every_tick_is_taken() -> None:
    samples = list(paced(timed([(t, round(t * 25)) for t in PICTURES]), 2))
    assert [(sample.tick, sample.picture) for sample in samples] == [
        (0, 0), (1, 13), (2, 25), (3, 38), (4, 50), (5, 63), (6, 75), (7, 88),
    ]  # fmt: skip
    assert [sample.t for sample in samples] == [PICTURES[sample.picture] for sample in samples]


def test_a_tick_without_a_picture_is_skipped_and_numbers_have_no_gap() -> None:
    samples = list(paced(timed([(0.0, "a"), (0.5, "b"), (30.2, "c"), (30.4, "d"), (30.6, "e")]), 2))
    assert [(sample.tick, sample.t, sample.picture) for sample in samples] == [
        (0, 0.0, "a"), (1, 0.5, "b"), (2, 30.2, "c"), (3, 30.6, "e"),
    ]  # fmt: skip


def test_a_picture_is_sampled_when_it_arrives_and_not_when_the_next_one_does() -> None:
    def pictures() -> Iterator[TimedPicture[str]]:
        yield TimedPicture(0.0, 0.0, "now")
        raise AssertionError("read ahead")

    assert next(paced(pictures(), 2)).picture == "now"


@given(st.sampled_from([0.1, 1.0, 2.0, 5.0, 12.5, 25.0]), st.integers(1, 400))
def test_a_steady_stream_gives_its_rate(fps: float, pictures: int) -> None:
    samples = list(paced(timed([(n / 25, n) for n in range(pictures)]), fps))
    assert len(samples) == math.floor((pictures - 1) / 25 * fps + 1e-9) + 1
