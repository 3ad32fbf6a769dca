"""Ids and smoothing against the truth of galleries: IDF1, switches, and the accuracy of smoothed scores.

Smoothing is measured by the accuracy of scores and smoothed scores, and by the changes of expression that scores show
within 1.5 s: how many of them smoothed scores show within 1.5 s, too.

    python -m tests.benchmarks.participants GALLERY.mp4...

Each video needs its GALLERY.truth.jsonl beside it, as ../shared/tools/gallery.py writes it (rows of t0, t1, person,
tile, emotion). `producer ingest` runs on every video. Needs motmetrics (`pip install motmetrics 'pandas<3'`).
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

COLUMNS = ("idf1", "num_switches", "people", "participants", "scores", "smoothed", "changes", "followed")

FOLLOWED_S = 1.5
FADE_S = 0.5  # from the end of a row of the truth to the change, and from the change to the next row


def measure(video: Path) -> dict[str, Any]:
    """IDF1 and switches of the ids, and the accuracy of scores and smoothed scores, on one gallery."""
    truth = [json.loads(line) for line in video.with_suffix(".truth.jsonl").read_text().splitlines()]
    accumulator = motmetrics.MOTAccumulator()
    participants: set[str] = set()
    right: dict[str, list[bool]] = defaultdict(list)
    shows: dict[str, list[tuple[float, str, str]]] = defaultdict(list)  # person -> when, by scores, and smoothed
    number_of: dict[str, int] = defaultdict(lambda: len(number_of))  # motmetrics needs numbers
    for number, (t, seen) in sorted(_frames(_events(video)).items()):
        shown = [row for row in truth if row["t0"] <= t < row["t1"]]
        participants |= {event["participant"] for event in seen}
        inside = [[Tile(*row["tile"]).holds(event["box"]) for event in seen] for row in shown]
        # A face in a tile without a row of truth at this moment is neither right nor wrong.
        judged = [i for i, event in enumerate(seen) if any(row[i] for row in inside)]
        distances = [[0.0 if row[i] else np.nan for i in judged] for row in inside]
        accumulator.update(
            [number_of[row["person"]] for row in shown],
            [number_of[seen[i]["participant"]] for i in judged],
            np.reshape(distances, (len(shown), len(judged))),
            frameid=number,
        )
        for row, held in zip(shown, inside, strict=True):
            for event in (event for event, is_held in zip(seen, held, strict=True) if is_held and event["scores"]):
                for kind in ("scores", "smoothed"):
                    right[kind].append(_strongest(event[kind]) == row["emotion"])
        for event in (event for event in seen if event["scores"]):
            # Between two rows of one tile, while a face changes, it still belongs to the person of the tile.
            around = [row for row in truth if row["t0"] - 2 * FADE_S <= t < row["t1"] + 2 * FADE_S]
            for person in {row["person"] for row in around if Tile(*row["tile"]).holds(event["box"])}:
                shows[person].append((t, _strongest(event["scores"]), _strongest(event["smoothed"])))
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
    """The number of changes that scores show in time, and of those that smoothed scores show in time, too."""
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


def _strongest(scores: dict[str, float]) -> str:
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
    table = Table("gallery", *COLUMNS)
    for one in measured:
        table.add_row(one["video"], *(f"{one[f]:.4f}" if isinstance(one[f], float) else str(one[f]) for f in COLUMNS))
    Console(width=110).print(table)
    write_down("participants", {"galleries": measured})


if __name__ == "__main__":
    main()
