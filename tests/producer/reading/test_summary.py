"""What a lecture comes to, in a table and a line."""

from producer.presentation.clock import clock
from producer.reading.analysis.summary import Summary, ledger_line
from producer.terminal.tables import participants_table
from tests.producer.reading.writing import class_, emotion
from worker.contract.messages import Ledger


def test_the_table_shows_each_participant_with_times_frames_and_shares_the_strongest_first() -> None:
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


def test_an_emotion_that_would_show_as_nothing_is_left_out() -> None:
    summary = Summary()
    for frame in range(400):
        summary.add(emotion("l", "p01", frame, "fear" if frame == 7 else "neutral"))
    assert list(participants_table(summary).columns[4].cells) == ["neutral 100%"]


def test_the_ledger_says_where_every_frame_went() -> None:
    ledger = Ledger(10, 6, 1, 2, 1, {"failed:timeout": 2, "dropped:slow": 1})
    assert ledger_line(ledger) == (
        "10 frames sampled: 6 published, 1 dropped, 2 failed, 1 in flight (dropped:slow 1, failed:timeout 2)"
    )
    assert ledger_line(Ledger(3, 3)) == "3 frames sampled: 3 published"


def test_media_time_is_shown_as_hours_minutes_and_seconds() -> None:
    assert [clock(0), clock(59.99), clock(723), clock(36_000)] == ["0:00:00", "0:00:59", "0:12:03", "10:00:00"]
