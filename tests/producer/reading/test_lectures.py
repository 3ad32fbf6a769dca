"""List lectures and participants, and forget a lecture."""

import pytest
import redis

from producer.cells.connections import Cells
from producer.cells.naming import read_cells
from producer.reading.lectures import (
    LectureFed,
    LectureUnknown,
    all_lectures,
    forget,
    list_lectures,
    participants,
    read_lecture,
)
from tests.producer.reading.writing import begin, commit, frame_events, write
from worker.contract.keys import LectureKeys
from worker.contract.messages import InFlight, encode
from worker.contract.queue import enqueue_chunk, frame_queue


def in_flight(client: redis.Redis, keys: LectureKeys, chunk: int) -> None:
    """A chunk in flight: its frames, its job, and the outcome that a worker wrote."""
    client.hset(keys.chunk(chunk), mapping={"head": b"{}", "0": b"pixels"})
    client.hset(keys.in_flight, str(chunk), encode(InFlight(2, 6)))
    client.set(keys.outcome(chunk), b"{}")
    enqueue_chunk(frame_queue(client), keys.lecture, chunk)


def test_lectures_are_listed_by_start_time_with_ledger_and_participants(client: redis.Redis) -> None:
    begin(client, "late", started=3000)
    begin(client, "early", started=2000)
    commit(client, "early", frame_events("early", 0, ["p01", "p02"]))
    client.set("lecture:{other}:class", b"no lecture of its own")
    client.hset("lecture:{foreign}", "some", "thing")
    begin(client, "in-the-year-30-million", started=1e15)
    client.hset(begin(client, "deep").info, "chapters", b"[" * 100_000)
    client.hset(b"lecture:{\xff}", "some", "thing")
    client.set("lecture:{text}", "thing")
    first, second = list_lectures(client)
    assert (first.id, second.id) == ("early", "late")
    assert (first.participants, first.ledger.published, first.ledger.balances) == (2, 1, True)


def test_an_id_that_is_used_in_two_cells_is_listed_twice(client: redis.Redis, redis_url: str) -> None:
    other = f"{redis_url}?db=1"
    with redis.Redis.from_url(other) as another:
        begin(client, "l", started=3000)
        begin(another, "l", started=2000)
    cells = Cells(read_cells(f"{redis_url} {other}"), lambda cell: redis.Redis.from_url(cell.url))
    found, missing = all_lectures(cells)
    cells.close()
    assert [(each.id, each.info.started) for each in found] == [("l", 2000), ("l", 3000)]
    assert missing == []


def test_a_running_lecture_without_feeder_and_chunks_in_flight_is_abandoned(client: redis.Redis) -> None:
    keys = begin(client, "l")
    assert read_lecture(client, "l").abandoned
    in_flight(client, keys, 0)
    assert not read_lecture(client, "l").abandoned
    client.delete(keys.in_flight)
    client.set(keys.feeder, 1, ex=30)
    assert not read_lecture(client, "l").abandoned


def test_participants_are_listed_with_time_and_frames(client: redis.Redis) -> None:
    write(client, "l", [{"p02"}, {"p01", "p02"}])
    assert {name: (span.last, span.frames) for name, span in participants(client, "l").items()} == {
        "p01": (0.5, 1),
        "p02": (0.5, 2),
    }
    with pytest.raises(LectureUnknown):
        participants(client, "k")


def test_forgetting_removes_all_keys_and_jobs_of_this_lecture_only(client: redis.Redis) -> None:
    write(client, "l2", [{"p01"}])
    others = set(client.keys())
    keys = begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01", "p02"]))
    for chunk in range(3):
        in_flight(client, keys, chunk)
    assert frame_queue(client).job_ids == ["l-0", "l-1", "l-2"]
    forget(client, "l")
    assert set(client.keys()) - {b"rq:queues"} == others


def test_a_fed_lecture_is_not_forgotten_and_an_interrupted_forget_can_be_repeated(client: redis.Redis) -> None:
    keys = begin(client, "l")
    client.set(keys.feeder, 1, ex=30)
    with pytest.raises(LectureFed, match="'l' is being fed; stop its producer first"):
        forget(client, "l")
    assert client.exists(keys.info)
    client.delete(keys.feeder, keys.info)
    forget(client, "l")
    assert client.keys() == []
    with pytest.raises(LectureUnknown, match="no lecture 'l'"):
        forget(client, "l")
