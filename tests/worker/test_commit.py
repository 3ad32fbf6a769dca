"""The ordered commit on a real Redis: every event exactly once and in order, in any order of arrival."""

import threading
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.faults.proxy import proxied
from tests.lectures import events_of, ledger_of
from tests.scraping import counted
from tests.worker.outcomes import FRAMES_PER_CHUNK, begin, outcomes, store
from worker.commit import commit
from worker.contract.connection import RetryWhileAway, connect
from worker.contract.messages import EMOTIONS, ClassEvent, EmotionEvent, EndEvent, decode_event
from worker.folding.fold import fold
from worker.outcome import Outcome


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_in_any_order_of_arrival_and_twice_the_events_are_published_once_in_the_lectures_order(
    client: redis.Redis, data: st.DataObject
) -> None:
    client.flushall()
    lecture = outcomes(count=5)
    order = data.draw(st.permutations([*range(len(lecture)), 0, 2, 5]))  # three arrive twice
    keys = begin(client, lecture)
    for number in order:
        store(client, keys, number, lecture[number])
        commit(client, "l")
    events = events_of(client, keys)
    assert [e.frame for e in events["class"][:-1] if isinstance(e, ClassEvent)] == list(range(10))
    for who in ("participant:p01", "participant:p02"):
        assert [e.frame for e in events[who][:-1] if isinstance(e, EmotionEvent)] == list(range(10))
    ends = [stream[-1] for stream in events.values()]
    assert all(isinstance(end, EndEvent) and set(end.usual or {}) == set(EMOTIONS) for end in ends)
    assert set(events) == {"class", "participant:p01", "participant:p02"}


def test_a_commit_is_done_once_whichever_answer_of_redis_is_lost(client: redis.Redis, redis_url: str) -> None:
    lecture = outcomes(count=2)
    events_by_lost_answer = {}
    with proxied(redis_url) as proxy:
        for lost in range(-1, 9):  # none, each answer, and some after the last one
            client.flushall()
            keys = begin(client, lecture)
            for number, outcome in enumerate(lecture):
                store(client, keys, number, outcome)
            with connect(proxy.url, RetryWhileAway(30)) as committing:
                proxy.lose_answer(lost)
                commit(committing, "l")
            events_by_lost_answer[lost] = events_of(client, keys)
            assert ledger_of(client, keys).balances
    assert len(events_by_lost_answer[-1]["class"]) == 2 * FRAMES_PER_CHUNK + 1
    assert all(events == events_by_lost_answer[-1] for events in events_by_lost_answer.values())


def test_nothing_is_published_before_its_turn(client: redis.Redis) -> None:
    lecture = outcomes(count=3)
    keys = begin(client, lecture)
    store(client, keys, 1, lecture[1])
    commit(client, "l")
    assert events_of(client, keys) == {}
    ledger = ledger_of(client, keys)
    assert (ledger.sampled, ledger.in_flight, ledger.balances) == (6, 6, True)


def test_many_concurrent_commits_publish_every_event_once(client: redis.Redis, redis_url: str) -> None:
    lecture = outcomes(count=40)
    keys = begin(client, lecture)

    def work(first: int) -> None:
        with connect(redis_url) as mine:
            for number in range(first, len(lecture), 4):
                store(mine, keys, number, lecture[number])
                commit(mine, "l")

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = events_of(client, keys)["class"]
    assert [e.frame for e in events[:-1] if isinstance(e, ClassEvent)] == list(range(80))
    assert isinstance(events[-1], EndEvent)
    assert events[-1].ledger.published == 80


def test_a_commit_that_conflicts_is_retried_and_counted(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fold_while_another_commits(*words: Any) -> Any:
        monkeypatch.setattr("worker.commit.fold", fold)
        with connect(redis_url) as faster:
            store(faster, keys, 1, chunks[1])
            commit(faster, "l")
        return fold(*words)

    chunks, before = outcomes(count=3), counted("commit_conflicts")
    keys = begin(client, chunks)
    store(client, keys, 0, chunks[0])
    monkeypatch.setattr("worker.commit.fold", fold_while_another_commits)
    commit(client, "l")
    assert counted("commit_conflicts") == before + 1
    assert [e.frame for e in events_of(client, keys)["class"] if isinstance(e, ClassEvent)] == [0, 1, 2, 3]


def test_after_a_failed_chunk_the_lecture_continues_and_the_ledger_counts_it(client: redis.Redis) -> None:
    lecture = outcomes(count=3)
    lecture[1] = Outcome(failure="bad_picture")
    keys = begin(client, lecture)
    for number, outcome in enumerate(lecture):
        store(client, keys, number, outcome)
    commit(client, "l")
    end = events_of(client, keys)["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published, end.ledger.failed) == ("failed", 4, 2)
    assert end.ledger.reasons == {"failed:bad_picture": 2}
    assert end.ledger.balances
    assert client.hget(keys.info, "status") == b"failed"


@pytest.mark.parametrize(("damaged", "status"), [(1, "done"), (2, "failed")])
def test_damaged_frames_are_marked_and_counted_and_more_than_one_of_a_hundred_fails_the_lecture(
    client: redis.Redis, damaged: int, status: str
) -> None:
    lecture = outcomes(count=50)
    for number in range(damaged):
        frames = lecture[number].frames
        marked = structs.replace(frames[0], stamp=structs.replace(frames[0].stamp, damaged=True))
        lecture[number] = structs.replace(lecture[number], frames=[marked, *frames[1:]])
    keys = begin(client, lecture)
    for number, outcome in enumerate(lecture):
        store(client, keys, number, outcome)
    commit(client, "l")
    *events, end = events_of(client, keys)["class"]
    assert [e.frame for e in events if isinstance(e, ClassEvent) and e.damaged is True] == [0, 2][:damaged]
    assert isinstance(end, EndEvent)
    assert end.status == status
    assert (end.ledger.published, end.ledger.reasons) == (100, {"published:damaged": damaged})
    assert ledger_of(client, keys) == end.ledger
    assert all(e.damaged is not False for e in events if isinstance(e, ClassEvent)), "left out if it is not true"


def test_after_the_end_only_results_are_left(client: redis.Redis) -> None:
    lecture = outcomes(count=2)
    keys = begin(client, lecture)
    for number, outcome in enumerate(lecture):
        client.hset(keys.chunk(number), "head", b"{}")
        store(client, keys, number, outcome)
    commit(client, "l")
    expected = {keys.info, keys.participants, keys.class_, keys.participant("p01"), keys.participant("p02")}
    assert {key.decode() for key in client.scan_iter()} == expected
    assert all(client.ttl(key) > 0 for key in expected), "results have a retention time"


def test_subscribers_receive_the_events_of_the_stream(client: redis.Redis) -> None:
    lecture = outcomes(count=2)
    keys = begin(client, lecture)
    with client.pubsub() as subscriber:
        subscriber.subscribe(keys.participant("p01"))
        subscriber.get_message(timeout=60)
        for number, outcome in enumerate(lecture):
            store(client, keys, number, outcome)
        commit(client, "l")
        received = [subscriber.get_message(timeout=60) for _ in range(5)]
    assert [decode_event(m["data"]) for m in received if m] == events_of(client, keys)["participant:p01"]


def test_a_forgotten_lecture_stays_forgotten(client: redis.Redis) -> None:
    begin(client, outcomes(count=1))
    client.flushall()
    commit(client, "l")
    assert client.dbsize() == 0
