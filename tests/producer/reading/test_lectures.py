"""Which lectures there are, and being rid of one."""

from io import StringIO

import pytest
import redis
from rich.console import Console

from producer.reading.lectures import LectureFed, LectureUnknown, forget, list_lectures, participants, read_lecture
from producer.terminal.tables import lectures_table
from tests.producer.reading.writing import begin, commit, frame_events, write
from worker.contract.keys import LectureKeys
from worker.contract.messages import InFlight, encode
from worker.contract.queue import enqueue_chunk, frame_queue


def in_flight(client: redis.Redis, keys: LectureKeys, chunk: int) -> None:
    """A chunk on its way, and what a worker has of it."""
    client.hset(keys.chunk(chunk), mapping={"head": b"{}", "0": b"pixels"})
    client.hset(keys.in_flight, str(chunk), encode(InFlight(2, 6)))
    client.set(keys.outcome(chunk), b"{}")
    enqueue_chunk(frame_queue(client), keys.lecture, chunk)


def test_lectures_are_listed_by_their_start_with_their_ledger_and_participants(client: redis.Redis) -> None:
    begin(client, "late", started=3000)
    begin(client, "early", started=2000)
    commit(client, "early", frame_events("early", 0, ["p01", "p02"]))
    client.set("lecture:{other}:class", b"no lecture of its own")
    client.hset("lecture:{foreign}", "some", "thing")
    client.set("lecture:{text}", "thing")
    first, second = list_lectures(client)
    assert (first.id, second.id) == ("early", "late")
    assert (first.participants, first.ledger.published, first.ledger.balances) == (2, 1, True)


def test_a_running_lecture_is_abandoned_when_nobody_feeds_it_and_nothing_is_in_flight(client: redis.Redis) -> None:
    keys = begin(client, "l")
    assert read_lecture(client, "l").abandoned
    in_flight(client, keys, 0)
    assert not read_lecture(client, "l").abandoned
    client.delete(keys.in_flight)
    client.set(keys.feeder, 1, ex=30)
    assert not read_lecture(client, "l").abandoned


def test_the_table_says_what_became_of_each_lecture(client: redis.Redis) -> None:
    write(client, "over", [{"p01"}] * 3)
    begin(client, "left")
    columns = {str(column.header): list(column.cells) for column in lectures_table(list_lectures(client)).columns}
    assert dict(zip(columns["lecture"], columns["status"], strict=True)) == {"left": "abandoned", "over": "done"}
    assert columns["frames"] == ["0/0", "3/3"]


def test_participants_are_listed_with_when_they_were_seen(client: redis.Redis) -> None:
    write(client, "l", [{"p02"}, {"p01", "p02"}])
    assert {name: (span.last, span.frames) for name, span in participants(client, "l").items()} == {
        "p01": (0.5, 2),
        "p02": (0.5, 2),
    }
    with pytest.raises(LectureUnknown):
        participants(client, "k")


@pytest.mark.parametrize("width", [66, 80, 200])
def test_the_name_of_a_lecture_is_whole_on_every_terminal(client: redis.Redis, width: int) -> None:
    names = ["monday-" + "x" * length for length in (1, 20, 57)]
    for name in names:
        write(client, name, [{"p01"}])
        client.hset(LectureKeys(name).info, "source", "a-recording-with-a-name-as-cameras-give-them.mp4")
    console = Console(file=StringIO(), width=width)
    with console.capture() as captured:
        console.print(lectures_table(list_lectures(client)))
    assert all(name in captured.get() for name in names)


def test_forgetting_leaves_no_key_and_no_job_and_touches_no_other_lecture(client: redis.Redis) -> None:
    write(client, "l2", [{"p01"}])
    others = set(client.keys())
    keys = begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01", "p02"]))
    for chunk in range(3):
        in_flight(client, keys, chunk)
    assert frame_queue(client).job_ids == ["l-0", "l-1", "l-2"]
    forget(client, "l")
    assert set(client.keys()) - {b"rq:queues"} == others


def test_a_lecture_that_is_being_fed_is_not_forgotten(client: redis.Redis) -> None:
    keys = begin(client, "l")
    client.set(keys.feeder, 1, ex=30)
    with pytest.raises(LectureFed, match="'l' is being fed; stop its producer first"):
        forget(client, "l")
    assert client.exists(keys.info)


def test_forgetting_can_be_finished_when_it_was_cut_short(client: redis.Redis) -> None:
    write(client, "l", [{"p01"}])
    client.delete(LectureKeys("l").info)
    forget(client, "l")
    assert client.keys() == []
    with pytest.raises(LectureUnknown, match="no lecture 'l'"):
        forget(client, "l")
