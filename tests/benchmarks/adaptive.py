"""The adaptive ensemble against the full one: faces per second of one worker process, and accuracy.

Accuracy is only known for galleries of KDEF pictures. There is no goal.

    python -m tests.benchmarks.adaptive [--repeats 5] [--seconds 64] [--people 25] [--images KDEF]
"""

from tests.benchmarks.ruler import Result, Skipped, Terms, lecture, main, medians, two_cores, warm_workers, work
from worker.perception.manifest import MODELS, load_manifest


def benchmark(terms: Terms) -> Result:
    if load_manifest(MODELS).adaptive is None:
        raise Skipped(f"the manifest in {MODELS} has no adaptive ensemble; fit one with `training ensemble`")
    core, _ = two_cores()
    with (
        lecture(terms) as film,
        warm_workers(1, [core], "--ensemble", "full") as (full, _),
        warm_workers(1, [core], "--ensemble", "adaptive") as (adaptive, _),
    ):
        chunks = film.chunks()
        of_mode = {"full": full, "adaptive": adaptive}
        worked = {mode: work(client, chunks) for mode, client in of_mode.items()}
        seconds, measured = medians(
            {mode: lambda client=client: work(client, chunks).seconds for mode, client in of_mode.items()},  # type: ignore[misc]
            terms.repeats,
        )
        right = {mode: film.right(one.found) for mode, one in worked.items()}
    rows = [
        (mode, f"{worked[mode].faces / seconds[mode]:.0f}", f"{good / shown:.1%}" if shown else "not known")
        for mode, (good, shown) in right.items()
    ]
    gain = seconds["full"] / seconds["adaptive"]
    measured |= {"gain": gain, "right": right, "faces": {mode: one.faces for mode, one in worked.items()}}
    return Result(
        ("ensemble", "faces/s", "right"), rows, f"the adaptive ensemble is {gain:.2f} times as fast", measured
    )


if __name__ == "__main__":
    main(benchmark)
