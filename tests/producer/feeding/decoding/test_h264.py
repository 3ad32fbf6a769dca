"""Lost reference pictures of H.264 are found by their numbers."""

from pathlib import Path
from typing import Any

import av
import pytest

from producer.feeding.decoding.h264 import FrameNumbers
from tests.producer.feeding.films import film

OPTIONS: dict[str, dict[str, str]] = {
    "b frames": {"bf": "3"},
    "open groups of pictures": {"bf": "3", "x264-params": "open-gop=1:b-pyramid=normal"},
    "fields": {"flags": "+ilme+ildct", "x264-params": "tff=1:bframes=3"},
    "baseline": {"profile": "baseline", "bf": "0"},
    "intra refresh": {"x264-params": "intra-refresh=1"},
    "several slices": {"x264-params": "slices=4"},
}


def missing_before(path: Path, lost: int | None = None) -> list[int]:
    """The numbers of the packets before which a reference picture is missing, if packet `lost` is left out."""
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        numbers = FrameNumbers(stream.codec_context.extradata or b"")
        return [
            number
            for number, packet in enumerate(container.demux(stream))
            if packet.size and number != lost and numbers.follow(bytes(packet), packet.is_keyframe)
        ]


@pytest.mark.parametrize("name", ["l.mp4", "l.ts", "l.avi"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_lost_reference_picture_is_found_and_nothing_else(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    recording = film(
        tmp_path / name, pictures=70, size=(64, 48), codec_options={"preset": "veryfast", "g": "30", **options}
    )
    assert missing_before(recording) == []
    assert missing_before(recording, lost=1) in ([2], [3], [4]), "the next reference picture may come after B frames"


def test_what_is_not_h264_is_not_judged() -> None:
    for extradata in (b"", b"\1", bytes(40), b"\1" * 40):
        numbers = FrameNumbers(extradata)
        for packet in (b"\0", b"\0\0\1", b"\0\0\1\x65", bytes(100), b"\xff" * 100):
            assert not numbers.follow(packet, key=True)
            numbers.follow(packet, key=False)
