"""Streams that Redis lost: no reading hides it."""

import csv
import json
from pathlib import Path

import pytest
import redis
from pyarrow import parquet

from producer.reading.analysis.losses import UNKNOWN, Kept, Loss, loss_line
from producer.reading.analysis.names import Roster
from producer.reading.export import export
from producer.reading.follow import ParticipantUnknown, follow, replay
from producer.reading.report.writing import report
from tests.processes import called
from tests.producer.reading.writing import begin, class_, commit, emotion, frame_events, write
from worker.contract.keys import LectureKeys
from worker.contract.lecture_hash import LectureInfo
from worker.contract.limits import MAX_STREAM_EVENTS
from worker.contract.messages import EmotionEvent, EndEvent, ParticipantSpan

KEYS = LectureKeys("l")
PRESENCE = [{"p01", "p02", "p03"}, {"p01", "p02"}, {"p02", "p03"}, {"p01"}]
GONE = "because streams in Redis were evicted, deleted or expired"
BOB = Roster({"p02": "Bob"})


def lose_some(client: redis.Redis) -> None:
    """All of p02, and the oldest event of p03."""
    write(client, "l", PRESENCE)
    client.delete(KEYS.participant("p02"))
    client.xtrim(KEYS.participant("p03"), 2, approximate=False)


LOST = [Loss("l", "p02", 3, 3, False), Loss("l", "p03", 2, 1, False)]
LINE = f"lecture l: events are missing, {GONE}: p02 (all 3 events lost), p03 (1 of 2 events lost)\n"


def test_an_export_has_a_row_for_each_participant_with_lost_events(client: redis.Redis, tmp_path: Path) -> None:
    lose_some(client)
    for suffix in ("csv", "xlsx", "parquet", "jsonl"):
        assert export(client, "l", tmp_path / f"e.{suffix}", BOB) == (True, LOST)
    with (tmp_path / "e.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["participant"], row["emotion"], row["frame"], row["name"]) for row in rows] == [
        ("p01", "happiness", "0", ""),
        ("p01", "happiness", "1", ""),
        ("p03", "happiness", "2", ""),
        ("p01", "happiness", "3", ""),
        ("p02", "lost", "", "Bob"),
        ("p03", "lost", "", ""),
    ]
    table = parquet.read_table(tmp_path / "e.parquet").to_pylist()
    assert [(row["participant"], row["emotion"], row["frame"]) for row in table[-2:]] == [
        ("p02", "lost", None),
        ("p03", "lost", None),
    ]
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert [(line["type"], line.get("participant")) for line in lines[-3:]] == [
        ("lost", "p02"),
        ("lost", "p03"),
        ("end", None),
    ]


def test_commands_say_in_one_line_what_is_lost(client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    lose_some(client)
    there = ["--redis", redis_url]
    assert called("export", "l", "-o", tmp_path / "e.csv", *there) == (0, "", f"producer: {LINE}")
    assert called("report", "l", "-o", tmp_path / "r.html", *there) == (0, "", f"producer: {LINE}")
    code, _, err = called("watch", "l", "--from-start", *there)
    assert (code, err) == (0, f"producer: {LINE}")
    code, _, err = called("watch", "l", "--participant", "p02", *there)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "the events of participant 'p02' of lecture 'l' are lost" in err


def test_a_report_shows_lost_participants_as_lost(client: redis.Redis, tmp_path: Path) -> None:
    lose_some(client)
    assert report(client, "l", tmp_path / "r.html", BOB).losses == LOST
    made = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"The report is incomplete: events are missing, {GONE}: p02 (all 3 events lost)" in made
    assert '<th scope="row">Bob (p02)</th><td class="text" colspan="7">all 3 events lost</td>' in made
    assert "(1 of 2 events lost)</td>" in made
    report(client, "l", tmp_path / "c.html", class_only=True)
    assert "events lost" not in (tmp_path / "c.html").read_text(encoding="utf-8")


def test_when_the_class_is_lost_the_participants_are_still_read_and_the_lecture_is_over(
    client: redis.Redis, tmp_path: Path
) -> None:
    written = write(client, "l", PRESENCE)
    client.delete(KEYS.class_)
    sightings = [event for event in written if isinstance(event, EmotionEvent)]
    for events in (list(replay(client, "l")), list(follow(client, "l"))):
        assert events[:-1] == sightings
        assert isinstance(events[-1], EndEvent)
        assert (events[-1].status, events[-1].ledger.published) == ("done", 4)
    lost = [Loss("l", None, 4, 4, False)]
    assert export(client, "l", tmp_path / "e.jsonl") == (True, lost)
    assert b'{"type":"lost","lecture":"l","participant":null' in (tmp_path / "e.jsonl").read_bytes()
    assert report(client, "l", tmp_path / "r.html") == (True, lost)
    made = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "the class (all 4 events lost)" in made
    assert "The events of the class are lost, so there is nothing to show." in made
    assert "nan" not in made
    assert "No frame was analysed" not in made


def test_when_every_stream_is_lost_the_report_says_so(client: redis.Redis, tmp_path: Path) -> None:
    write(client, "l", PRESENCE)
    client.delete(KEYS.class_, *map(KEYS.participant, ("p01", "p02", "p03")))
    assert len(report(client, "l", tmp_path / "r.html").losses) == 4
    made = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert made.count("all 3 events lost</td>") == 2
    with pytest.raises(ParticipantUnknown, match="are lost"):
        next(follow(client, "l", "p01"))


def test_when_the_list_of_participants_is_lost_the_class_shows_that_there_were_some(
    client: redis.Redis, tmp_path: Path
) -> None:
    write(client, "l", PRESENCE)
    client.hdel(KEYS.participants, "p01")
    assert export(client, "l", tmp_path / "a.csv").losses == [Loss("l", UNKNOWN, 3, 3, False)]
    client.delete(KEYS.participants)
    assert export(client, "l", tmp_path / "b.csv").losses == [Loss("l", UNKNOWN, 8, 8, False)]
    assert (tmp_path / "b.csv").read_text().splitlines()[1].startswith("l,(unknown),")
    client.hset(KEYS.info, "class_only", 1)
    assert report(client, "l", tmp_path / "r.html").losses == []


def test_a_running_lecture_lacks_only_what_was_lost(client: redis.Redis, tmp_path: Path) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01", "p02"]))
    assert export(client, "l", tmp_path / "a.csv") == (False, [])
    client.delete(KEYS.participant("p02"))
    commit(client, "l", frame_events("l", 1, ["p01", "p02"]))
    assert export(client, "l", tmp_path / "b.csv") == (False, [Loss("l", "p02", 2, 1, False)])


def test_a_stream_that_was_cut_to_its_newest_events_is_trimmed_not_lost() -> None:
    kept = Kept()
    for _ in range(MAX_STREAM_EVENTS - 1):  # the end takes one entry
        kept.add(class_("l", 0, 0))
    kept.add(emotion("l", "p01", 0))
    info = LectureInfo("a.mp4", "done", 2, 640, 360, 1000.0, published=MAX_STREAM_EVENTS + 6)
    (trimmed,) = kept.losses("l", info, {"p01": ParticipantSpan(0, 1, 1)})
    assert trimmed.trimmed
    assert loss_line([trimmed, *LOST]) == (
        f"events are missing, {GONE}: p02 (all 3 events lost), p03 (1 of 2 events lost); events are missing, because "
        "streams keep their last 100000 events: the class (the oldest 7 of 100006 events trimmed)"
    )
    many = loss_line([Loss("l", f"p{n}", 1, 1, False) for n in range(30)])
    assert many.endswith("p9 (all 1 events lost), 20 more")
