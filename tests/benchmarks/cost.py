"""The processor time of a face in each network, in the cascade and in the full ensemble, preprocessing included.

The faces are those of --images, found and cropped by the worker's own detector, on one thread of one core.

    python -m tests.benchmarks.cost --images KDEF [--repeats 5]
    python -m tests.benchmarks.without_avx512 cost --images KDEF [--repeats 5]
"""

from itertools import islice
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from tests.benchmarks.ruler import Result, Skipped, Terms, instructions, main, medians, on_cores, two_cores
from training.datasets import Dataset, read_dataset
from training.measuring.crops import face_detector, pictures_with_crops
from training.measuring.predictions import ms_per_face
from worker.perception.emotions import Ensemble
from worker.perception.manifest import MODELS, load_manifest
from worker.perception.preprocessing import Image

FACES = 256
SEED = 1
GOALS = {True: 1.5, False: 5.0}
"""Milliseconds for a face in the cascade, at most: with AVX-512 VNNI, and without."""


def benchmark(terms: Terms) -> Result:
    if terms.images is None:
        raise Skipped("there are no faces; name a folder of pictures with --images")
    manifest, faces = load_manifest(MODELS), _faces(terms.images)
    ensembles = {
        model.name: Ensemble(replace(manifest, models=[replace(model, weight=1.0)]), MODELS)
        for model in manifest.models
    }
    ensembles |= {"full": Ensemble(manifest, MODELS), "cascade": Ensemble(manifest, MODELS, mode="adaptive")}
    with on_cores(two_cores()[:1]):
        ms, measured = medians(
            {name: lambda one=one: ms_per_face(one, faces) for name, one in ensembles.items()},  # type: ignore[misc]
            terms.repeats,
        )
    answers = ensembles["cascade"].predict(faces).by_model
    asked = {name: float(1 - np.isnan(rows[:, 0]).mean()) for name, rows in answers.items()}
    rows = [(name, f"{each:.2f}", f"{asked[name]:.0%}" if name in asked else "") for name, each in ms.items()]
    goal = GOALS["avx512_vnni" in instructions()]
    reached = "reached" if ms["cascade"] <= goal else "missed"
    verdict = (
        f"the cascade takes {ms['cascade'] / ms['full']:.2f} of the full ensemble's time (goal {goal} ms: {reached})"
    )
    return Result(("", "ms per face", "asked"), rows, verdict, {**measured, "asked": asked, "faces": len(faces)})


def _faces(folder: Path) -> list[Image]:
    """Random faces of the pictures in a folder, found and cropped as the worker does it."""
    pictures = read_dataset(folder).pictures
    order = np.random.default_rng(SEED).permutation(len(pictures))
    shuffled = Dataset(folder.name, [pictures[i] for i in order])
    return [face for _, (face,) in islice(pictures_with_crops(shuffled, detect=face_detector()), FACES)]


if __name__ == "__main__":
    main(benchmark)
