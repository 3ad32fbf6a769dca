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
from producer.feeding.decoding.jpeg import LONGEST_SIDE, JpegEncoder
from producer.feeding.decoding.live_video import LiveVideo
from producer.feeding.decoding.pacing import paced
from producer.feeding.decoding.pushing import CannotListen, open_push
from producer.feeding.decoding.recorded_video import RecordedVideo, needed_from
from producer.feeding.decoding.sampling import sample_count, sampled
from producer.feeding.decoding.wire import (
    Alive,
    Decoding,
    DecodingFailed,
    Ended,
    FileTarget,
    KeyFrame,
    Opened,
    Order,
    PushTarget,
    Sampled,
    SenderRefused,
    StreamTarget,
)
from worker.contract.messages import encode

ALIVE_EVERY_S = 1.0

# Limit of this process' memory, because a file can make a codec allocate any amount (docs/benchmarks.md).
ADDRESS_SPACE_BYTES = 4 * 2**30

Send = Callable[[bytes], None]


def main() -> None:
    """Read the order from standard input, decode, answer. When standard input ends, the process ends at once."""
    allowed = [limit for limit in resource.getrlimit(resource.RLIMIT_AS) if limit != resource.RLIM_INFINITY]
    address_space = min([ADDRESS_SPACE_BYTES, *allowed])  # a limit that the user has set may be lower
    if sys.platform == "linux":  # macOS has no such limit
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
                first_packet = 0
                if order.first:
                    first_packet = needed_from(_chosen_in(file, order)[0], order.first / order.fps, alive)
                container, choice = _chosen_in(file, order)
                video = RecordedVideo(container, order.fps, alive, "the file is damaged", first_packet, order.crashed)
                size = os.fstat(file.fileno()).st_size
                _decode_recording(video, choice, order, send, lambda: os.fstat(file.fileno()).st_size > size)
            return
        if isinstance(order.target, PushTarget):
            while not _decoded_push(order.target, order, send, alive):
                pass
            return
        container, choice, recording = chosen_at(order.target)
        if recording:
            video = RecordedVideo(container, order.fps, alive, "the connection was lost", after_crash=order.crashed)
            _decode_recording(video, choice, order, send)
        else:
            live = LiveVideo(container, alive, order.target.may_be_recording, order.known_key_frames)
            _decode_live(live, choice, order, send)
    except Unreadable as why:
        send(encode(DecodingFailed(str(why))))
    except OSError as failure:
        send(encode(DecodingFailed(f"cannot be read: {failure.strerror}")))


def _chosen_in(file: BinaryIO, order: Order) -> tuple[InputContainer, Choice]:
    """The recording in an open file, from its start, and the choice of its video. Raises Unreadable."""

    def opened() -> InputContainer:
        file.seek(0)
        return open_file(file)

    return choose_in(opened(), order.target.video, LONGEST_SIDE, opened)


def chosen_at(target: StreamTarget) -> tuple[InputContainer, Choice, bool]:
    """The opened address, the choice of its video, and whether it is a recording. Raises Unreadable."""
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


def _decode_recording(
    video: RecordedVideo, choice: Choice, order: Order, send: Send, has_grown: Callable[[], bool] = lambda: False
) -> None:
    encoder = None
    last = before_crash = None
    video.decoding = lambda packet: send(encode(Decoding(packet)))
    for sample in sampled(video.pictures(), order.fps):
        picture = sample.picture
        if encoder is None:
            encoder = JpegEncoder(video.stream, picture)
            duration = video.duration
            expected = None if duration is None else max(1, sample_count(duration, order.fps) - sample.tick)
            notice = choice.notice or video.assumed_rate
            size, chosen = (encoder.width, encoder.height), (choice.number, choice.usual)
            send(encode(Opened(*size, sample.tick, expected, False, *chosen, notice, video.chapters)))
            before_crash = None if order.crashed is None else picture
        if sample.tick < order.first:
            continue
        jpeg = None if picture is last else encoder.jpeg(picture)
        damaged = sample.damaged or picture is before_crash
        send(encode(Sampled(sample.tick, sample.t, jpeg is not None, damaged)))
        if jpeg is not None:
            send(jpeg)
        last = picture
    growing = "the file is still being written; ingest it again when it is complete"
    send(encode(Ended(growing if has_grown() else video.shortfall(order.first / order.fps))))


def _decoded_push(target: PushTarget, order: Order, send: Send, alive: Callable[[], None]) -> bool:
    """Decode the next push; whether it had a picture. Raises CannotListen."""

    def refused(why: str) -> None:
        send(encode(SenderRefused(why)))

    try:
        with open_push(target, refused) as opened:
            container, choice = choose_in(opened, target.video, LONGEST_SIDE, None)
            _decode_live(LiveVideo(container, alive), choice, order, send)
            return True
    except CannotListen:
        raise
    except Unreadable as why:
        refused(str(why))
        return False


def _decode_live(video: LiveVideo, choice: Choice, order: Order, send: Send) -> None:
    encoder = None
    for sample in paced(video.pictures(), order.fps):
        if encoder is None:
            encoder = JpegEncoder(video.stream, sample.picture)
            size, chosen = (encoder.width, encoder.height), (choice.number, choice.usual)
            send(encode(Opened(*size, 0, None, True, *chosen, choice.notice)))
        jpeg = encoder.jpeg(sample.picture)
        send(encode(Sampled(sample.tick, sample.t, True, sample.damaged)))
        send(jpeg)
        _send_marks(video, send)
    _send_marks(video, send)
    send(encode(Ended(video.broken_off)))


def _send_marks(video: LiveVideo, send: Send) -> None:
    while video.marks:
        send(encode(KeyFrame(video.marks.popleft())))


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
