"""Sample and hold on recordings."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.sampling import ROUNDING_S, Sample, TimedPicture, checked_fps, sample_count, sampled


@dataclass(frozen=True)
class Recording:
    """Pictures displayed at `times`, and the `end` of the last one, in half milliseconds from the first."""

    start: int
    times: list[int]
    end: int

    def pictures(self) -> list[TimedPicture[int]]:
        durations = [0] * (len(self.times) - 1) + [self.end - self.times[-1]]
        pairs = zip(self.times, durations, strict=True)
        return [
            TimedPicture((self.start + t) / 2000, duration / 2000, number) for number, (t, duration) in enumerate(pairs)
        ]


# No sample of these rates falls on an odd number of half milliseconds, even after ROUNDING_S, so rounding of floats
# does not matter.
odd = st.integers(0, 10_000).map(lambda n: 2 * n + 1)
rates = st.sampled_from([0.1, 1.0, 2.0, 3.0, 5.0, 12.5, 25.0, 29.97, 60.0])


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    later = sorted(draw(st.lists(odd, max_size=30)))
    end = max([*later, draw(odd)])
    return Recording(draw(st.integers(-5_000, 200_000_000)), [0, *later], end)


def by_definition(recording: Recording, fps: float) -> list[tuple[int, int]]:
    """(k, picture on display at k / fps) for every k before the end, by searching all pictures each time."""
    samples: list[tuple[int, int]] = []
    while not samples or len(samples) / fps + ROUNDING_S < recording.end / 2000:
        k = len(samples)
        on = [number for number, t in enumerate(recording.times) if t / 2000 <= k / fps + ROUNDING_S]
        samples.append((k, on[-1]))
    return samples


@given(recordings(), rates)
def test_sampling_holds_what_is_on_display_at_every_tick(recording: Recording, fps: float) -> None:
    samples = list(sampled(recording.pictures(), fps))
    assert [(sample.frame, sample.picture) for sample in samples] == by_definition(recording, fps)
    assert [sample.t for sample in samples] == [sample.frame / fps for sample in samples]
    assert len(samples) == sample_count(recording.end / 2000, fps)


@given(recordings(), rates)
def test_sampling_reads_one_picture_ahead_and_no_further(recording: Recording, fps: float) -> None:
    taken: list[int] = []

    def watched() -> Iterator[TimedPicture[int]]:
        for picture in recording.pictures():
            taken.append(picture.picture)
            yield picture

    for sample in sampled(watched(), fps):
        assert taken[-1] <= sample.picture + 1


@pytest.mark.parametrize(
    ("pictures", "fps", "samples"),
    [
        ([], 2, []),
        ([TimedPicture(7.0, 0.0, 5)], 60, [5]),
        ([TimedPicture(t, 0.5, number) for number, t in enumerate([0.0, 0.5, 0.49, 1.0])], 2, [0, 2, 3]),
        ([TimedPicture(round(n / 30, 3), 0.033, n) for n in range(60)], 30, list(range(60))),
    ],
    ids=["none", "a still picture", "times that run backwards", "times in milliseconds, as Matroska has them"],
)
def test_odd_recordings_are_sampled(pictures: list[TimedPicture[int]], fps: float, samples: list[int]) -> None:
    assert list(sampled(pictures, fps)) == [Sample(k, k / fps, number) for k, number in enumerate(samples)]


@pytest.mark.parametrize("fps", [0, -1, 1000, 60.001, float("nan"), float("inf")])
def test_a_rate_out_of_range_is_refused_with_the_range(fps: float) -> None:
    with pytest.raises(ValueError, match=rf"^fps {fps:g} is out of range: give more than 0 and at most 60"):
        checked_fps(fps)
    assert [checked_fps(good) for good in (0.01, 2, 60)] == [0.01, 2, 60]
