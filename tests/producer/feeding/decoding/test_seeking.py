"""A recording that is wanted from its middle on has the same frames as the whole recording."""

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.feeding.decoding.container import open_file
from producer.feeding.decoding.decoder import decode
from producer.feeding.decoding.recorded_video import needed_from
from producer.feeding.decoding.seeking import Stamp, first_needed
from producer.feeding.decoding.wire import DecodingFailed, Ended, FileTarget, Order, Sampled, decode_message
from producer.feeding.sources.frame import SampledFrame
from producer.feeding.sources.opening import open_sources
from producer.feeding.sources.request import SourceRequest
from tests.producer.feeding.films import film

NEVER = threading.Event()


def frames_of(path: Path, first: int = 0, fps: float = 2.0) -> list[SampledFrame]:
    """The frames that the decoder sends, without a process."""
    sent: list[bytes] = []
    decode(Order(FileTarget(bytes(path)), fps, 0, first=first), sent.append)
    frames, jpeg, answers = [], b"", iter(sent)
    for message in map(decode_message, answers):
        assert not isinstance(message, DecodingFailed)
        assert not (isinstance(message, Ended) and message.shortfall)
        if isinstance(message, Sampled):
            jpeg = next(answers) if message.fresh else jpeg
            frames.append(SampledFrame(message.tick, message.t, jpeg))
    return frames


def needed(path: Path, t: float) -> int:
    with path.open("rb") as file:
        return needed_from(open_file(file), t, lambda: None)


X264 = {"preset": "ultrafast", "g": "20"}

FILMS: dict[str, tuple[str, dict[str, Any]]] = {
    "b frames": ("l.mp4", {"codec_options": {**X264, "bf": "3"}}),
    "open groups of pictures": (
        "l.mkv",
        {"codec_options": {"preset": "veryfast", "g": "20", "bf": "3", "x264-params": "open-gop=1"}},
    ),
    "refreshed bit by bit": ("l.mp4", {"codec_options": {**X264, "intra-refresh": "1"}}),
    "h265, open groups": (
        "l.mkv",
        {
            "codec": "libx265",
            "codec_options": {"preset": "ultrafast", "x265-params": "keyint=20:open-gop=1:log-level=none"},
        },
    ),
    "vp9": ("l.webm", {"codec": "libvpx-vp9", "codec_options": {"deadline": "realtime", "cpu-used": "8", "g": "20"}}),
    "variable rate": ("l.mp4", {"times_ms": [n * 40 + n % 7 * 5 for n in range(150)], "codec_options": X264}),
    "one picture held for long": (
        "l.mkv",
        {"times_ms": [*range(0, 1200, 40), *range(4000, 8000, 40)], "pictures": 130, "codec_options": X264},
    ),
    "transport stream": ("l.ts", {"codec_options": X264}),
    "avi": ("l.avi", {"codec": "mpeg4"}),
    "with sound": ("l.mp4", {"codec_options": X264, "sound_s": 6.0}),
    "a clock that starts late": ("l.mkv", {"codec_options": X264, "first_pts": 10}),
}


@pytest.mark.parametrize("name", FILMS)
def test_frames_from_the_middle_on_equal_those_of_the_whole_recording(name: str, tmp_path: Path) -> None:
    file, options = FILMS[name]
    path = film(tmp_path / file, **{"pictures": 150, "noise": 30, **options})
    whole = frames_of(path)
    for first in (1, len(whole) // 2, len(whole) - 1):
        assert frames_of(path, first) == whole[first:]
    assert frames_of(path, len(whole)) == []


def test_packets_clearly_before_the_wanted_time_are_not_decoded(tmp_path: Path) -> None:
    path = film(tmp_path / "l.mp4", pictures=200, codec_options=X264)
    assert needed(path, 6.0) == 120  # the picture is number 150, every 20th is a key frame
    assert needed(path, 0.5) == 0
    assert needed(film(tmp_path / "l.ts", pictures=200, codec_options=X264), 6.0) == 0


def test_several_recordings_are_resumed_at_the_same_frame(tmp_path: Path) -> None:
    long, short = film(tmp_path / "a.mp4", pictures=150), film(tmp_path / "b.mp4", pictures=80)
    requests = [SourceRequest(str(long), "ada"), SourceRequest(str(short), "bob")]

    def frames(first: int) -> list[SampledFrame]:
        with open_sources(requests, 2.0, first=first) as source:
            return list(source.frames(NEVER))

    whole = frames(0)
    for first in (3, 9):
        assert frames(first) == [frame for frame in whole if frame.frame >= first]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=60),
    st.floats(-10, 50),
    st.floats(-10, 10),
)
def test_decoding_starts_at_the_last_but_one_key_frame_before_the_wanted_time(
    steps: list[tuple[int, bool]], t: float, start: float
) -> None:
    times = [start + sum(step for step, _ in steps[:n]) / 25 for n in range(len(steps))]
    packets = [Stamp(shown, shown, key) for shown, (_, key) in zip(times, steps, strict=True)]
    number = first_needed(packets, t)
    in_time = [n for n, shown in enumerate(times) if packets[n].key and shown <= t]
    assert number == (in_time[-2] if len(in_time) > 1 else 0)


@pytest.mark.parametrize("broken", [Stamp(None, 3.0, True), Stamp(3.0, None, True), Stamp(0.5, 0.5, True)])
def test_if_the_times_are_unclear_everything_is_decoded(broken: Stamp) -> None:
    packets = [Stamp(float(n), float(n), True) for n in range(10)]
    assert first_needed(packets, 8.0) == 7
    assert first_needed([*packets[:3], broken, *packets[4:]], 8.0) == 0
