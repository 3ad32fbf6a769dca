"""Slide changes against the truth of rendered lectures: how many are found within one sampling step, and false ones.

    python -m tests.benchmarks.slides --images KDEF [--seeds 100 101 102 103 104] [--fps 2] [--stay 6 16]

KDEF is a folder with KDEF pictures under their original names. Every lecture has 20 slides beside people, is written as
H.264, decoded, and goes through the worker's detector, slide descriptor and folding. The seed chooses layout, template,
transitions, bullets, films on slides, and people, who leave and come back. For every lecture with slides there is a
gallery of faces only, and a lecturer who walks before a wall. docs/slides.md shows the result.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.benchmarks.ruler import write_down
from tests.gallery import Picture
from tests.slide_lectures import SIZE, SlideLecture, faces_only, lecturer_page, slide_lecture
from worker.folding.slides import NewSlide, SlideState, advance_slides
from worker.perception.faces import FaceDetector
from worker.perception.scales import Scales
from worker.perception.slides import slide_descriptor

PEOPLE = 12
JPEG_QUALITY = 85
SECONDS_WITHOUT = 60.0  # length of a gallery without slides, and of a lecturer before a wall


class Pipeline:
    """The worker's steps for the slides of one lecture. `ms` has the times of detector and descriptor per frame."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self.ms: dict[str, list[float]] = {"faces": [], "descriptor": [], "folding": []}

    def slides(self, pictures: Iterator[Picture], fps: float) -> list[NewSlide]:
        state: SlideState | None = None
        slides = []
        for number, picture in enumerate(pictures):
            jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
            decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8)
            times = [time.process_time()]
            (faces,) = self._detector.detect_in_frames([Scales(decoded)])
            times.append(time.process_time())
            descriptor = slide_descriptor(decoded, [face.box for face in faces])
            times.append(time.process_time())
            state, new = advance_slides(state, descriptor, number, number / fps)
            times.append(time.process_time())
            slides += new
            for name, begun, ended in zip(self.ms, times, times[1:], strict=False):
                self.ms[name].append(1000 * (ended - begun))
        return slides


def measured(seed: int, people: Sequence[Sequence[Picture]], fps: float, stay: tuple[float, float]) -> dict[str, Any]:
    """One lecture with slides, one gallery without, and a lecturer before a wall."""
    rng = random.Random(seed)
    faces = rng.sample(list(people), PEOPLE)
    pipeline = Pipeline()
    lecture = slide_lecture(seed, faces, stay=stay)
    found = [each.t for each in pipeline.slides(as_video(lecture, fps), fps) if each.number > 1]
    late = []
    for change in lecture.changes:
        near = [t for t in found if 0 <= t - change <= 1 / fps + lecture.fade]
        if near:
            found.remove(near[0])
            late.append(near[0] - change)
    gallery = pipeline.slides(as_video(faces_only(seed, faces, SECONDS_WITHOUT), fps), fps)
    wall = (lecturer_page(faces[0][0], n / fps, seed)[0] for n in range(round(SECONDS_WITHOUT * fps)))
    return {
        "seed": seed,
        "changes": len(lecture.changes),
        "found": len(late),
        "false": len(found),
        "median_delay_s": round(float(np.median(late)), 2) if late else None,
        "in_gallery": len(gallery),
        "before_wall": len(pipeline.slides(wall, fps)),
        "ms": {name: round(float(np.median(values)), 2) for name, values in pipeline.ms.items()},
    }


def as_video(lecture: SlideLecture, fps: float) -> Iterator[Picture]:
    """The samples of a lecture that was written as H.264."""
    film_fps = max(1, round(fps))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lecture.mp4"
        lecture.write(path, film_fps)
        due = 0
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number / film_fps >= due / fps - 1e-6:
                    due += 1
                    yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def people_in(folder: Path) -> list[list[Picture]]:
    """Frontal KDEF pictures of one session, by person."""
    found: dict[str, list[Picture]] = {}
    for path in sorted(folder.rglob("A*S.JPG")):
        picture = cv2.imread(str(path))
        if len(path.stem) == 7 and picture is not None:
            found.setdefault(path.stem[1:4], []).append(np.asarray(picture, np.uint8))
    if len(found) < PEOPLE:
        raise SystemExit(f"{folder} has frontal pictures of {len(found)} people; {PEOPLE} are needed")
    return list(found.values())


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--images", type=Path, required=True)
    ask.add_argument("--seeds", type=int, nargs="+", default=list(range(100, 105)))
    ask.add_argument("--fps", type=float, default=2.0)
    ask.add_argument("--stay", type=float, nargs=2, default=(6.0, 16.0), help="seconds for which a slide is shown")
    given = ask.parse_args()
    people = people_in(given.images)
    with ProcessPoolExecutor(len(given.seeds)) as processes:  # times are those of the process
        stay = tuple(given.stay)
        lectures = list(processes.map(partial(measured, people=people, fps=given.fps, stay=stay), given.seeds))
    table = Table(*lectures[0])
    for each in lectures:
        table.add_row(*map(str, each.values()))
    Console(width=140).print(table)
    total = {name: sum(each[name] for each in lectures) for name in ("changes", "found", "false")}
    total["share_found"] = round(total["found"] / total["changes"], 3)
    Console().print(total)
    write_down("slides", {"fps": given.fps, "stay_s": given.stay, "size": SIZE, **total, "lectures": lectures})


if __name__ == "__main__":
    main()
