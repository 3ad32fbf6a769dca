"""The simulated cell of `tests.benchmarks.ten_thousand`, where the right answer is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.simulating import Frame, fewest_workers, latencies, live


@given(st.integers(1, 30), st.integers(1, 8))
def test_frames_that_come_together_are_read_in_rounds(lectures: int, workers: int) -> None:
    frames = [Frame(0.0, lecture, 0) for lecture in range(lectures)]
    rounds = [lecture // workers + 1 for lecture in range(lectures)]
    assert latencies(frames, workers, lambda: 1.0, 0.0) == pytest.approx(rounds)


def test_a_slow_frame_holds_back_the_next_ones_of_its_lecture_only() -> None:
    times = iter([3.0, 1.0, 1.0])
    frames = [Frame(0.0, 0, 0), Frame(0.5, 0, 1), Frame(0.5, 1, 0)]
    assert latencies(frames, 3, lambda: next(times), 0.0) == [1.0, 3.0, 2.5]


def test_frames_wait_for_the_one_thread_of_redis_however_many_workers_there_are() -> None:
    frames = live(100, 1, lambda: 0.0)
    assert max(latencies(frames, 100, lambda: 0.0, 0.03)) == pytest.approx(100 * 0.03)


def test_the_fewest_workers_are_found() -> None:
    assert [fewest_workers(right.__le__, 1) for right in range(1, 60)] == list(range(1, 60))
