"""The decoder's process. It is separate because a broken file or stream can crash it (PyAV #2344).

`sources.decoder_process` starts it. It answers with the messages of `wire`, and ends when nobody reads them any more.
"""

import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import av
import cv2
import numpy as np
from msgspec import json

from producer.feeding.decoding.container import Unreadable, is_recording, open_file, open_stream
from producer.feeding.decoding.live_video import LiveVideo
from producer.feeding.decoding.pacing import paced
from producer.feeding.decoding.recorded_video import RecordedVideo, needed_from
from producer.feeding.decoding.sampling import sample_count, sampled
from producer.feeding.decoding.wire import (
    Alive,
    DecodingFailed,
    Ended,
    FileTarget,
    KeyFrame,
    Opened,
    Order,
    Sampled,
)
from worker.contract.messages import encode

# Pixels of the longer side of a JPEG, as in Full HD. A face in a gallery of 49 then still has about 90 pixels.
LONGEST_SIDE = 1920
JPEG_QUALITY = 90
ALIVE_EVERY_S = 1.0

# Limit of this process' memory, because a file can make a codec allocate any amount (docs/benchmarks.md).
ADDRESS_SPACE_BYTES = 4 * 2**30

Send = Callable[[bytes], None]


def main() -> None:
    """Read the order from standard input, decode, answer. When standard input ends, the process ends at once."""
    allowed = [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
    address_space = min([ADDRESS_SPACE_BYTES, *allowed])  # a limit that the user has set may be lower
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would contain the address, with its password
    order = json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers = Connection(order.answers, readable=False)
    try:
        decode(order, answers.send_bytes)
    except BrokenPipeError:
        return
    except MemoryError:
        limit = f"{address_space / 2**30:.1f} GiB of memory, its limit"
        answers.send_bytes(encode(DecodingFailed(f"decoding needs more than {limit}; convert it to a smaller picture")))


def decode(order: Order, send: Send) -> None:
    """Send `Opened`, every sample that is wanted, and `Ended`; or `DecodingFailed` if the source cannot be read."""
    alive = _alive_sender(send)
    try:
        if isinstance(order.target, FileTarget):
            with Path(os.fsdecode(order.target.path)).open("rb") as file:
                first_packet = needed_from(open_file(file), order.first / order.fps, alive) if order.first else 0
                file.seek(0)
                video = RecordedVideo(open_file(file), order.fps, alive, "the file is damaged", first_packet)
                _decode_recording(video, order, send)
            return
        container = open_stream(order.target)
        may_be_recording = order.target.may_be_recording
        if may_be_recording and is_recording(container):
            _decode_recording(RecordedVideo(container, order.fps, alive, "the connection was lost"), order, send)
        else:
            _decode_live(LiveVideo(container, alive, may_be_recording, order.known_key_frames), order, send)
    except Unreadable as why:
        send(encode(DecodingFailed(str(why))))
    except OSError as failure:
        send(encode(DecodingFailed(f"cannot be read: {failure.strerror}")))


def _decode_recording(video: RecordedVideo, order: Order, send: Send) -> None:
    encoder = None
    last = None
    for sample in sampled(video.pictures(), order.fps):
        picture = sample.picture
        if encoder is None:
            encoder = JpegEncoder(picture, order.size)
            expected = None if video.duration is None else sample_count(video.duration, order.fps)
            send(encode(Opened(encoder.width, encoder.height, expected)))
        if sample.frame < order.first:
            continue
        jpeg = None if picture is last else encoder.jpeg(picture)
        send(encode(Sampled(sample.frame, sample.t, fresh=jpeg is not None)))
        if jpeg is not None:
            send(jpeg)
        last = picture
    send(encode(Ended(video.shortfall())))


def _decode_live(video: LiveVideo, order: Order, send: Send) -> None:
    encoder = None
    for sample in paced(video.pictures(), order.fps):
        if encoder is None:
            encoder = JpegEncoder(sample.picture, order.size)
            send(encode(Opened(encoder.width, encoder.height, live=True)))
        jpeg = encoder.jpeg(sample.picture)
        send(encode(Sampled(sample.frame, sample.t, fresh=True)))
        send(jpeg)
        _send_marks(video, send)
    _send_marks(video, send)
    send(encode(Ended(video.broken_off)))


def _send_marks(video: LiveVideo, send: Send) -> None:
    while video.marks:
        send(encode(KeyFrame(video.marks.popleft())))


class JpegEncoder:
    """Encodes the pictures of a video: upright, all of one size, no side longer than LONGEST_SIDE.

    `width` and `height` are the size as displayed: that of the first picture, or the given `size`. If the video changes
    its size, its pictures are scaled to it, so that boxes keep their meaning.
    """

    def __init__(self, first: av.VideoFrame, size: tuple[int, int] | None = None) -> None:
        lying = _quarter_turns(first) % 2
        self.width, self.height = size or ((first.height, first.width) if lying else (first.width, first.height))
        shrink = min(1.0, LONGEST_SIDE / max(self.width, self.height))
        self._encoded = max(1, round(self.width * shrink)), max(1, round(self.height * shrink))

    def jpeg(self, picture: av.VideoFrame) -> bytes:
        turns = _quarter_turns(picture)
        width, height = reversed(self._encoded) if turns % 2 else self._encoded
        shrinking = width < picture.width
        pixels = picture.reformat(width, height, "bgr24", interpolation="AREA" if shrinking else None).to_ndarray()
        upright = cv2.rotate(pixels, TURNS[turns]) if turns else pixels
        _, encoded = cv2.imencode(".jpg", upright, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return np.asarray(encoded).tobytes()


TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def _quarter_turns(picture: av.VideoFrame) -> int:
    """The number of counter-clockwise turns by 90 degrees, rounded, that make the picture upright."""
    return round(picture.rotation / 90) % 4


def _alive_sender(send: Send) -> Callable[[], None]:
    """A function to be called often. It sends `Alive` once a second, so that the parent knows that decoding goes on."""
    due = time.monotonic() + ALIVE_EVERY_S

    def alive() -> None:
        nonlocal due
        if time.monotonic() >= due:
            send(encode(Alive()))
            due = time.monotonic() + ALIVE_EVERY_S

    return alive


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
