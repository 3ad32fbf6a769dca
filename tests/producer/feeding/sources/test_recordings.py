"""Several recordings of one lecture, decoded as one."""

import os
import signal
import threading
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from producer.feeding.sources import lasting_decoder
from producer.feeding.sources.address import SourceError
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_source, open_sources
from producer.feeding.sources.recording import Recording
from producer.feeding.sources.recordings import Recordings
from producer.feeding.sources.request import SourceRequest
from tests.producer.feeding.films import cut, film, number_of
from tests.streams import served_stream

NEVER = threading.Event()


def opened(**files: Path) -> Recordings:
    source = open_sources([SourceRequest(str(file), name) for name, file in files.items()], 2)
    assert isinstance(source, Recordings)
    return source


def by_frame(pictures: Iterator[SampledFrame]) -> list[list[SampledFrame]]:
    return [list(group) for _, group in groupby(pictures, key=lambda picture: picture.frame)]


def test_every_frame_has_a_picture_of_each_recording_until_it_ends(tmp_path: Path) -> None:
    first = film(tmp_path / "first.mp4", pictures=100)
    slow = film(tmp_path / "slow.mkv", pictures=50, fps=10, size=(160, 120))
    last = film(tmp_path / "last.ts", pictures=25, first_pts=300)  # its own clock begins at 12 s
    with opened(alice=first, bob=slow, carol=last) as source:
        frames = by_frame(source.frames(NEVER))
        assert (source.width, source.height, source.expected, source.shortfall) == (320, 240, 10, None)
        assert source.label.name == "alice=first.mp4, bob=slow.mkv, carol=last.ts"
    who = [[picture.participant for picture in frame] for frame in frames]
    assert who == [*[["alice", "bob", "carol"]] * 2, *[["alice", "bob"]] * 6, *[["bob"]] * 2]
    rates, sizes = {"alice": 25, "bob": 10, "carol": 25}, {"alice": (320, 240), "bob": (160, 120), "carol": (320, 240)}
    for k, frame in enumerate(frames):
        for picture in frame:
            assert picture.participant is not None
            assert (picture.frame, picture.t, picture.size) == (k, k / 2, sizes[picture.participant])
            assert number_of(picture.jpeg) == k * rates[picture.participant] // 2


def test_a_truncated_recording_is_named_and_the_others_continue(tmp_path: Path) -> None:
    whole, damaged = film(tmp_path / "whole.mkv", pictures=200), cut(film(tmp_path / "cut.mkv", pictures=200))
    with opened(alice=damaged, bob=whole) as source:
        frames = by_frame(source.frames(NEVER))
        shortfall = source.shortfall
    together = [len(frame) for frame in frames]
    assert together == sorted(together, reverse=True)
    assert 2 < together.count(2) < 16 == len(frames)
    assert shortfall is not None
    assert shortfall.startswith("alice=cut.mkv: the file ends at 0:00:0")


def test_a_decoder_that_is_killed_again_and_again_does_not_affect_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting_decoder, "MAX_FAILURES", 0)
    # The pipe holds only one of these large pictures, so each decoder waits for its reader.
    large = film(tmp_path / "large.mp4", "mpeg4", pictures=20, fps=2, size=(640, 480), noise=200)
    with open_source(str(large), 2) as alice, open_source(str(large), 2) as bob:
        assert isinstance(alice, Recording)
        assert isinstance(bob, Recording)
        source = Recordings({"alice": alice, "bob": bob})
        pictures = source.frames(NEVER)
        first = [next(pictures) for _ in range(4)]
        os.kill(bob.decoder_pid, signal.SIGKILL)
        rest = by_frame(pictures)
        shortfall = source.shortfall
    assert [picture.participant for picture in first] == ["alice", "bob"] * 2
    assert [picture.participant for picture in rest[-1]] == ["alice"]
    assert rest[-1][0].frame == 19
    assert shortfall is not None
    assert shortfall.startswith("bob=large.mp4: the decoder was killed 1 times at 0:00:0")


def test_stop_completes_the_frame(tmp_path: Path) -> None:
    stop = threading.Event()
    video = film(tmp_path / "a.mp4", pictures=200)
    with opened(alice=video, bob=video) as source:
        pictures = source.frames(stop)
        first = next(pictures)
        stop.set()
        rest = list(pictures)
    assert [(picture.frame, picture.participant) for picture in [first, *rest]] == [(0, "alice"), (0, "bob")]
    assert source.shortfall is None


def test_if_one_recording_cannot_be_opened_or_is_live_all_are_closed(tmp_path: Path) -> None:
    video = film(tmp_path / "a.mp4", pictures=25)
    with served_stream("mpegts") as url:
        for other, reason in (
            (str(tmp_path / "b.mp4"), r"b\.mp4: no such file"),
            (url, "is live; only recordings can be"),
        ):
            with pytest.raises(SourceError, match=reason):
                open_sources([SourceRequest(str(video), "alice"), SourceRequest(other, "bob")], 2)
