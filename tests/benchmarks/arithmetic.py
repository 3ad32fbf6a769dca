"""The cost of a worker besides its networks: faces per second of one worker process over those of a bare loop.

The bare loop runs in one process, on the same core and in turns with the worker. It decodes the same JPEGs, detects the
faces and calls the same three models, without Redis, queue, appearance descriptors, participants and events. It has two
forms: "one by one" calls the models with one face at a time, as in a simple script; "in batches" calls them as the
worker does, so the difference is the whole cost of the worker. Goal: the worker reaches at least 0.85 of either.

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
from worker.perception.scales import Scales

GOAL = 0.85


def benchmark(terms: Terms) -> Result:
    core, other = two_cores()
    os.sched_setaffinity(0, {other})  # Redis and this process do not share the worker's core
    with (
        lecture(terms) as film,
        warm_workers(1, [core], "--ensemble", "full") as (client, _),
        multiprocessing.get_context("spawn").Pool(1, BareLoop.start, ([core],)) as bare,
    ):
        chunks = film.chunks()
        faces = work(client, chunks).faces
        loops = {form: bare.apply(BareLoop.run, (chunks, form)) for form in ("one by one", "in batches")}
        assert {found for _, found in loops.values()} == {faces}, "all detect the same faces"
        seconds, measured = medians(
            {
                "worker": lambda: work(client, chunks).seconds,
                **{form: lambda form=form: bare.apply(BareLoop.run, (chunks, form))[0] for form in loops},  # type: ignore[misc]
            },
            terms.repeats,
        )
    os.sched_setaffinity(0, {core, other})
    ratios = {form: seconds[form] / seconds["worker"] for form in loops}
    rows = [
        (name, f"{faces / took:.0f}", f"{ratios[name]:.3f}" if name in ratios else "") for name, took in seconds.items()
    ]
    verdict = f"goal {GOAL}: {'met' if min(ratios.values()) >= GOAL else 'MISSED'}, by the median of {terms.repeats}"
    return Result(("", "faces/s", "worker over it"), rows, verdict, {"faces": faces, "ratios": ratios, **measured})


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
            crops = [
                face_crop(picture, face.box)
                for picture, found in zip(pictures, cls.detector.detect_in_frames(map(Scales, pictures)), strict=True)
                for face in found
            ]
            faces += len(crops)
            for some in [[crop] for crop in crops] if form == "one by one" else [crops]:
                cls.ensemble.predict(some)
        return time.perf_counter() - begun, faces

    @staticmethod
    def _decoded(jpeg: bytes) -> Image:
        return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


if __name__ == "__main__":
    main(benchmark)
