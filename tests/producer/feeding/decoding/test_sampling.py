"""Sample and hold on recordings."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.sampling import ROUNDING_S, Sample, TimedPicture, checked_fps, sample_count, sampled


@dataclass(frozen=True)
class Recording:
    """Pictures displayed at `times`, and the `end` of the last one, in half milliseconds from the start of the file."""

    times: list[int]
    end: int

    def pictures(self) -> list[TimedPicture[int]]:
        durations = [0] * (len(self.times) - 1) + [self.end - self.times[-1]]
        pairs = zip(self.times, durations, strict=True)
        return [TimedPicture(t / 2000, duration / 2000, number) for number, (t, duration) in enumerate(pairs)]


# No sample of these rates falls on an odd number of half milliseconds, even after ROUNDING_S, so rounding of floats
# does not matter.
odd = st.integers(0, 10_000).map(lambda n: 2 * n + 1)
rates = st.sampled_from([0.1, 1.0, 2.0, 3.0, 5.0, 12.5, 25.0, 29.97, 60.0])


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    times = sorted([draw(st.just(0) | odd), *draw(st.lists(odd, max_size=30))])
    return Recording(times, max([*times, draw(odd)]))


def by_definition(recording: Recording, fps: float) -> list[tuple[int, int]]:
    """(k, picture on display at k / fps) for every k before the end, by searching all pictures each time.

    The first picture also counts as displayed in the sampling step before it, if that is the first of the file.
    """
    start = recording.times[0] / 2000 - ROUNDING_S
    samples: list[tuple[int, int]] = []
    k = 0
    while not samples or k / fps + ROUNDING_S < recording.end / 2000:
        on = [number for number, t in enumerate(recording.times) if t / 2000 <= k / fps + ROUNDING_S]
        if on or (k == 0 and start < 1 / fps):
            samples.append((k, on[-1] if on else 0))
        k += 1
    return samples


@given(recordings(), rates)
def test_sampling_holds_what_is_on_display_at_every_tick(recording: Recording, fps: float) -> None:
    samples = list(sampled(recording.pictures(), fps))
    assert [(sample.tick, sample.picture) for sample in samples] == by_definition(recording, fps)
    assert [sample.t for sample in samples] == [sample.tick / fps for sample in samples]
    assert samples[-1].tick + 1 == max(samples[0].tick + 1, sample_count(recording.end / 2000, fps))


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
        ([TimedPicture(0.0, 0.0, 5)], 60, [5]),
        ([TimedPicture(t, 0.5, number) for number, t in enumerate([0.0, 0.5, 0.49, 1.0])], 2, [0, 2, 3]),
        ([TimedPicture(round(n / 30, 3), 0.033, n) for n in range(60)], 30, list(range(60))),
    ],
    ids=["none", "a still picture", "times that run backwards", "times in milliseconds, as Matroska has them"],
)
def test_odd_recordings_are_sampled(pictures: list[TimedPicture[int]], fps: float, samples: list[int]) -> None:
    assert list(sampled(pictures, fps)) == [Sample(k, k / fps, number) for k, number in enumerate(samples)]


def test_a_late_start_and_damage_stay_with_their_pictures() -> None:
    pictures = [TimedPicture(5.2, 0.5, "a"), TimedPicture(5.9, 0.5, "b", damaged=True), TimedPicture(6.2, 0.5, "c")]
    assert list(sampled(pictures, 2)) == [
        Sample(11, 5.5, "a"), Sample(12, 6.0, "b", damaged=True), Sample(13, 6.5, "c"),
    ]  # fmt: skip


@pytest.mark.parametrize("fps", [0, -1, 1000, 60.001, float("nan"), float("inf")])
def test_a_rate_out_of_range_is_refused_with_the_range(fps: float) -> None:
    with pytest.raises(ValueError, match=rf"^fps {fps:g} is out of range: give more than 0 and at most 60"):
        checked_fps(fps)
    assert [checked_fps(good) for good in (0.01, 2, 60)] == [0.01, 2, 60]
