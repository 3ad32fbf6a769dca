"""The decoder's process. It is one of its own, because a broken file can bring it down (PyAV #2344).

`child` starts it. It answers in the messages of `wire` and ends when nobody is left to listen.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import av
import cv2
import numpy as np

from producer.feeding.sampling import sample_count, sampled
from producer.feeding.video import Unreadable, Video
from producer.feeding.wire import Alive, Ended, Opened, Picture, Refused, decode_order, encode

# Full HD. A face in a gallery of 49 is still some 90 pixels wide there, which is what the networks look at.
LONGEST_SIDE = 1920
JPEG_QUALITY = 90
ALIVE_EVERY_S = 1.0

Send = Callable[[bytes], None]


def main() -> None:
    """Read the order from standard input, decode, answer. When standard input ends, so does the process, at once."""
    order = decode_order(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers = Connection(order.answers, readable=False)
    try:
        decode(Path(os.fsdecode(order.path)), order.fps, answers.send_bytes)
    except BrokenPipeError:
        return


def decode(path: Path, fps: float, send: Send) -> None:
    """Send `Opened`, then every sample, then `Ended`; or, if the file gives no picture at all, `Refused`."""
    try:
        with path.open("rb") as file:
            video = Video(file, _heartbeat(send))
            screen = None
            held = None
            for sample in sampled(video.pictures(), fps):
                frame = sample.picture
                if screen is None:
                    screen = Screen(frame)
                    expected = None if video.duration is None else sample_count(video.duration, fps)
                    send(encode(Opened(screen.width, screen.height, video.duration, expected)))
                fresh = None if frame is held else screen.jpeg(frame)
                send(encode(Picture(sample.frame, sample.t, fresh=fresh is not None)))
                if fresh is not None:
                    send(fresh)
                held = frame
            send(encode(Ended(video.shortfall())))
    except Unreadable as why:
        send(encode(Refused(str(why))))
    except OSError as failure:
        send(encode(Refused(f"cannot be read: {failure.strerror}")))


class Screen:
    """How a video is shown: its size as displayed, and its pictures upright, no larger than LONGEST_SIDE.

    Both follow the first picture. A video that changes its size is scaled to that, so that boxes keep their meaning.
    """

    def __init__(self, first: av.VideoFrame) -> None:
        lying = _quarter_turns(first) % 2
        self.width, self.height = (first.height, first.width) if lying else (first.width, first.height)
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
