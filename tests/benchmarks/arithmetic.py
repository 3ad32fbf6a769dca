"""The cost of a worker besides its networks: faces per second of one worker process over those of a bare loop.

The bare loop runs in one process, on the same core and in turns with the worker. It decodes the same JPEGs, detects the
faces and calls the same networks, without Redis, queue, appearance descriptors, slides, participants and events. It has
two forms. "One by one" calls the networks with one face at a time, as in a simple script. "In batches" calls them as
the worker does, so the difference is the whole cost of the worker. Both ask about the faces that can be read and have
changed.

On some galleries a worker publishes fewer faces than the loop finds: a doubtful face that is gone before its third
sighting gets no id. So each is measured by the faces that it found itself. Goal: the worker reaches at least 0.85 of
the first and 0.95 of the second.

    python -m tests.benchmarks.arithmetic [--repeats 5] [--seconds 64] [--people 25] [--images KDEF]
"""

import multiprocessing
import os
import time
from collections.abc import Sequence

import cv2
import numpy as np

from tests.benchmarks.ruler import Result, Terms, lecture, main, medians, two_cores, warm_workers, work
from worker.contract.messages import Chunk
from worker.perception.emotions import Ensemble
from worker.perception.faces import FaceDetector
from worker.perception.manifest import MODELS
from worker.perception.preprocessing import Image, face_crop
from worker.perception.readability import unreadable_because
from worker.perception.scales import Scales

GOALS = {"one by one": 0.85, "in batches": 0.95}


def benchmark(terms: Terms) -> Result:
    core, other = two_cores()
    os.sched_setaffinity(0, {other})  # Redis and this process do not share the worker's core
    with (
        lecture(terms) as film,
        warm_workers(1, [core], "--ensemble", "full") as (client, _),
        multiprocessing.get_context("spawn").Pool(1, BareLoop.start, ([core],)) as bare,
    ):
        chunks = film.chunks()
        faces = {"worker": work(client, chunks).faces}
        faces |= {form: bare.apply(BareLoop.run, (chunks, form))[1] for form in GOALS}
        seconds, measured = medians(
            {
                "worker": lambda: work(client, chunks).seconds,
                **{form: lambda form=form: bare.apply(BareLoop.run, (chunks, form))[0] for form in GOALS},  # type: ignore[misc]
            },
            terms.repeats,
        )
    os.sched_setaffinity(0, {core, other})
    speed = {name: faces[name] / took for name, took in seconds.items()}
    ratios = {form: speed["worker"] / speed[form] for form in GOALS}
    rows = [
        (name, str(faces[name]), f"{speed[name]:.0f}", f"{ratios[name]:.3f}" if name in ratios else "")
        for name in seconds
    ]
    met = all(ratios[form] >= goal for form, goal in GOALS.items())
    goals = " and ".join(f"{goal} of it {form}" for form, goal in GOALS.items())
    verdict = f"goal {goals}: {'met' if met else 'MISSED'}, by the median of {terms.repeats}"
    columns = ("", "faces found", "faces/s", "worker over it")
    return Result(columns, rows, verdict, {"faces": faces, "ratios": ratios, **measured})


class BareLoop:
    """The loop, in a process of its own that loads everything before the clock starts."""

    detector: FaceDetector
    ensemble: Ensemble

    @classmethod
    def start(cls, cores: Sequence[int]) -> None:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(1)
        cls.detector, cls.ensemble = FaceDetector(), Ensemble.load(MODELS)

    @classmethod
    def run(cls, chunks: Sequence[Chunk], form: str) -> tuple[float, int]:
        """Seconds for the whole lecture, and the number of detected faces."""
        begun = time.perf_counter()
        faces = 0
        for chunk in chunks:
            pictures = [cls._decoded(jpeg) for jpeg in chunk.jpegs]
            detected = list(cls.detector.detect_in_frames(map(Scales, pictures)))
            faces += sum(map(len, detected))
            # An unchanged face is the same detection in several frames.
            once = {face: picture for picture, found in zip(pictures, detected, strict=True) for face in found}
            crops = [
                face_crop(picture, face.box)
                for face, picture in once.items()
                if unreadable_because(picture, face) is None
            ]
            for some in [[crop] for crop in crops] if form == "one by one" else [crops]:
                cls.ensemble.predict(some)
        return time.perf_counter() - begun, faces

    @staticmethod
    def _decoded(jpeg: bytes) -> Image:
        return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


if __name__ == "__main__":
    main(benchmark)
