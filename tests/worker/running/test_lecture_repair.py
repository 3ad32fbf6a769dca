"""Lectures whose producer is gone, and chunks without a job."""

from typing import cast

import msgspec
import pytest
import redis

from tests.gallery import gallery_pages
from tests.lectures import begin_lecture, chunks_of, events_of, ledger_of, push_chunk
from tests.worker.outcomes import outcomes, put_in_flight, store
from worker.commit import commit, end_abandoned
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lecture_hash import LectureInfo
from worker.contract.lifetimes import ABANDONED_S, FEEDER_TTL_S, RESUME_S
from worker.contract.messages import EndEvent, Ending, InFlight, LectureProgress, encode
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.contract.streams import ABANDONED
from worker.outcome import Outcome
from worker.running.lecture_repair import LectureRepair


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repair(client: redis.Redis, clock: Clock) -> LectureRepair:
    return LectureRepair(client, clock)


@pytest.fixture
def keys(client: redis.Redis) -> LectureKeys:
    """A lecture without a producer, whose two chunks are committed."""
    keys = begin_lecture(client, "l")
    client.sadd(RUNNING, "l")
    lecture = outcomes(count=2)[:-1]
    put_in_flight(client, keys, lecture)
    for number, outcome in enumerate(lecture):
        store(client, keys, number, outcome)
    commit(client, "l")
    return keys


def wait(repair: LectureRepair, clock: Clock, seconds: float) -> None:
    """Run `repair` every ten seconds for this long."""
    until = clock.now + seconds
    while clock.now < until:
        repair.run()
        clock.now += 10
    repair.run()


def info_of(client: redis.Redis, keys: LectureKeys) -> LectureInfo:
    return LectureInfo.from_hash(cast(dict[bytes, bytes], client.hgetall(keys.info)))


def progress(client: redis.Redis, keys: LectureKeys) -> LectureProgress:
    state = client.get(keys.state)
    assert isinstance(state, bytes)
    return msgspec.json.decode(state, type=LectureProgress)


def test_a_lecture_whose_producer_is_gone_for_long_is_stopped(
    client: redis.Redis, keys: LectureKeys, repair: LectureRepair, clock: Clock
) -> None:
    wait(repair, clock, ABANDONED_S - FEEDER_TTL_S - 10)
    assert info_of(client, keys).status == "running"
    wait(repair, clock, 10)
    info = info_of(client, keys)
    assert (info.status, info.reason, info.ended is not None) == ("stopped", ABANDONED, True)
    for stream in events_of(client, keys).values():
        end = stream[-1]
        assert isinstance(end, EndEvent)
        assert (end.status, end.ledger.published, end.ledger.balances) == ("stopped", 4, True)
    assert not client.sismember(RUNNING, "l")


def test_lectures_of_strangers_do_not_keep_another_from_being_stopped(
    client: redis.Redis, repair: LectureRepair, clock: Clock, keys: LectureKeys
) -> None:
    client.set("lecture:{a}", "no hash")
    strange = begin_lecture(client, "b")
    client.set(strange.state, b'{"next_chunk": 0, "rosters": 7}')
    client.set(begin_lecture(client, "c").state, b'{"deep": ' + b"[" * 100_000)
    client.sadd(RUNNING, "a", "b", "c", b"\xff")
    wait(repair, clock, ABANDONED_S)
    assert info_of(client, keys).status == "stopped"
    assert client.smembers(RUNNING) == set()


def test_a_lecture_that_is_fed_goes_on(
    client: redis.Redis, keys: LectureKeys, repair: LectureRepair, clock: Clock
) -> None:
    wait(repair, clock, 20)
    client.set(keys.feeder, 1)
    wait(repair, clock, 20)
    client.delete(keys.feeder)
    wait(repair, clock, 20)
    assert info_of(client, keys).status == "running", "the time before its producer came back does not count"


def test_all_fed_chunks_are_committed_before_the_lecture_is_stopped(
    client: redis.Redis, keys: LectureKeys, repair: LectureRepair, clock: Clock
) -> None:
    third = Outcome(outcomes(count=3)[2].frames)
    put_in_flight(client, keys, [third])
    client.hdel(keys.in_flight, "0")
    client.hset(keys.in_flight, "2", b'{"frames":2,"size":9}')
    wait(repair, clock, 2 * ABANDONED_S)
    assert info_of(client, keys).status == "running"
    store(client, keys, 2, third)
    commit(client, "l")
    wait(repair, clock, 0)
    assert info_of(client, keys).status == "stopped"
    assert ledger_of(client, keys).published == 6


@pytest.mark.parametrize("change", ["feeder", "in_flight", "state", "info"])
def test_a_lecture_that_changes_at_the_last_moment_is_not_stopped(
    client: redis.Redis, keys: LectureKeys, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_the_last_moment(*_: object) -> float:
        if change == "feeder":
            client.set(keys.feeder, 1)
        elif change == "in_flight":
            client.hset(keys.in_flight, "2", b'{"frames":2,"size":9}')
        elif change == "state":
            client.append(keys.state, b" ")
        else:
            client.delete(keys.info)
        return 0.0

    monkeypatch.setattr("worker.commit._now", at_the_last_moment)
    assert not end_abandoned(client, "l")
    assert not any(isinstance(stream[-1], EndEvent) for stream in events_of(client, keys).values())


def test_a_stopped_lecture_can_be_resumed_for_a_day_with_the_next_chunk_number(
    client: redis.Redis, keys: LectureKeys
) -> None:
    assert end_abandoned(client, "l")
    assert 0 < client.ttl(keys.state) <= RESUME_S
    assert progress(client, keys) == LectureProgress(next_chunk=2)

    client.hset(keys.info, "status", "running")
    lecture = [Outcome(outcomes(count=3)[2].frames), Outcome(ending=Ending("stopped", "Ctrl-C"))]
    for number, outcome in enumerate(lecture, start=2):
        client.hset(keys.in_flight, str(number), encode(InFlight(len(outcome.frames), 9)))
        store(client, keys, number, outcome)
    commit(client, "l")
    assert progress(client, keys).next_chunk == 4, "an ending has a number too"
    assert not client.exists(keys.in_flight)
    assert [e.frame for e in events_of(client, keys)["participant:p01"] if not isinstance(e, EndEvent)] == list(
        range(6)
    )


def test_a_late_outcome_for_a_stopped_lecture_changes_nothing(client: redis.Redis, keys: LectureKeys) -> None:
    assert end_abandoned(client, "l")
    before = events_of(client, keys)
    store(client, keys, 2, outcomes(count=1)[0])
    commit(client, "l")
    assert events_of(client, keys) == before


def test_a_lecture_that_is_over_or_gone_is_no_longer_listed(
    client: redis.Redis, keys: LectureKeys, repair: LectureRepair
) -> None:
    client.sadd(RUNNING, "gone", "no{such}lecture", b"\xff")
    client.hset(keys.info, "status", "done")
    repair.run()
    assert client.smembers(RUNNING) == set()


def test_a_chunk_that_was_stored_again_after_its_commit_is_no_longer_in_flight(
    client: redis.Redis, keys: LectureKeys, repair: LectureRepair, clock: Clock
) -> None:
    client.hset(keys.in_flight, "0", encode(InFlight(2, 9)))
    wait(repair, clock, ABANDONED_S)
    assert info_of(client, keys).status == "stopped"
    assert ledger_of(client, keys).balances


def test_a_chunk_that_is_in_flight_without_a_job_gets_one(client: redis.Redis, repair: LectureRepair) -> None:
    keys = begin_lecture(client, "l")
    client.sadd(RUNNING, "l")
    client.set(keys.feeder, 1)
    for number, chunk in enumerate(chunks_of(list(gallery_pages(1, 6, fps=2, size=(320, 240))), 2)):
        push_chunk(client, keys, number, chunk)
    enqueue_chunk(frame_queue(client), "l", 0)
    store(client, keys, 2, outcomes(count=1)[0])
    repair.run()
    assert frame_queue(client).get_job_ids() == ["l-0"], "its job may just be on its way"
    repair.run()
    assert sorted(frame_queue(client).get_job_ids()) == ["l-0", "l-1", "l-3"]
    repair.run()
    repair.run()
    assert frame_queue(client).count == 3
