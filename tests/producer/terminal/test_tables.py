"""Tables of lectures and participants, and the ledger in a line."""

from io import StringIO

import pytest
import redis
from rich.console import Console

from producer.reading.analysis.losses import Loss
from producer.reading.analysis.summary import Summary, ledger_line
from producer.reading.lectures import list_lectures
from producer.terminal.tables import lectures_table, participants_table
from tests.producer.reading.writing import begin, class_, emotion, write
from worker.contract.keys import LectureKeys
from worker.contract.messages import Ledger


def test_the_table_shows_times_frames_and_shares_of_each_participant() -> None:
    summary = Summary()
    for frame in range(8):
        summary.add(emotion("l", "p02", frame, "neutral" if frame < 6 else "surprise"))
        summary.add(class_("l", frame, 1))
    summary.add(emotion("l", "p01", 7300, "anger"))
    columns = [list(column.cells) for column in participants_table(summary).columns]
    assert list(zip(*columns, strict=True)) == [
        ("p01", "1:00:50", "1:00:50", "1", "anger 100%"),
        ("p02", "0:00:00", "0:00:03", "8", "neutral 75%, surprise 25%"),
    ]
    for frame in range(400):
        summary.add(emotion("l", "p01", frame, "fear" if frame == 7 else "anger"))
    shares = participants_table(summary).columns[4].cells
    assert next(iter(shares)) == "anger 100%", "a share that rounds to zero is left out"


def test_the_table_shows_participants_with_lost_events_as_lost() -> None:
    summary = Summary()
    summary.add(emotion("l", "p02", 0, "neutral"))
    losses = [Loss("l", None, 2, 1, False), Loss("l", "p01", 7, 7, False), Loss("l", "p02", 3, 2, False)]
    columns = [list(column.cells) for column in participants_table(summary, losses=losses).columns]
    assert list(zip(*columns, strict=True)) == [
        ("p01", "", "", "", "all 7 events lost"),
        ("p02", "0:00:00", "0:00:00", "1", "neutral 100% (2 of 3 events lost)"),
    ]


def test_the_table_shows_status_and_frames_of_each_lecture(client: redis.Redis) -> None:
    write(client, "over", [{"p01"}] * 3)
    begin(client, "left")
    columns = {str(column.header): list(column.cells) for column in lectures_table(list_lectures(client)).columns}
    assert dict(zip(columns["lecture"], columns["status"], strict=True)) == {"left": "abandoned", "over": "done"}
    assert columns["frames"] == ["0/0", "3/3"]


@pytest.mark.parametrize("width", [66, 80, 200])
def test_the_id_of_a_lecture_is_never_cut(client: redis.Redis, width: int) -> None:
    ids = ["monday-" + "x" * length for length in (1, 20, 57)]
    for each in ids:
        write(client, each, [{"p01"}])
        client.hset(LectureKeys(each).info, "source", "a-recording-with-a-name-as-cameras-give-them.mp4")
    console = Console(file=StringIO(), width=width)
    with console.capture() as captured:
        console.print(lectures_table(list_lectures(client)))
    assert all(each in captured.get() for each in ids)


@pytest.mark.parametrize("source", ["Talk [dQw4w9WgXcQ].webm", "https://h/[/x].m3u8", "talk :smile:.mp4"])
def test_the_source_of_a_lecture_is_never_markup(client: redis.Redis, source: str) -> None:
    write(client, "l", [{"p01"}])
    client.hset(LectureKeys("l").info, "source", source)
    console = Console(file=StringIO(), width=200)
    with console.capture() as captured:
        console.print(lectures_table(list_lectures(client)))
    assert captured.get().rstrip().endswith(source)


def test_the_ledger_line_says_where_every_frame_went() -> None:
    ledger = Ledger(10, 6, 1, 2, 1, {"failed:timeout": 2, "dropped:slow": 1, "published:other_models": 3})
    assert ledger_line(ledger) == (
        "10 frames sampled: 6 published (other models 3), 1 dropped (slow 1), 2 failed (timeout 2), 1 in flight"
    )
    assert ledger_line(Ledger(3, 3)) == "3 frames sampled: 3 published"
