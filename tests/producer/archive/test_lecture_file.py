"""The file of a lecture: what is read is what was written, and what is damaged is named."""

import random
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.archive.archive import Archive
from producer.archive.lecture import ArchiveDamaged, read, write
from producer.archive.place import Place
from producer.archive.table import Head, Row
from tests.producer.archive.events import END_EVENTS, EVENTS
from tests.producer.reading.writing import emotion, frame_events
from worker.contract.messages import EmotionEvent, EndEvent, Event, Ledger, ParticipantSpan, encode

FIELDS = {"source": "Ünï\u2028 & <b>.mp4", "status": "done", "fps": "2", "width": "640", "height": "360"}
FIELDS |= {"started": "1000.25", "ended": "1060.5", "published": "3", "published:damaged": "1", "course": "c1"}
SPANS = {name: ParticipantSpan(0.0, 1.5, 3) for name in ("p01", "p02", "Anna-B_3")}
HEAD = Head("g9", FIELDS, SPANS, 4e9)


def rows_of(events: list[Event]) -> list[Row]:
    people = [event.participant if isinstance(event, EmotionEvent) else None for event in events]
    return [Row(each, f"{n}-0", encode(event)) for n, (each, event) in enumerate(zip(people, events, strict=True))]


@given(st.lists(EVENTS, max_size=20), END_EVENTS, END_EVENTS)
def test_events_of_all_kinds_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], end: EndEvent, own: EndEvent
) -> None:
    place = Place(str(tmp_path_factory.mktemp("archive")))
    written = [*rows_of([*events, end]), Row("p01", "99-1", encode(own))]
    digest = write(place, HEAD, written)
    lecture = read(place, "g9")
    assert lecture.digest() == digest
    assert list(lecture.rows()) == written
    assert list(lecture.events()) == [*events, end]
    of_p01 = [each for each in events if isinstance(each, EmotionEvent) and each.participant == "p01"]
    assert [event for _, event in lecture.channel("p01")] == [*of_p01, own]


def test_the_head_has_the_hash_the_ledger_and_the_participants(folder: Path) -> None:
    write(Place(str(folder)), HEAD, [])
    found = Archive(str(folder)).lecture("g9")
    assert found is not None
    assert (found.info.source, found.info.fps, found.info.ended) == ("Ünï\u2028 & <b>.mp4", 2.0, 1060.5)
    assert (found.info.course, found.participants) == ("c1", SPANS)
    assert found.ledger == Ledger(published=3, reasons={"published:damaged": 1})


def test_pandas_reads_typed_columns(folder: Path) -> None:
    events = [event for n in range(3) for event in frame_events("g9", n, ["p01", "p02"])]
    write(Place(str(folder)), HEAD, rows_of([*events, EndEvent("g9", "done", None, Ledger())]))
    table = pd.read_parquet(folder / "g9.parquet")
    people = table[table.type == "emotion"]
    assert people.groupby("participant").happiness.mean().round(2).to_dict() == {"p01": 0.76, "p02": 0.76}
    assert people[["x", "y", "width", "height"]].iloc[0].tolist() == [1, 2, 30, 40]
    assert (people.frame.tolist(), people.t.max(), set(people.readable)) == ([0, 0, 1, 1, 2, 2], 1.0, {True})
    assert table.faces.dropna().tolist() == [2, 2, 2]
    assert table.status.dropna().tolist() == ["done"]


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_named_or_read_right_and_never_a_traceback(folder: Path, seed: int) -> None:
    events: list[Event] = [emotion("g9", "p01", n) for n in range(300)]
    place, chance, path = Place(str(folder)), random.Random(seed), folder / "g9.parquet"
    write(place, HEAD, rows_of(events))
    content = bytearray(path.read_bytes())
    if seed % 4 == 0:
        del content[chance.randrange(len(content)) :]
    else:
        for _ in range(1 + seed % 3):
            content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    said = ""
    try:
        assert list(read(place, "g9").events()) == events
    except ArchiveDamaged as damage:
        said = str(damage)
    assert not said or said.startswith(f"archive {folder}: the file of lecture 'g9' is damaged: ")
    assert "\n" not in said
    found, damaged = Archive(str(folder)).lectures()
    assert len(found) + len(damaged) == 1


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all, but some text", bytes(1000)])
def test_a_file_that_is_no_table_is_named(folder: Path, content: bytes) -> None:
    (folder / "g9.parquet").write_bytes(content)
    (folder / "notes.txt").write_text("left alone")
    with pytest.raises(ArchiveDamaged, match="the file of lecture 'g9' is damaged"):
        Archive(str(folder)).lecture("g9")


def test_a_table_of_another_program_and_a_renamed_file_are_named(folder: Path) -> None:
    pd.DataFrame({"t": [1, 2]}).to_parquet(folder / "other.parquet")
    pd.DataFrame({"participant": [1], "position": [2], "event": [3]}).to_parquet(folder / "numbers.parquet")
    write(Place(str(folder)), HEAD, [])
    (folder / "g9.parquet").rename(folder / "g10.parquet")
    found, damaged = Archive(str(folder)).lectures()
    assert found == []
    lacks = "it lacks text in its columns participant, position, event"
    said = sorted(str(each).partition(" is damaged: ")[2] for each in damaged)
    assert said == ["it is of lecture 'g9'", lacks, lacks]


def test_an_event_of_somebody_unknown_is_damage(folder: Path) -> None:
    place = Place(str(folder))
    write(place, HEAD, rows_of([emotion("g9", "p99", 0)]))
    with pytest.raises(ArchiveDamaged, match="an event of the unknown 'p99'"):
        list(read(place, "g9").events())
