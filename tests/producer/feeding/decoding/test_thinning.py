"""Pictures of a recording that need no decoding."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.container import open_file
from producer.feeding.decoding.recorded_video import RecordedVideo
from producer.feeding.decoding.sampling import TimedPicture, sampled
from producer.feeding.decoding.thinning import REORDERED, followed, may_be_sampled
from tests.producer.feeding.films import film


@st.composite
def reordered(draw: st.DrawFn) -> list[int]:
    """Times of display in an order of decoding: none is displayed more than REORDERED - 1 places later."""
    times = sorted(draw(st.sets(st.integers(0, 10_000), min_size=1, max_size=80)))
    shifts = draw(st.lists(st.integers(0, REORDERED - 1), min_size=len(times), max_size=len(times)))
    order = sorted(range(len(times)), key=lambda n: (n + shifts[n], n))
    return [times[n] for n in order]


@given(reordered())
def test_every_packet_comes_with_the_time_of_the_picture_displayed_after_it(times: list[int]) -> None:
    on_display = sorted(times)
    after = dict(zip(on_display, [*on_display[1:], None], strict=True))
    found = list(followed(times, float))
    assert [packet for packet, _, _ in found] == times
    assert [(t, following) for _, t, following in found] == [(t, after[t]) for t in times]


def test_a_packet_without_a_time_does_not_affect_the_others() -> None:
    assert list(followed([0, None, 2], lambda packet: packet)) == [(0, 0, 2), (None, None, None), (2, 2, None)]


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=60),
    st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.0, 12.5, 25.0, 29.97, 60.0]),
)
def test_skipped_pictures_change_no_sample(steps: list[int], fps: float) -> None:
    times = [sum(steps[:n]) / 1000 for n in range(len(steps) + 1)]
    every = [TimedPicture(t, 0.04, number) for number, t in enumerate(times)]
    kept = [
        picture
        for picture, following in zip(every, [*times[1:], None], strict=True)
        if picture.t == 0 or following is None or may_be_sampled(picture.t, following, fps)
    ]
    assert list(sampled(kept, fps)) == list(sampled(every, fps))


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264.mp4"), ("libx265", "h265.mkv")])
def test_only_pictures_that_a_sample_shows_are_decoded(tmp_path: Path, codec: str, name: str) -> None:
    assert sum(may_be_sampled(n / 25, (n + 1) / 25, 2) for n in range(250)) <= 40
    path = film(tmp_path / name, codec, pictures=100)
    with path.open("rb") as file:
        assert len(list(RecordedVideo(open_file(file), 25, lambda: None, "").pictures())) == 100
    with path.open("rb") as file:
        pictures = list(RecordedVideo(open_file(file), 2, lambda: None, "").pictures())
    assert len(pictures) < 70
    at = {round(picture.t * 25) for picture in pictures}
    assert {0, 12, 25, 37, 50, 62, 75, 87} <= at
