"""The ordered commit against a real Redis: once, in order, whoever comes when and how often."""

import threading
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.proxy import proxied
from tests.lectures import begin_lecture, events_of, ledger_of
from tests.scraping import counted
from worker.commit import commit
from worker.contract.connection import Patience, connect
from worker.contract.keys import LectureKeys
from worker.contract.messages import (
    ClassEvent,
    EmotionEvent,
    EndEvent,
    Ending,
    FrameStamp,
    InFlight,
    decode_event,
    encode,
)
from worker.folding.fold import LectureState, fold
from worker.outcome import FaceObservation, FrameObservation, Outcome, ScoreVector

SAD: ScoreVector = (0.0, 0.0, 0.0, 0.0, 0.75, 0.0, 0.25)
FRAMES_A_CHUNK = 2


def outcomes(count: int, people: int = 2) -> list[Outcome]:
    """A lecture of `count` chunks and its ending."""
    faces = [
        FaceObservation((300.0 * i, 100.0, 90.0, 90.0), 0.95, SAD, {"m": "sadness"}, bytes([i]) * 256)
        for i in range(people)
    ]
    chunks = [
        Outcome(
            [FrameObservation(FrameStamp(n, n / 2), faces) for n in range(k * FRAMES_A_CHUNK, (k + 1) * FRAMES_A_CHUNK)]
        )
        for k in range(count)
    ]
    return [*chunks, Outcome(ending=Ending("done"))]


def announce(client: redis.Redis, keys: LectureKeys, given: list[Outcome]) -> None:
    for number, outcome in enumerate(given):
        frames = 0 if outcome.ending else FRAMES_A_CHUNK
        client.hset(keys.in_flight, str(number), encode(InFlight(frames, 1000)))
        client.hincrby(keys.info, "sampled", frames)


def arrive(client: redis.Redis, keys: LectureKeys, number: int, outcome: Outcome) -> None:
    client.set(keys.outcome(number), encode(outcome))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_in_whatever_order_chunks_finish_the_events_are_those_of_the_lecture_in_order(
    client: redis.Redis, data: st.DataObject
) -> None:
    client.flushall()
    given = outcomes(count=5)
    order = data.draw(st.permutations(range(len(given))))
    keys = begin_lecture(client, "l")
    announce(client, keys, given)
    for number in order:
        arrive(client, keys, number, given[number])
        commit(client, "l")
    events = events_of(client, keys)
    assert [e.frame for e in events["class"][:-1] if isinstance(e, ClassEvent)] == list(range(10))
    for who in ("participant:p01", "participant:p02"):
        assert [e.frame for e in events[who][:-1] if isinstance(e, EmotionEvent)] == list(range(10))
    assert all(isinstance(stream[-1], EndEvent) for stream in events.values())
    assert set(events) == {"class", "participant:p01", "participant:p02"}


def test_whichever_answer_is_lost_a_commit_is_done_once(client: redis.Redis, redis_url: str) -> None:
    given = outcomes(count=2)
    told = {}
    with proxied(redis_url) as proxy:
        for lost in range(-1, 9):  # none, each of those that there are, and some behind them
            client.flushall()
            keys = begin_lecture(client, "l")
            announce(client, keys, given)
            for number, outcome in enumerate(given):
                arrive(client, keys, number, outcome)
            with connect(proxy.url, Patience(30)) as committing:
                proxy.lose_answer(lost)
                commit(committing, "l")
            told[lost] = events_of(client, keys)
            assert ledger_of(client, keys).balances
    assert len(told[-1]["class"]) == 2 * FRAMES_A_CHUNK + 1
    assert all(events == told[-1] for events in told.values())


def test_a_chunk_that_arrives_twice_is_published_once(client: redis.Redis) -> None:
    given = outcomes(count=3)
    keys = begin_lecture(client, "l")
    announce(client, keys, given)
    for number, outcome in enumerate(given):
        for _ in range(2):
            arrive(client, keys, number, outcome)
            commit(client, "l")
    assert len(events_of(client, keys)["class"]) == 6 + 1


def test_nothing_is_published_before_its_turn(client: redis.Redis) -> None:
    given = outcomes(count=3)
    keys = begin_lecture(client, "l")
    announce(client, keys, given)
    arrive(client, keys, 1, given[1])
    commit(client, "l")
    assert events_of(client, keys) == {}
    ledger = ledger_of(client, keys)
    assert (ledger.sampled, ledger.in_flight, ledger.balances) == (6, 6, True)


def test_many_who_commit_at_once_publish_every_event_once(client: redis.Redis, redis_url: str) -> None:
    given = outcomes(count=40)
    keys = begin_lecture(client, "l")
    announce(client, keys, given)

    def work(first: int) -> None:
        with connect(redis_url) as mine:
            for number in range(first, len(given), 4):
                arrive(mine, keys, number, given[number])
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


def test_whoever_was_outrun_tries_again_and_that_is_counted(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fold_while_another_commits(*words: Any) -> Any:
        monkeypatch.setattr("worker.commit.fold", fold)
        with connect(redis_url) as faster:
            arrive(faster, keys, 1, chunks[1])
            commit(faster, "l")
        return fold(*words)

    chunks, before = outcomes(count=3), counted("commit_conflicts")
    keys = begin_lecture(client, "l")
    announce(client, keys, chunks)
    arrive(client, keys, 0, chunks[0])
    monkeypatch.setattr("worker.commit.fold", fold_while_another_commits)
    commit(client, "l")
    assert counted("commit_conflicts") == before + 1
    assert [e.frame for e in events_of(client, keys)["class"] if isinstance(e, ClassEvent)] == [0, 1, 2, 3]


def test_a_failed_chunk_lets_the_lecture_move_on_and_the_ledger_says_so(client: redis.Redis) -> None:
    given = outcomes(count=3)
    given[1] = Outcome(failure="bad_picture")
    keys = begin_lecture(client, "l")
    announce(client, keys, given)
    for number, outcome in enumerate(given):
        arrive(client, keys, number, outcome)
    commit(client, "l")
    end = events_of(client, keys)["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published, end.ledger.failed) == ("failed", 4, 2)
    assert end.ledger.reasons == {"failed:bad_picture": 2}
    assert end.ledger.balances
    assert client.hget(keys.info, "status") == b"failed"


def test_after_the_end_only_results_are_left(client: redis.Redis) -> None:
    given = outcomes(count=2)
    keys = begin_lecture(client, "l")
    announce(client, keys, given)
    for number, outcome in enumerate(given):
        client.hset(keys.chunk(number), "head", b"{}")
        arrive(client, keys, number, outcome)
    commit(client, "l")
    expected = {keys.info, keys.participants, keys.class_, keys.participant("p01"), keys.participant("p02")}
    assert {key.decode() for key in client.scan_iter()} == expected
    assert all(client.ttl(key) > 0 for key in expected), "results have a retention time"


def test_subscribers_hear_what_the_stream_keeps(client: redis.Redis) -> None:
    given = outcomes(count=2)
    keys = begin_lecture(client, "l")
    announce(client, keys, given)
    with client.pubsub() as ear:
        ear.subscribe(keys.participant("p01"))
        ear.get_message(timeout=5)
        for number, outcome in enumerate(given):
            arrive(client, keys, number, outcome)
        commit(client, "l")
        heard = [ear.get_message(timeout=5) for _ in range(5)]
    assert [decode_event(m["data"]) for m in heard if m] == events_of(client, keys)["participant:p01"]


def test_a_forgotten_lecture_stays_forgotten(client: redis.Redis) -> None:
    given = outcomes(count=1)
    keys = begin_lecture(client, "l")
    announce(client, keys, given)
    client.flushall()
    commit(client, "l")
    assert client.dbsize() == 0


def test_class_only_tells_nothing_about_a_person() -> None:
    folded = fold("l", LectureState(class_only=True), outcomes(count=2), [2, 2, 0])
    assert folded.emotions == []
    assert folded.state.spans == {}
    assert [event.faces for event in folded.class_] == [2, 2, 2, 2]


def test_scores_are_told_in_the_contracts_order_with_valence_and_arousal() -> None:
    (event, *_) = fold("l", LectureState(), outcomes(count=1), [2, 0]).emotions
    assert list(event.scores) == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    assert event.emotion == "sadness"
    assert event.valence == pytest.approx(0.75 * -0.63, abs=1e-4)
    assert event.arousal == pytest.approx(0.75 * -0.27, abs=1e-4)
    assert event.box == (0, 100, 90, 90)


def test_several_recordings_of_one_lecture_are_one_class_and_each_person_is_who_their_recording_says() -> None:
    def pictures(n: int, *who: str) -> list[FrameObservation]:
        face = FaceObservation((50.0, 50.0, 90.0, 90.0), 0.95, SAD, {"m": "sadness"}, bytes(256))
        return [FrameObservation(FrameStamp(n, n / 2, participant=one, size=(640, 360)), [face]) for one in who]

    frames = [*pictures(0, "alice", "bob"), *pictures(1, "alice", "bob"), *pictures(2, "alice")]
    folded = fold("l", LectureState(), [Outcome(frames[:2]), Outcome(frames[2:])], [1, 2])
    assert [(event.frame, event.faces) for event in folded.class_] == [(0, 2), (1, 2), (2, 1)]
    assert [(event.participant, event.frame) for event in folded.emotions] == [
        ("alice", 0),
        ("bob", 0),
        ("alice", 1),
        ("bob", 1),
        ("alice", 2),
    ]
    assert folded.published == 3
