"""Is each person one participant? IDF1, switches and smoothing on galleries whose truth is known.

Of smoothing it tells how often scores and smoothed scores are right, and how many of the changes that scores show
within 1.5 s smoothed scores show within 1.5 s too.

    python -m tests.benchmarks.participants GALLERY.mp4...

Each GALLERY.truth.jsonl lies beside its video, as ../shared/tools/gallery.py writes them (rows of t0, t1, person, tile,
emotion). `producer ingest` is run on every video; needs motmetrics (`pip install motmetrics 'pandas<3'`).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import motmetrics
import numpy as np
from rich.console import Console
from rich.table import Table

from tests.benchmarks.ruler import write_down
from tests.gallery import Tile

FIGURES = ("idf1", "num_switches", "people", "participants", "scores", "smoothed", "changes", "followed")

FOLLOWED_S = 1.5
FADE_S = 0.5  # from the end of a row of the truth to the change, and from the change to the next row


def measure(video: Path) -> dict[str, Any]:
    """IDF1 and switches of the ids, and how often scores and smoothed scores are right, on one gallery."""
    truth = [json.loads(line) for line in video.with_suffix(".truth.jsonl").read_text().splitlines()]
    accumulator = motmetrics.MOTAccumulator()
    participants: set[str] = set()
    right: dict[str, list[bool]] = defaultdict(list)
    shows: dict[str, list[tuple[float, str, str]]] = defaultdict(list)  # person -> when, by scores, and smoothed
    number_of: dict[str, int] = defaultdict(lambda: len(number_of))  # motmetrics wants numbers
    for number, (t, seen) in sorted(_frames(_events(video)).items()):
        shown = [row for row in truth if row["t0"] <= t < row["t1"]]
        participants |= {event["participant"] for event in seen}
        inside = [[Tile(*row["tile"]).holds(event["box"]) for event in seen] for row in shown]
        # A face in a tile of which the truth says nothing at this moment is neither right nor wrong.
        told = [i for i, event in enumerate(seen) if any(row[i] for row in inside)]
        distances = [[0.0 if row[i] else np.nan for i in told] for row in inside]
        accumulator.update(
            [number_of[row["person"]] for row in shown],
            [number_of[seen[i]["participant"]] for i in told],
            np.reshape(distances, (len(shown), len(told))),
            frameid=number,
        )
        for row, held in zip(shown, inside, strict=True):
            for event in (event for event, is_held in zip(seen, held, strict=True) if is_held):
                for kind in ("scores", "smoothed"):
                    right[kind].append(_foremost(event[kind]) == row["emotion"])
        for event in seen:
            # Between two rows of one tile, where a face changes, it is still whose tile it is.
            around = [row for row in truth if row["t0"] - 2 * FADE_S <= t < row["t1"] + 2 * FADE_S]
            for person in {row["person"] for row in around if Tile(*row["tile"]).holds(event["box"])}:
                shows[person].append((t, _foremost(event["scores"]), _foremost(event["smoothed"])))
    summary = motmetrics.metrics.create().compute(accumulator, metrics=["idf1", "num_switches"]).iloc[0]
    return {
        "video": video.stem,
        "idf1": float(summary["idf1"]),
        "num_switches": int(summary["num_switches"]),
        "people": len({row["person"] for row in truth}),
        "participants": len(participants),
        **{kind: float(np.mean(of_kind)) for kind, of_kind in right.items()},
        **_followed(truth, shows),
    }


def _followed(truth: list[dict[str, Any]], shows: dict[str, list[tuple[float, str, str]]]) -> dict[str, int]:
    """How many changes of expression scores show in time, and how many of these smoothed scores show in time."""
    changes = followed = 0
    rows = sorted(truth, key=lambda row: (row["person"], row["t0"]))
    for before, after in pairwise(rows):
        change = after["t0"] - FADE_S
        if before["person"] != after["person"] or before["tile"] != after["tile"]:
            continue
        if before["emotion"] == after["emotion"] or change - before["t1"] > 2 * FADE_S:
            continue
        shown = [(raw, smoothed) for t, raw, smoothed in shows[after["person"]] if change <= t <= change + FOLLOWED_S]
        if any(raw == after["emotion"] for raw, _ in shown):
            changes += 1
            followed += any(smoothed == after["emotion"] for _, smoothed in shown)
    return {"changes": changes, "followed": followed}


def _foremost(scores: dict[str, float]) -> str:
    return max(scores, key=lambda emotion: scores[emotion])


def _events(video: Path) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "producer", "ingest", str(video), "--lecture", "measured", "--json"]
        done = subprocess.run(command, env={**os.environ, "XDG_DATA_HOME": home}, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _frames(events: list[dict[str, Any]]) -> dict[int, tuple[float, list[dict[str, Any]]]]:
    frames: dict[int, tuple[float, list[dict[str, Any]]]] = {}
    for event in events:
        if event["type"] == "emotion":
            frames.setdefault(event["frame"], (event["t"], []))[1].append(event)
    return frames


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("videos", type=Path, nargs="+")
    measured = [measure(video) for video in ask.parse_args().videos]
    table = Table("gallery", *FIGURES)
    for one in measured:
        table.add_row(one["video"], *(f"{one[f]:.4f}" if isinstance(one[f], float) else str(one[f]) for f in FIGURES))
    Console(width=110).print(table)
    write_down("participants", {"galleries": measured})


if __name__ == "__main__":
    main()
