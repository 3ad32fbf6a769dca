"""The gauges that a supervisor reads from Redis at a scrape."""

import threading
import time

import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest

from tests.conftest import running_redis
from tests.lectures import begin_lecture, feed_chunk
from tests.processes import eventually, suspended
from tests.scraping import Scrape, check_with_promtool
from tests.streams import free_port, silent_server
from worker.contract.connection import connect
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.messages import (
    EMOTIONS,
    Chunk,
    ChunkHead,
    ClassEvent,
    EndEvent,
    FrameStamp,
    Ledger,
    ParticipantSpan,
    encode,
)
from worker.metrics import redis_collector
from worker.metrics.redis_collector import MAX_LECTURES, RedisCollector

HALF_HAPPY = {emotion: 0.5 if emotion in ("happiness", "neutral") else 0.0 for emotion in EMOTIONS}
SAD = {emotion: 1.0 if emotion == "sadness" else 0.0 for emotion in EMOTIONS}


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_collector, "CACHE_S", 0.0)


def scraped(url: str) -> Scrape:
    registry = CollectorRegistry()
    registry.register(RedisCollector(url))
    return Scrape(generate_latest(registry).decode())


def lecture(client: redis.Redis, name: str) -> LectureKeys:
    client.sadd(RUNNING, name)
    return begin_lecture(client, name)


def publish(client: redis.Redis, keys: LectureKeys, frame: int, faces: int, scores: dict[str, float] | None) -> None:
    valence, arousal = (0.4, 0.2) if scores else (None, None)
    event = ClassEvent(keys.lecture, frame, frame / 2, faces, scores, valence, arousal, "v", 0 if scores else faces)
    client.xadd(keys.class_, {"event": encode(event)})


def test_an_empty_redis_is_all_zeros_and_a_lecture_without_faces_has_no_shares(
    client: redis.Redis, redis_url: str
) -> None:
    empty = scraped(redis_url)
    assert empty.value("redis_up") == 1
    assert (empty.value("redis_memory_bytes") or 0) > 100_000
    for name in ("queue_chunks", "queue_oldest_seconds", "lectures_running", "all_in_flight_frames"):
        assert empty.value(name) == 0
    assert not any("lecture" in dict(labels) for _, labels in empty)
    publish(client, lecture(client, "l"), 0, 0, None)
    found = scraped(redis_url)
    assert found.value("lecture_participants", lecture="l") == 0
    assert "lecturepulse_lecture_coverage{" not in found.text
    assert "lecturepulse_lecture_emotion_share{" not in found.text


def test_the_queue_and_the_frames_in_flight_are_those_of_all_lectures(client: redis.Redis, redis_url: str) -> None:
    for name in ("a", "b"):
        keys = lecture(client, name)
        chunk = Chunk(ChunkHead([FrameStamp(n, n / 2) for n in range(3)], 640, 360), [bytes(1000)] * 3)
        feed_chunk(client, keys, 0, chunk)
    long_ago = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - 60))
    client.hset("rq:job:a-0", "created_at", long_ago)
    found = scraped(redis_url)
    assert found.value("queue_chunks") == 2
    assert 59 <= (found.value("queue_oldest_seconds") or 0) < 90
    assert found.value("all_in_flight_frames") == 6
    assert found.value("all_in_flight_bytes") == 6000
    assert found.by("lecture", "lecture_frames_sampled_total") == {"a": 3, "b": 3}


def test_a_running_lecture_shows_the_present_class(client: redis.Redis, redis_url: str) -> None:
    keys = lecture(client, "l")
    client.hset(keys.info, mapping={"sampled": 100, "published": 90, "dropped": 4, "failed": 2})
    publish(client, keys, 0, 2, SAD)  # more than ten seconds before the newest
    for frame in (98, 99):
        publish(client, keys, frame, 2, HALF_HAPPY)
    publish(client, keys, 100, 3, None)
    spans = {"p01": (0.0, 50.0), "p02": (0.0, 49.5), "p03": (0.0, 20.0), "p04": (5.0, 6.0)}
    client.hset(keys.participants, mapping={p: encode(ParticipantSpan(*span, 9)) for p, span in spans.items()})
    found = scraped(redis_url)
    assert found.by("emotion", "lecture_emotion_share") == HALF_HAPPY
    assert {what: found.value(f"lecture_{what}", lecture="l") for what in ("valence", "arousal")} == {
        "valence": pytest.approx(0.4),
        "arousal": pytest.approx(0.2),
    }
    assert found.value("lecture_faces", lecture="l") == 3
    assert found.value("lecture_faces_unreadable", lecture="l") == 3
    assert found.value("lecture_participants", lecture="l") == 4
    assert found.value("lecture_coverage", lecture="l") == 0.5
    assert found.value("lecture_frames_published_total", lecture="l") == 90
    assert (found.value("lecture_source_age_seconds", lecture="l") or 0) < 30
    assert not any(participant in found.text for participant in spans)
    check_with_promtool(found.text)


@pytest.mark.parametrize("fps", [0.05, 1, 25])
def test_the_present_is_ten_seconds_at_every_rate(client: redis.Redis, redis_url: str, fps: float) -> None:
    keys = lecture(client, "l")
    client.hset(keys.info, "fps", fps)
    for frame in range(10 * round(max(fps, 1)) + 1):  # the first half sad, the second merry
        scores = SAD if frame / fps < 5 else HALF_HAPPY
        client.xadd(keys.class_, {"event": encode(ClassEvent("l", frame, frame / fps, 2, scores, 0.4, 0.2, "v"))})
    share = scraped(redis_url).value("lecture_emotion_share", lecture="l", emotion="sadness")
    assert share == pytest.approx(0 if fps < 1 else 0.5, abs=0.05)


def test_a_lecture_that_has_ended_is_not_shown(client: redis.Redis, redis_url: str) -> None:
    for name in ("running", "done", "forgotten"):
        publish(client, lecture(client, name), 0, 2, HALF_HAPPY)
    done = LectureKeys("done")
    client.hset(done.info, "status", "done")
    client.xadd(done.class_, {"event": encode(EndEvent("done", "done", None, Ledger()))})
    client.delete(LectureKeys("forgotten").info)
    found = scraped(redis_url)
    assert found.value("lectures_running") == 1
    assert {dict(labels).get("lecture") for _, labels in found} == {None, "running"}


def test_the_number_of_series_is_bounded_for_any_number_of_lectures_and_participants(
    client: redis.Redis, redis_url: str
) -> None:
    keys = lecture(client, "l0")
    publish(client, keys, 0, 300, HALF_HAPPY)
    span = encode(ParticipantSpan(0.0, 9.0, 18))
    client.hset(keys.participants, mapping={f"p{n:03d}": span for n in range(300)})
    with client.pipeline(transaction=False) as pipe:
        for n in range(1, 2000):
            copy = LectureKeys(f"l{n}")
            for kept, made in ((keys.info, copy.info), (keys.class_, copy.class_)):
                pipe.copy(kept, made)
            pipe.copy(keys.participants, copy.participants)
            pipe.hset(copy.info, "started", time.time() + n)
            pipe.sadd(RUNNING, copy.lecture)
        pipe.execute()
    found = scraped(redis_url)
    assert found.value("redis_up") == 1
    assert found.value("lectures_running") == 2000
    newest = {f"l{n}" for n in range(2000 - MAX_LECTURES, 2000)}
    assert found.by("lecture", "lecture_participants") == dict.fromkeys(newest, 300)
    assert len(found) <= 20 + 20 * MAX_LECTURES


def test_values_that_strangers_write_to_redis_do_not_reach_the_metrics(client: redis.Redis, redis_url: str) -> None:
    publish(client, lecture(client, "ours"), 0, 2, HALF_HAPPY)
    client.sadd(RUNNING, "no{such}", "line\nbreak", b"\xff\xfe", "", "x" * 65, "string", "odd", "broken")
    client.set(LectureKeys("string").info, "not a hash")
    client.hset(LectureKeys("odd").info, mapping={"status": "running", "fps": "many"})
    broken = lecture(client, "broken")
    client.set(broken.class_, "no stream")
    client.set(broken.participants, "no hash")
    client.hset(broken.in_flight, mapping={"0": "no JSON"})
    client.hset(lecture(client, "endless").info, "sampled", "9" * 400)
    for frame in range(2):
        publish(client, lecture(client, "huge"), frame, 1, dict.fromkeys(EMOTIONS, 1e308))
    client.rpush("rq:queue:frames", "no job", b"\xff")
    client.set("rq:job:no job", "no hash")
    publish(client, lecture(client, "mixed"), 0, 1, SAD)
    client.xadd(LectureKeys("mixed").class_, {"event": "no JSON"})
    client.xadd(LectureKeys("mixed").class_, {"other": "field"})
    found = scraped(redis_url)
    assert found.value("redis_up") == 1
    assert found.value("queue_chunks") == 2
    assert found.by("lecture", "lecture_participants") == {"ours": 0, "broken": 0, "huge": 0, "mixed": 0}
    assert found.by("lecture", "lecture_faces") == {"ours": 2, "huge": 1, "mixed": 1}


def test_a_redis_that_stands_still_or_is_gone_is_reported_at_the_next_scrape() -> None:
    with running_redis() as (url, server), connect(url) as client:
        lecture(client, "l")
        collector, registry = RedisCollector(url), CollectorRegistry()
        registry.register(collector)

        def found() -> Scrape:
            return Scrape(generate_latest(registry).decode())

        assert found().value("lectures_running") == 1
        with suspended(server.pid):
            stalled = found()
            assert stalled.value("redis_up") == 0
            assert stalled.value("lectures_running") is None
            assert collector.answers(), "the last answer is recent"
        eventually(lambda: found().value("redis_up") == 1)
        server.kill()
        server.wait()
        assert found().value("redis_up") == 0


def test_concurrent_scrapes_read_redis_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_collector, "CACHE_S", 60.0)
    with silent_server() as (port, received):
        registry = CollectorRegistry()
        registry.register(RedisCollector(f"redis://me:SECRET@127.0.0.1:{port}"))
        answers: list[str] = []
        asking = [threading.Thread(target=lambda: answers.append(generate_latest(registry).decode())) for _ in range(8)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert len(set(answers)) == 1
        assert Scrape(answers[0]).value("redis_up") == 0
        assert "SECRET" not in answers[0]
        eventually(lambda: received)
        assert len(received) == 1


def test_a_redis_that_was_away_for_long_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_collector, "REDIS_AWAY_S", 0.0)
    assert not RedisCollector(f"redis://127.0.0.1:{free_port()}").answers()
