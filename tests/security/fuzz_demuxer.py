"""Fuzz the demuxer's child with damaged videos, by hand: `python -m tests.security.fuzz_demuxer [--seconds 600]`.

Every file is opened as `producer ingest` opens it and read to its end. The feed has to survive: a file ends with all
its frames, with a shortfall or with a SourceError, in time, and its decoder takes no more memory than it may. Writes
`results/DATE-demuxer.json`, and a file that broke the rule to `results/`.
"""

import argparse
import json
import re
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import NamedTuple

from producer.feeding.decoding.decoder import ADDRESS_SPACE_BYTES
from producer.feeding.sources.address import SourceError
from producer.feeding.sources.opening import FILE_OPENING_S, open_source
from producer.feeding.sources.recording import SILENCE_S
from tests.security.mutations import mutated, seeds
from training.provenance import provenance

RESULTS = Path(__file__).parent / "results"
# A wrong time stamp can make 24 hours of a small file. At this rate that is 432,000 frames, which take half a minute.
FPS = 5.0

# Longer than a decoder may be silent, so that the feed reports one that hangs.
PATIENCE_S = SILENCE_S + FILE_OPENING_S + 20.0


class Fate(NamedTuple):
    """How a file ended: in a word, its frames and seconds, and the peak memory of its decoder in MiB."""

    end: str
    frames: int
    seconds: float
    peak_mib: float


def main() -> None:
    """Fuzz for the given time, and write the results."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seconds", type=float, default=600.0)
    ask.add_argument("--seed", type=int, default=int(time.time()))
    given = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fates = fuzz(Path(folder), given.seed, given.seconds)
    broken = [fate for fate in fates if not survived(fate)]
    RESULTS.mkdir(exist_ok=True)
    origin = provenance(packages=("av", "numpy", "opencv-contrib-python"))
    result = {
        "files": len(fates),
        "seconds": given.seconds,
        "seed": given.seed,
        "ends": dict(Counter(fate.end for fate in fates).most_common()),
        "longest_s": round(max(fate.seconds for fate in fates), 2),
        "most_frames": max(fate.frames for fate in fates),
        "peak_mib": round(max(fate.peak_mib for fate in fates)),
        "broken": len(broken),
        "provenance": origin,
    }
    file = RESULTS / f"{origin['date'].replace(':', '')}-demuxer.json"
    file.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))  # noqa: T201


def fuzz(folder: Path, seed: int, seconds: float, files: int | None = None) -> list[Fate]:
    """Read damaged videos for `seconds`, or this number of `files`. The same `seed` makes the same ones."""
    random = Random(seed)
    good = seeds(folder)
    fates: list[Fate] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until and (files is None or len(fates) < files):
        name, data = mutated(random, good)
        path = folder / f"mutated-{name}"
        path.write_bytes(data)
        fates.append(fate_of(path))
        if not survived(fates[-1]):
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"broken-{seed}-{len(fates)}-{name}").write_bytes(data)
    return fates


def survived(fate: Fate) -> bool:
    """Whether a feed may end like this."""
    return fate.end not in ("late", "raised") and fate.peak_mib * 2**20 <= ADDRESS_SPACE_BYTES


def fate_of(path: Path) -> Fate:
    """Read a file as a feed does."""
    begun = time.monotonic()
    frames, peak = 0, 0.0
    late = threading.Event()
    timer = threading.Timer(PATIENCE_S, late.set)
    timer.start()
    try:
        with open_source(str(path), FPS) as opened:
            for _ in opened.frames(late):
                frames += 1
                if frames % 50 == 1:
                    peak = max(peak, _peak_mib(opened.decoder_pid))
            peak = max(peak, _peak_mib(opened.decoder_pid))
            end = "late" if late.is_set() else _kind(opened.shortfall or "whole")
    except SourceError as refusal:
        end = _kind(str(refusal).partition(": ")[2])
    except Exception as failure:
        end = "raised"
        path.with_suffix(".txt").write_text(repr(failure))
    finally:
        timer.cancel()
    return Fate(end, frames, time.monotonic() - begun, peak)


def _kind(message: str) -> str:
    """The message, without the numbers that differ between files."""
    return re.sub(r"\d+(:\d+)*", "N", message).partition(";")[0]


def _peak_mib(pid: int) -> float:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
