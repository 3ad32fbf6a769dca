"""LecturePulse against PyPI's `fer` with its MTCNN pipeline: faces per second, and accuracy on all shown faces.

Both take turns at the same frames of the same gallery on both cores; start-up is not timed. LecturePulse uses the
adaptive ensemble if the manifest has one. Goal: 4 times the faces per second, 6 times with VNNI, and the right answer
for 25 points more of the shown faces.
`fer` lives in an environment of its own: `python -m venv peer; peer/bin/pip install fer==25.10.3`.

    python -m tests.benchmarks.peer --peer-python peer/bin/python --images KDEF [--repeats 5] [--seconds 64]
"""

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.ruler import (
    CORES,
    Result,
    Skipped,
    Terms,
    Worked,
    instructions,
    lecture,
    main,
    medians,
    warm_workers,
    work,
)
from worker.perception.manifest import MODELS, load_manifest

GOAL, GOAL_WITH_VNNI = 4.0, 6.0
MORE_RIGHT = 0.25

# For each line of standard input, the name of a folder of JPEGs, it prints the seconds and the detected faces.
PEER = """
import json, pathlib, sys, time
import cv2
answers = sys.stdout
sys.stdout = sys.stderr
try:
    from fer import FER
except ImportError:  # since 25.10
    from fer.fer import FER
peer = FER(mtcnn=True)
for line in sys.stdin:
    begun = time.perf_counter()
    found = []
    for jpeg in sorted(pathlib.Path(line.strip()).glob("*.jpg")):
        faces = peer.detect_emotions(cv2.imread(str(jpeg)))
        found.append([([int(v) for v in f["box"]], max(f["emotions"], key=f["emotions"].get)) for f in faces])
    print(json.dumps([time.perf_counter() - begun, found]), file=answers, flush=True)
"""

OURS = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
"""Its emotions that have another name in the contract."""


def benchmark(terms: Terms) -> Result:
    if terms.peer_python is None or terms.images is None:
        raise Skipped("--peer-python and --images are needed")
    mode = "full" if load_manifest(MODELS).adaptive is None else "adaptive"
    with (
        tempfile.TemporaryDirectory() as folder,
        lecture(terms) as film,
        warm_workers(len(CORES), CORES, "--ensemble", mode) as (client, _),
        subprocess.Popen(
            [terms.peer_python, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as peer,
    ):
        for frame in film.frames:
            (Path(folder) / f"{frame.frame:05}.jpg").write_bytes(frame.jpeg)
        chunks = film.chunks()
        contestants: dict[str, Callable[[], Worked]] = {
            f"LecturePulse, {mode}": lambda: work(client, chunks),
            "fer": lambda: _worked(peer, folder, [frame.t for frame in film.frames]),
        }
        worked = {name: run() for name, run in contestants.items()}
        seconds, measured = medians(
            {name: lambda run=run: run().seconds for name, run in contestants.items()},  # type: ignore[misc]
            terms.repeats,
        )
        assert peer.stdin is not None
        peer.stdin.close()
        right = {name: film.right(one.found) for name, one in worked.items()}
    speed = {name: one.faces / seconds[name] for name, one in worked.items()}
    ours, theirs = speed
    ratio = speed[ours] / speed[theirs]
    goal = GOAL_WITH_VNNI if any("vnni" in name for name in instructions()) else GOAL
    share = {name: good / shown for name, (good, shown) in right.items()}
    more = share[ours] - share[theirs]
    met = "met" if ratio >= goal and more >= MORE_RIGHT else "MISSED"
    verdict = f"goal {goal:g} times and {MORE_RIGHT:.0%} more right: {met} ({ratio:.2f} times, {more:.1%} more)"
    rows = [(name, f"{speed[name]:.0f}", str(one.faces), f"{share[name]:.1%}") for name, one in worked.items()]
    return Result(
        ("", "faces/s", "faces found", "right of those on show"),
        rows,
        verdict,
        {"ratio": ratio, "right": right, "faces": {name: one.faces for name, one in worked.items()}, **measured},
    )


def _worked(peer: "subprocess.Popen[str]", folder: str, times: list[float]) -> Worked:
    assert peer.stdin is not None
    assert peer.stdout is not None
    print(folder, file=peer.stdin, flush=True)
    answer: Any = peer.stdout.readline()
    if not answer:
        raise Skipped("fer does not work in the environment of --peer-python; its output is above")
    seconds, frames = json.loads(answer)
    faces = [(t, box, OURS.get(word, word)) for t, found in zip(times, frames, strict=True) for box, word in found]
    return Worked(seconds, len(faces), faces)


if __name__ == "__main__":
    main(benchmark)
