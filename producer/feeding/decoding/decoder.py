"""The decoder's process. It is one of its own, because a broken file or stream can bring it down (PyAV #2344).

`child` starts it. It answers in the messages of `wire` and ends when nobody is left to listen.
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

from producer.feeding.decoding.container import Unreadable, is_recording, open_file, open_stream
from producer.feeding.decoding.live_video import LiveVideo
from producer.feeding.decoding.pacing import paced
from producer.feeding.decoding.recorded_video import RecordedVideo, needed_from
from producer.feeding.decoding.sampling import sample_count, sampled
from producer.feeding.decoding.wire import (
    Alive,
    Ended,
    FileTarget,
    KeyFrame,
    Opened,
    Order,
    Picture,
    Refused,
    decode_order,
    encode,
)

# Full HD. A face in a gallery of 49 is still some 90 pixels wide there, which is what the networks look at.
LONGEST_SIDE = 1920
JPEG_QUALITY = 90
ALIVE_EVERY_S = 1.0

# What a file can make a codec ask for is bounded by this, whatever else fails. H.264 of 8192 x 8192 with 4 reference
# pictures took 1.25 GB (PyAV 18.1); with 16, the most there can be, it is another 1.2.
ADDRESS_SPACE_BYTES = 4 * 2**30

Send = Callable[[bytes], None]


def main() -> None:
    """Read the order from standard input, decode, answer. When standard input ends, so does the process, at once."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the address, with its password
    order = decode_order(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers = Connection(order.answers, readable=False)
    try:
        decode(order, answers.send_bytes)
    except BrokenPipeError:
        return


def decode(order: Order, send: Send) -> None:
    """Send `Opened`, then every sample wanted, then `Ended`; or, if the source gives no picture at all, `Refused`."""
    alive = _heartbeat(send)
    try:
        if isinstance(order.target, FileTarget):
            with Path(os.fsdecode(order.target.path)).open("rb") as file:
                begin = needed_from(open_file(file), order.first / order.fps, alive) if order.first else 0
                file.seek(0)
                _decode_recording(
                    RecordedVideo(open_file(file), order.fps, alive, "the file is damaged", begin), order, send
                )
            return
        container = open_stream(order.target)
        if order.target.may_be_recording and is_recording(container):
            _decode_recording(RecordedVideo(container, order.fps, alive, "the connection was lost"), order, send)
        else:
            _decode_live(LiveVideo(container, alive, order.target.may_be_recording, order.seen), order, send)
    except Unreadable as why:
        send(encode(Refused(str(why))))
    except OSError as failure:
        send(encode(Refused(f"cannot be read: {failure.strerror}")))


def _decode_recording(video: RecordedVideo, order: Order, send: Send) -> None:
    screen = None
    held = None
    for sample in sampled(video.pictures(), order.fps):
        frame = sample.picture
        if screen is None:
            screen = Screen(frame, order.screen)
            expected = None if video.duration is None else sample_count(video.duration, order.fps)
            send(encode(Opened(screen.width, screen.height, video.duration, expected)))
        if sample.frame < order.first:
            continue
        fresh = None if frame is held else screen.jpeg(frame)
        send(encode(Picture(sample.frame, sample.t, fresh=fresh is not None)))
        if fresh is not None:
            send(fresh)
        held = frame
    send(encode(Ended(video.shortfall())))


def _decode_live(live_video: LiveVideo, order: Order, send: Send) -> None:
    screen = None
    for sample in paced(live_video.pictures(), order.fps):
        if screen is None:
            screen = Screen(sample.picture, order.screen)
            send(encode(Opened(screen.width, screen.height, live=True)))
        jpeg = screen.jpeg(sample.picture)
        send(encode(Picture(sample.frame, sample.t, fresh=True)))
        send(jpeg)
        _send_marks(live_video, send)
    _send_marks(live_video, send)
    send(encode(Ended(live_video.broken_off)))


def _send_marks(live_video: LiveVideo, send: Send) -> None:
    while live_video.marks:
        send(encode(KeyFrame(live_video.marks.popleft())))


class Screen:
    """How a video is shown: its size as displayed, and its pictures upright, no larger than LONGEST_SIDE.

    Both follow the first picture, or `size`, width and height, where it was told before. A video that changes its size
    is scaled to that, so that boxes keep their meaning.
    """

    def __init__(self, first: av.VideoFrame, size: tuple[int, int] | None = None) -> None:
        lying = _quarter_turns(first) % 2
        self.width, self.height = size or ((first.height, first.width) if lying else (first.width, first.height))
        shrink = min(1.0, LONGEST_SIDE / max(self.width, self.height))
        self._shown = max(1, round(self.width * shrink)), max(1, round(self.height * shrink))

    def jpeg(self, frame: av.VideoFrame) -> bytes:
        turns = _quarter_turns(frame)
        width, height = reversed(self._shown) if turns % 2 else self._shown
        shrinking = width < frame.width
        pixels = frame.reformat(width, height, "bgr24", interpolation="AREA" if shrinking else None).to_ndarray()
        upright = cv2.rotate(pixels, TURNS[turns]) if turns else pixels
        _, encoded = cv2.imencode(".jpg", upright, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        return np.asarray(encoded).tobytes()


TURNS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


def _quarter_turns(frame: av.VideoFrame) -> int:
    """How often to turn the picture counter-clockwise by 90 degrees; a rotation in between goes to the nearest."""
    return round(frame.rotation / 90) % 4


def _heartbeat(send: Send) -> Callable[[], None]:
    """To be called often; sends `Alive` every now and then, so that a long way to the next sample is no hang."""
    due = time.monotonic() + ALIVE_EVERY_S

    def beat() -> None:
        nonlocal due
        if time.monotonic() >= due:
            send(encode(Alive()))
            due = time.monotonic() + ALIVE_EVERY_S

    return beat


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)
