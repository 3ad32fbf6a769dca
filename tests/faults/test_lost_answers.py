"""A feed that loses its connection after Redis has executed a command and before the answer arrives, at every step."""

from functools import partial

import pytest
import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from producer.feeding.fed_lecture import Fed, FedLecture
from producer.feeding.feed import Feed
from producer.feeding.packing import packed
from producer.feeding.resuming import read_interrupted
from producer.feeding.starting import NewLecture
from tests.faults.proxy import Proxy, proxied
from tests.faults.slides import FPS, NEVER, SIZE, Slides, begin, published, undisturbed
from tests.lectures import ledger_of
from tests.producer.committing import work_on
from worker.contract.connection import RetryWhileAway, connect
from worker.contract.jobs import job_id
from worker.contract.keys import LectureKeys
from worker.contract.messages import Chunk, ChunkHead, Ending
from worker.contract.queue import frame_queue

FRAMES = 24
CHUNKS = 3
"""Two with frames, and the ending."""


def answers_of_a_feed(proxy: Proxy) -> int:
    with connect(proxy.url) as client:
        proxy.lose_answer(-1)
        begin(client, "counted").run(Slides(FRAMES), NEVER)
    return proxy.answers


def test_whichever_answer_is_lost_every_frame_is_fed_once(client: redis.Redis, redis_url: str) -> None:
    expected = undisturbed(client, FRAMES)
    with proxied(redis_url) as proxy:
        answers = answers_of_a_feed(proxy)
        assert answers > 15
        for number in range(answers):
            lecture = f"l{number}"
            with connect(proxy.url, RetryWhileAway(30)) as feeding:
                proxy.lose_answer(number)
                begin(feeding, lecture).run(Slides(FRAMES), NEVER)
            jobs = [job for job in frame_queue(client).job_ids if job.startswith(f"{lecture}-")]
            assert list(dict.fromkeys(jobs)) == [job_id(lecture, chunk) for chunk in range(CHUNKS)]
            work_on(client, LectureKeys(lecture))
            assert published(client, lecture) == expected, f"answer {number}"
            assert ledger_of(client, LectureKeys(lecture)).balances
            assert client.hget(LectureKeys(lecture).info, "status") == b"done"


def test_wherever_a_producer_is_killed_another_one_resumes_its_lecture(client: redis.Redis, redis_url: str) -> None:
    expected = undisturbed(client, FRAMES)
    begun = 0
    with proxied(redis_url) as proxy:
        for number in range(answers_of_a_feed(proxy)):
            lecture = f"l{number}"
            keys = LectureKeys(lecture)
            proxy.lose_answer(-1)
            with connect(proxy.url, Retry(NoBackoff(), 0)) as dying:
                proxy.lose_answer(number, for_good=True)
                with pytest.raises(redis.ConnectionError):
                    begin(dying, lecture).run(Slides(FRAMES), NEVER)
            if not client.exists(keys.info):
                continue
            client.delete(keys.feeder)  # the heartbeat expires
            if number % 2:
                work_on(client, keys)  # the chunks are committed before the lecture is resumed, or else afterwards
            if client.hget(keys.info, "status") == b"running" and not ended(client, keys):
                interrupted = read_interrupted(client, lecture)
                begun += 1
                Feed.resume(client, lecture, interrupted).run(Slides(FRAMES, first=interrupted.frames), NEVER)
            work_on(client, keys)
            assert published(client, lecture) == expected, f"answer {number}"
            assert ledger_of(client, keys).balances
            assert client.hget(keys.info, "status") == b"done"
    assert begun > 5


def ended(client: redis.Redis, keys: LectureKeys) -> bool:
    """Whether the ending was pushed."""
    return b'{"frames":0,"size":0}' in client.hvals(keys.in_flight)


def test_a_chunk_committed_before_its_feed_gets_the_answer_is_not_counted_twice(client: redis.Redis) -> None:
    fed, keys = FedLecture.start(client, NewLecture("l", "talk.mp4", FPS, *SIZE)), LectureKeys("l")
    ending = Chunk(ChunkHead([], *SIZE, Ending("done")), [])
    for number, chunk in enumerate([*packed(Slides(20).frames(NEVER), *SIZE), ending]):
        for field, value in chunk.to_hash().items():
            client.hset(keys.chunk(number), field, value)
        client.transaction(partial(account, fed, number, chunk), keys.info)
        work_on(client, keys)
        client.transaction(partial(account, fed, number, chunk), keys.info)  # as if the answer had been lost
        assert not client.exists(keys.in_flight)
    assert client.hget(keys.info, "status") == b"done"


def account(fed: FedLecture, number: int, chunk: Chunk, pipe: Pipeline) -> None:
    assert fed._account(pipe, chunk, Fed(chunks=number + 1))
