"""Exports hold what the streams hold, or do not exist."""

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


def test_jsonl_holds_the_events_as_they_are(client: redis.Redis, tmp_path: Path) -> None:
    told = write(client, "l", PRESENCE)
    assert export(client, "l", tmp_path / "e.jsonl")
    assert [decode_event(line) for line in (tmp_path / "e.jsonl").read_bytes().splitlines()] == told


def test_csv_and_parquet_hold_a_row_a_participant_and_frame(client: redis.Redis, tmp_path: Path) -> None:
    from pyarrow import parquet

    told = [event for event in write(client, "l", PRESENCE) if isinstance(event, EmotionEvent)]
    assert export(client, "l", tmp_path / "e.csv")
    assert export(client, "l", tmp_path / "e.parquet")
    with (tmp_path / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "e.parquet")
    assert list(rows[0]) == table.column_names == list(COLUMNS)
    assert [{name: str(value) for name, value in row.items()} for row in table.to_pylist()] == rows
    assert [(row["participant"], int(row["frame"]), float(row["t"])) for row in rows] == [
        (event.participant, event.frame, event.t) for event in told
    ]
    assert {(row["happiness"], row["smoothed_anger"], row["height"]) for row in rows} == {("0.76", "0.04", "40")}


def test_a_running_lecture_is_exported_as_far_as_it_is(client: redis.Redis, tmp_path: Path) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    assert not export(client, "l", tmp_path / "e.jsonl")
    assert len((tmp_path / "e.jsonl").read_bytes().splitlines()) == 2


def test_a_file_that_exists_is_left_alone(client: redis.Redis, tmp_path: Path) -> None:
    write(client, "l", PRESENCE)
    (tmp_path / "e.csv").write_text("mine")
    with pytest.raises(ExportRefused, match=r"e\.csv' exists already"):
        export(client, "l", tmp_path / "e.csv")
    assert (tmp_path / "e.csv").read_text() == "mine"


def test_an_unknown_suffix_is_refused_naming_the_three(client: redis.Redis, tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match=r"e\.xlsx'.*\.csv, \.parquet or \.jsonl"):
        export(client, "l", tmp_path / "e.xlsx")


def test_a_place_that_cannot_be_written_to_is_refused(client: redis.Redis, tmp_path: Path) -> None:
    write(client, "l", PRESENCE)
    with pytest.raises(ExportRefused, match=r"no/e\.csv': No such file or directory"):
        export(client, "l", tmp_path / "no" / "e.csv")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_an_export_that_fails_leaves_nothing(client: redis.Redis, tmp_path: Path, suffix: str) -> None:
    write(client, "l", PRESENCE)
    client.xadd(LectureKeys("l").participant("p01"), {"event": b'{"type": "riddle"}'})
    with pytest.raises(ValueError, match="riddle"):
        export(client, "l", tmp_path / f"e{suffix}")
    with pytest.raises(LectureUnknown):
        export(client, "k", tmp_path / f"e{suffix}")
    assert list(tmp_path.iterdir()) == []
