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
from typing import BinaryIO

import av
import cv2
import numpy as np
from av.container import InputContainer
from msgspec import json, structs

from producer.feeding.decoding.choosing import Choice, choose_in
from producer.feeding.decoding.container import (
    UnknownFormat,
    Unreadable,
    is_recording,
    open_file,
    open_stream,
    read_dash,
)
from producer.feeding.decoding.dash import as_playlist
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
    StreamTarget,
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
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would contain the address, with its password
    order = json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers = Connection(order.answers, readable=False)
    try:
        decode(order, answers.send_bytes)
    except BrokenPipeError:
        return


def decode(order: Order, send: Send) -> None:
    """Send `Opened`, every sample that is wanted, and `Ended`; or `DecodingFailed` if the source cannot be read."""
    alive = _alive_sender(send)
    try:
        if isinstance(order.target, FileTarget):
            with Path(os.fsdecode(order.target.path)).open("rb") as file:
                first_packet = 0
                if order.first:
                    first_packet = needed_from(_chosen_in(file, order)[0], order.first / order.fps, alive)
                container, choice = _chosen_in(file, order)
                video = RecordedVideo(container, order.fps, alive, "the file is damaged", first_packet)
                _decode_recording(video, choice, order, send)
            return
        container, choice, recording = chosen_at(order.target)
        if recording:
            video = RecordedVideo(container, order.fps, alive, "the connection was lost")
            _decode_recording(video, choice, order, send)
        else:
            live = LiveVideo(container, alive, order.target.may_be_recording, order.known_key_frames)
            _decode_live(live, choice, order, send)
    except Unreadable as why:
        send(encode(DecodingFailed(str(why))))
    except OSError as failure:
        send(encode(DecodingFailed(f"cannot be read: {failure.strerror}")))


def _chosen_in(file: BinaryIO, order: Order) -> tuple[InputContainer, Choice]:
    """The recording in an open file, from its start, and which of its videos is read. Raises Unreadable."""

    def opened() -> InputContainer:
        file.seek(0)
        return open_file(file)

    return choose_in(opened(), order.target.video, LONGEST_SIDE, opened)


def chosen_at(target: StreamTarget) -> tuple[InputContainer, Choice, bool]:
    """What is at an address, which of its videos is read, and whether it is a recording. Raises Unreadable."""
    try:
        container = open_stream(target)
    except UnknownFormat:
        manifest = read_dash(target) if target.may_be_recording else None
        if manifest is None:
            raise
        playlist = as_playlist(manifest, target.url, target.video, LONGEST_SIDE)
        if playlist.file is not None:
            return open_stream(structs.replace(target, url=playlist.file)), playlist.choice, True
        return open_stream(target, playlist.text), playlist.choice, True
    recording = target.may_be_recording and is_recording(container)
    reopened = (lambda: open_stream(target)) if recording else None
    return *choose_in(container, target.video, LONGEST_SIDE, reopened), recording


def _decode_recording(video: RecordedVideo, choice: Choice, order: Order, send: Send) -> None:
    encoder = None
    last = None
    for sample in sampled(video.pictures(), order.fps):
        picture = sample.picture
        if encoder is None:
            encoder = JpegEncoder(picture, order.size)
            expected = None if video.duration is None else sample_count(video.duration, order.fps)
            send(encode(Opened(encoder.width, encoder.height, expected, False, *choice[1:])))
        if sample.frame < order.first:
            continue
        jpeg = None if picture is last else encoder.jpeg(picture)
        send(encode(Sampled(sample.frame, sample.t, fresh=jpeg is not None)))
        if jpeg is not None:
            send(jpeg)
        last = picture
    send(encode(Ended(video.shortfall())))


def _decode_live(video: LiveVideo, choice: Choice, order: Order, send: Send) -> None:
    encoder = None
    for sample in paced(video.pictures(), order.fps):
        if encoder is None:
            encoder = JpegEncoder(sample.picture, order.size)
            send(encode(Opened(encoder.width, encoder.height, None, True, *choice[1:])))
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
