"""Exports hold the events of the streams, or there is no file."""

import csv
from pathlib import Path

import pytest
import redis

from producer.reading.export import COLUMNS, ExportRefused, export
from producer.reading.lectures import LectureUnknown
from tests.producer.reading.writing import begin, commit, frame_events, write
from worker.contract.keys import LectureKeys
from worker.contract.messages import EmotionEvent, decode_event

PRESENCE = [{"p01"}, {"p01", "p02"}, set(), {"p02"}]


def test_jsonl_holds_the_published_events(client: redis.Redis, tmp_path: Path) -> None:
    published = write(client, "l", PRESENCE)
    assert export(client, "l", tmp_path / "e.jsonl")
    assert [decode_event(line) for line in (tmp_path / "e.jsonl").read_bytes().splitlines()] == published


def test_csv_and_parquet_hold_one_row_for_each_sighting(client: redis.Redis, tmp_path: Path) -> None:
    from pyarrow import parquet

    sightings = [event for event in write(client, "l", PRESENCE) if isinstance(event, EmotionEvent)]
    assert export(client, "l", tmp_path / "e.csv")
    assert export(client, "l", tmp_path / "e.parquet")
    with (tmp_path / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "e.parquet")
    assert list(rows[0]) == table.column_names == list(COLUMNS)
    assert [{name: str(value) for name, value in row.items()} for row in table.to_pylist()] == rows
    assert [(row["participant"], int(row["frame"]), float(row["t"])) for row in rows] == [
        (event.participant, event.frame, event.t) for event in sightings
    ]
    assert {(row["happiness"], row["smoothed_anger"], row["height"]) for row in rows} == {("0.76", "0.04", "40")}


def test_a_running_lecture_is_exported_up_to_now(client: redis.Redis, tmp_path: Path) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    assert not export(client, "l", tmp_path / "e.jsonl")
    assert len((tmp_path / "e.jsonl").read_bytes().splitlines()) == 2


def test_a_path_that_cannot_be_written_is_refused_with_the_reason(client: redis.Redis, tmp_path: Path) -> None:
    write(client, "l", PRESENCE)
    (tmp_path / "mine.csv").write_text("mine")
    for name, reason in (
        ("mine.csv", r"mine\.csv' exists already"),
        ("e.xlsx", r"e\.xlsx'.*\.csv, \.parquet or \.jsonl"),
        ("no/e.csv", r"no/e\.csv': No such file or directory"),
    ):
        with pytest.raises(ExportRefused, match=reason):
            export(client, "l", tmp_path / name)
    assert (tmp_path / "mine.csv").read_text() == "mine"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_export_that_fails_leaves_no_file(client: redis.Redis, tmp_path: Path, suffix: str) -> None:
    write(client, "l", PRESENCE)
    client.xadd(LectureKeys("l").participant("p01"), {"event": b'{"type": "riddle"}'})
    with pytest.raises(ValueError, match="riddle"):
        export(client, "l", tmp_path / f"e{suffix}")
    with pytest.raises(LectureUnknown):
        export(client, "k", tmp_path / f"e{suffix}")
    assert list(tmp_path.iterdir()) == []
