"""The times of a recording's pictures, if its stamps are good, wrong, missing, or restart."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.timing import CLOCK_BACK_S, DecodingStamps, PictureClock, StampedPicture

STEP = 0.04


def times(
    stamps: list[float | None], start: float | None = 0.0, duration: float = STEP, **options: object
) -> list[float]:
    clock = PictureClock(start, **options)  # type: ignore[arg-type]
    pictures = [StampedPicture(stamp, duration, number) for number, stamp in enumerate(stamps)]
    timed = list(clock.timed(pictures))
    assert [picture.picture for picture in timed] == list(range(len(stamps)))
    return [picture.t for picture in timed]


steady = [n * STEP for n in range(100)]
sparse = [n * 10.0 for n in range(30)]
uneven = [round(n * STEP + (n * 7 % 5) * 0.006, 3) for n in range(100)]


@pytest.mark.parametrize("stamps", [steady, sparse, uneven], ids=["steady", "sparse", "uneven"])
@given(start=st.floats(-100, 1e6), late=st.floats(0, 50))
def test_good_stamps_count_from_the_start_of_the_file(stamps: list[float], start: float, late: float) -> None:
    found = times([start + late + stamp for stamp in stamps], start)
    assert found == pytest.approx([late + stamp for stamp in stamps], abs=1e-6)


@pytest.mark.parametrize("stamps", [steady, sparse, uneven], ids=["steady", "sparse", "uneven"])
@given(number=st.integers(0, 20), wrong=st.floats(-1e5, -400.0) | st.floats(400.0, 1e6))
def test_a_wrong_stamp_moves_no_other_picture_and_its_own_picture_only_to_a_neighbour(
    stamps: list[float], number: int, wrong: float
) -> None:
    found = times([stamp + wrong if n == number else stamp for n, stamp in enumerate(stamps)])
    others = [n for n in range(len(stamps)) if n != number]
    assert [found[n] for n in others] == pytest.approx([stamps[n] for n in others], abs=2 * STEP)
    assert found == sorted(found)
    assert found[max(0, number - 1)] <= found[number] <= found[number + 1]


@given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=60), st.booleans(), st.none() | st.floats(-1e6, 1e6))
def test_time_never_decreases_and_begins_at_zero_or_later(
    stamps: list[float | None], breaks: bool, start: float | None
) -> None:
    found = times(stamps, start, breaks=breaks)
    assert found == sorted(found)
    assert all(t >= 0 for t in found)


@given(st.floats(CLOCK_BACK_S + 1, 1e5))
def test_a_clock_that_restarts_is_continued(back: float) -> None:
    again = [t + steady[-1] + STEP - back for t in steady]
    assert times([*steady, *again], 0.0) == pytest.approx([n * STEP for n in range(200)])


def test_a_step_forward_is_a_restart_only_where_the_clock_may_break() -> None:
    later = [t + 95443.7 for t in steady]
    assert times([*steady, *later], breaks=True) == pytest.approx([n * STEP for n in range(200)])
    assert times([*steady, *later]) == pytest.approx([*steady, *later])


def test_a_last_stamp_long_after_the_declared_end_is_wrong() -> None:
    assert times([*steady, 300.0], declared_end=4.04)[-1] == pytest.approx(4.0)
    assert times([*steady, 300.0], declared_end=301.0)[-1] == 300.0


def test_pictures_without_stamps_follow_each_other() -> None:
    assert times([None] * 100) == pytest.approx(steady)
    assert times([0.0, None, 0.08, None, None, 0.2]) == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2])


@given(st.integers(1, 200), st.integers(0, 8), st.integers(0, 2**32))
def test_decoding_stamps_are_given_in_the_order_of_display(pictures: int, reordered: int, seed: int) -> None:
    """A picture is displayed at most `reordered` places away from where it was decoded."""
    shuffle = random.Random(seed)
    order = sorted(range(pictures), key=lambda n: n + shuffle.uniform(0, reordered))
    stamps = DecodingStamps()
    found: list[float | None] = []
    fed = 0
    for place, picture in enumerate(order):
        while fed <= min(pictures - 1, place + reordered):
            stamps.fed(float(fed))
            fed += 1
        found.append(stamps.displayed(float(picture), key=False))
    assert found == [float(n) for n in range(pictures)]


def test_the_stamp_of_a_lost_picture_is_not_given_to_another_after_the_next_key_frame() -> None:
    stamps = DecodingStamps()
    for n in (0.0, 1.0, 2.0, 3.0):
        stamps.fed(n)
    stamps.failed(1.0)
    assert [stamps.displayed(0.0, True), stamps.displayed(2.0, False)] == [0.0, 2.0]
    for n in (4.0, 5.0):
        stamps.fed(n)
    assert stamps.displayed(4.0, key=True) == 4.0, "the picture of 3 never came"
    assert stamps.displayed(5.0, key=False) == 5.0
