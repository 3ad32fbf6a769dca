"""The adaptive ensemble against the full one: faces a second of one worker process, and how often each is right.

How often they are right is known for galleries of KDEF pictures only. No goal but to know.

    python -m tests.benchmarks.adaptive [--repeats 5] [--seconds 64] [--people 25] [--images KDEF]
"""

from tests.benchmarks.ruler import Result, Skipped, Terms, lecture, main, medians, two_cores, warm_workers, work
from worker.perception.manifest import MODELS, load_manifest


def benchmark(terms: Terms) -> Result:
    if load_manifest(MODELS).adaptive is None:
        raise Skipped(f"the manifest in {MODELS} has no adaptive ensemble; `training ensemble` works one out")
    core, _ = two_cores()
    with (
        lecture(terms) as film,
        warm_workers(1, [core], "--ensemble", "full") as (full, _),
        warm_workers(1, [core], "--ensemble", "adaptive") as (adaptive, _),
    ):
        chunks = film.chunks()
        of_mode = {"full": full, "adaptive": adaptive}
        told = {mode: work(client, chunks) for mode, client in of_mode.items()}
        seconds, measured = medians(
            {mode: lambda client=client: work(client, chunks).seconds for mode, client in of_mode.items()},  # type: ignore[misc]
            terms.repeats,
        )
        right = {mode: film.right(worked.told) for mode, worked in told.items()}
    rows = [
        (mode, f"{told[mode].faces / seconds[mode]:.0f}", f"{good / shown:.1%}" if shown else "not known")
        for mode, (good, shown) in right.items()
    ]
    gain = seconds["full"] / seconds["adaptive"]
    measured |= {"gain": gain, "right": right, "faces": {mode: worked.faces for mode, worked in told.items()}}
    return Result(
        ("ensemble", "faces/s", "right"), rows, f"the adaptive ensemble is {gain:.2f} times as fast", measured
    )


if __name__ == "__main__":
    main(benchmark)
