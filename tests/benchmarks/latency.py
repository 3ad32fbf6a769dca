"""The latency of events of a live source, from a frame sent to its event received, with two workers.

A publisher sends a 720p25 gallery as MPEG-TS over TCP in real time, and `producer ingest` samples it at 2 fps. A
subscriber notes when the class event of each frame arrives, which is the last of the frame's events. Encoding is not
part of the latency. Goal: p95 under half a second.

    python -m tests.benchmarks.latency [--seconds 64] [--people 25] [--images KDEF]
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

import av
import redis
from av.video.frame import PictureType

from tests.benchmarks.ruler import CORES, FPS, SIZE, Result, Terms, lecture, main, warm_workers
from tests.streams import free_port
from worker.contract.keys import LectureKeys
from worker.contract.messages import ClassEvent, EndEvent, decode_event

GOAL_S = 0.5
LECTURE = "live"
RATE = 25
"""Sent frames per second, and frames from one key frame to the next."""

# While the decoder opens the stream, frames wait and then come all at once.
SETTLING_S = 3.0


def benchmark(terms: Terms) -> Result:
    with (
        tempfile.TemporaryDirectory() as folder,
        lecture(terms, fps=RATE) as film,
        warm_workers(2, CORES) as (client, url),
    ):
        broadcast = Path(folder) / "broadcast.ts"
        _encode_for_broadcast(film.video, broadcast)
        address = f"tcp://127.0.0.1:{free_port()}"
        sending = Publisher(broadcast, address)
        sending.start()
        command = [sys.executable, "-m", "producer", "ingest", address, "--redis", url, "--lecture", LECTURE, "--json"]
        command += ["--fps", str(FPS), "--give-up", "5"]
        producer = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        received = _received(client)
        producer.wait()
        sending.join()
    delays = sorted(at - (sending.begun + t) for t, at in received.items() if t >= SETTLING_S)
    p50, p95 = median(delays), quantiles(delays, n=20)[-1]
    return Result(
        ("frames", "p50, ms", "p95, ms", "most, ms"),
        [(str(len(delays)), *(f"{1000 * delay:.0f}" for delay in (p50, p95, delays[-1])))],
        f"goal: p95 under {GOAL_S:g} s: {'met' if p95 < GOAL_S else 'MISSED'}",
        {"p50": p50, "p95": p95, "delays": {str(t): at - sending.begun - t for t, at in received.items()}},
    )


class Publisher(threading.Thread):
    """Waits for a connection to `address` and sends the film in real time, from the moment `begun`."""

    def __init__(self, video: Path, address: str) -> None:
        super().__init__(name="publisher", daemon=True)
        self._video = video
        self._address = address
        self.begun = 0.0

    def run(self) -> None:
        with (
            av.open(str(self._video)) as film,
            av.open(f"{self._address}?listen=1", "w", format="mpegts", options={"muxdelay": "0"}) as output,
        ):
            pictures = film.streams.video[0]
            stream = output.add_stream_from_template(pictures)
            self.begun = time.monotonic()
            first: float | None = None
            for packet in film.demux(pictures):
                if packet.pts is None:
                    continue
                shown = float(packet.pts * packet.time_base)
                first = shown if first is None else first
                time.sleep(max(0.0, self.begun + shown - first - time.monotonic()))
                packet.stream = stream
                output.mux(packet)


def _encode_for_broadcast(video: Path, out: Path) -> None:
    """Encode like a live encoder: no frame depends on a later one."""
    with av.open(str(video)) as film, av.open(str(out), "w", format="mpegts") as output:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(RATE)}
        stream = output.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for picture in film.decode(video=0):
            picture.pict_type = PictureType.NONE  # the encoder chooses, not the recording
            output.mux(stream.encode(picture))
        output.mux(stream.encode())


def _received(client: redis.Redis) -> dict[float, float]:
    """The frame's time in the lecture -> the moment its class event arrived."""
    received: dict[float, float] = {}
    with client.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(LectureKeys(LECTURE).class_)
        for message in subscription.listen():
            event = decode_event(message["data"])
            if isinstance(event, EndEvent):
                return received
            if isinstance(event, ClassEvent):
                received[event.t] = time.monotonic()
    raise AssertionError("a subscription does not end by itself")


if __name__ == "__main__":
    main(benchmark)
