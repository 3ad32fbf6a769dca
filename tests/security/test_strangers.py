"""Jobs and values that strangers write to Redis: they are discarded and counted, run nothing and end no worker."""

import itertools
import json
import pickle
import re
import threading
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from rq.command import send_shutdown_command
from rq.serializers import JSONSerializer

from tests.gallery import gallery_pages
from tests.lectures import await_end, begin_lecture, chunks_of, events_of, feed_lecture, ledger_of, push_chunk
from tests.processes import eventually, workers
from tests.scraping import counted
from worker.contract.jobs import JOB, JOB_TIMEOUT_S, QUEUE
from worker.contract.keys import LectureKeys
from worker.contract.messages import Chunk, ChunkHead, EndEvent, Ending
from worker.contract.queue import enqueue_chunk, frame_queue
from worker.running.admission import JobRefused, check_call
from worker.running.process import chunk_worker

QUEUE_KEY = f"rq:queue:{QUEUE}"
KEYS_OF_RQ = re.compile(rb"rq:(queues|workers|workers:frames|worker:[^:]+|clean_registries:frames)")
PAGES = list(gallery_pages(2, 6, fps=2, size=(640, 360)))

NUMBERS = itertools.count()

Put = Callable[[redis.Redis, Path], object]


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._witness,))


def call(function: object = JOB, arguments: object = ("l", 7), instance: object = None, named: object = None) -> bytes:
    return zlib.compress(json.dumps([function, instance, arguments, named or {}]).encode())


def put(client: redis.Redis, job: str | bytes | None = None, **fields: Any) -> None:
    """Put a job in the queue, with RQ's fields except for those given; without any field, it is no hash."""
    job = f"stranger_{next(NUMBERS)}" if job is None else job
    name = job if isinstance(job, bytes) else job.encode()
    key: Any = b"rq:job:" + name
    usual: Any = {"created_at": "2026-11-24T00:00:00.000000Z", "origin": QUEUE, "status": "queued", "data": call()}
    given = {field: value for field, value in (usual | fields).items() if value is not None}
    client.hset(key, mapping=given) if given else client.set(key, "no hash")
    client.rpush(QUEUE_KEY, name)


def feed_ending(client: redis.Redis, lecture: str) -> LectureKeys:
    """A lecture that only has its ending left, which needs no models."""
    return feed_lecture(client, lecture, [Chunk(ChunkHead([], 640, 360, Ending("done")), [])])


STRANGERS: dict[str, tuple[str, Put]] = {
    "another function": ("function", lambda c, w: put(c, data=call("pathlib.Path.touch", [str(w)]))),
    "a method of a value": ("function", lambda c, w: put(c, data=call("touch", [], str(w)))),
    "our function as a method": ("function", lambda c, w: put(c, data=call(JOB, ["l", 7], {"a": 1}))),
    "a callback": ("function", lambda c, w: put(c, success_callback_name="os.abort")),
    "a callback for failures": ("function", lambda c, w: put(c, failure_callback_name="os.abort")),
    "a callback for stopping": ("function", lambda c, w: put(c, stopped_callback_name="os.abort")),
    "a webhook": ("function", lambda c, w: put(c, webhooks='[{"url": "http://127.0.0.1:1"}]')),
    "a dependency": ("function", lambda c, w: put(c, dependency_ids='["x"]')),
    "a repetition": ("function", lambda c, w: put(c, repeats_left="1000000")),
    "a rate limit": ("function", lambda c, w: put(c, rate_limit_key="k")),
    "a pickle": ("unreadable", lambda c, w: put(c, data=zlib.compress(pickle.dumps(Trap(w))))),
    "a bare pickle": ("unreadable", lambda c, w: put(c, data=pickle.dumps((Trap(w), None, (), {})))),
    "a bomb": ("unreadable", lambda c, w: put(c, data=zlib.compress(b'["' + b"a" * 2**24 + b'"]'))),
    "a deep nest": ("unreadable", lambda c, w: put(c, data=b"[" * 4000)),
    "no call": ("unreadable", lambda c, w: put(c, data=b"7")),
    "no data": ("unreadable", lambda c, w: put(c, data=None, created_at=None, origin=None)),
    "no hash": ("unreadable", lambda c, w: put(c, data=None, created_at=None, origin=None, status=None)),
    "an invalid status": ("unreadable", lambda c, w: put(c, status="glorious")),
    "an invalid date": ("unreadable", lambda c, w: put(c, created_at="yesterday")),
    "an invalid time limit": ("unreadable", lambda c, w: put(c, timeout="for ever")),
    "invalid retries": ("unreadable", lambda c, w: put(c, retries_left="\x00")),
    "no text": ("unreadable", lambda c, w: put(c, description=b"\xff\xfe")),
    "another queue": ("unreadable", lambda c, w: put(c, origin="default")),
    "an id in braces": ("unreadable", lambda c, w: put(c, "lecture:{l}")),
    "an id of two lines": ("unreadable", lambda c, w: put(c, "l\nworker died")),
    "an id that is no text": ("unreadable", lambda c, w: put(c, b"\xff\xfe")),
    "an empty id": ("unreadable", lambda c, w: put(c, "")),
    "an endless id": ("unreadable", lambda c, w: put(c, "a" * 100_000)),
    "a lecture in braces": ("arguments", lambda c, w: put(c, data=call(arguments=["no{such}lecture", 1]))),
    "a lecture of two lines": ("arguments", lambda c, w: put(c, data=call(arguments=["l\n", 1]))),
    "a number as text": ("arguments", lambda c, w: put(c, data=call(arguments=["l", "1"]))),
    "a broken number": ("arguments", lambda c, w: put(c, data=call(arguments=["l", 1.5]))),
    "a boolean for a number": ("arguments", lambda c, w: put(c, data=call(arguments=["l", True]))),
    "a negative number": ("arguments", lambda c, w: put(c, data=call(arguments=["l", -1]))),
    "a huge number": ("arguments", lambda c, w: put(c, data=call(arguments=["l", 10**300]))),
    "no number": ("arguments", lambda c, w: put(c, data=call(arguments=["l"]))),
    "a list for a lecture": ("arguments", lambda c, w: put(c, data=call(arguments=[["l"], 1]))),
    "a third argument": ("arguments", lambda c, w: put(c, data=call(arguments=["l", 1, 2]))),
    "a named argument": ("arguments", lambda c, w: put(c, data=call(named={"lecture": "l"}))),
    "the job of another chunk": ("arguments", lambda c, w: put(c, "l-8", data=call(arguments=["l", 7]))),
    "an unknown lecture": ("unknown_lecture", lambda c, w: put(c, "unknown-0", data=call(arguments=["unknown", 0]))),
    "a chunk that was never fed": ("not_in_flight", lambda c, w: put(c, "l-7")),
}


def refused(reason: str) -> float:
    return counted("jobs_refused", reason=reason)


def other_keys(client: redis.Redis) -> set[bytes]:
    """All keys except those that RQ keeps at all times."""
    return {key for key in client.scan_iter() if not KEYS_OF_RQ.fullmatch(key)}


def work(client: redis.Redis, jobs: int) -> None:
    """Process this many jobs here. A timer stops it if there are fewer, because RQ disables pytest's timeout."""
    worker = chunk_worker(client, "w")
    timer = threading.Timer(150, worker._shutdown)
    timer.daemon = True
    timer.start()
    worker.work(max_jobs=jobs, logging_level="CRITICAL")
    timer.cancel()


@pytest.mark.parametrize(("reason", "put"), STRANGERS.values(), ids=STRANGERS)
def test_a_strangers_job_is_discarded_and_counted_and_the_next_one_runs(
    client: redis.Redis, tmp_path: Path, reason: str, put: Put
) -> None:
    witness, before = tmp_path / "ran", refused(reason)
    begin_lecture(client, "l")
    kept = set(client.keys("lecture:{l}*"))
    put(client, witness)
    ours = feed_ending(client, "ours")
    work(client, 1)
    assert refused(reason) == before + 1
    assert not witness.exists()
    assert client.hget(ours.info, "status") == b"done"
    assert {key for key in other_keys(client) if b"ours" not in key} == kept


def test_a_job_gets_our_time_limit_retries_and_lifetimes_whatever_it_contains(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[int] = []

    def time_limit(seconds: int) -> AbstractContextManager[None]:
        times.append(seconds)
        return nullcontext()

    monkeypatch.setattr("worker.job.time_limit", time_limit)
    for wanted in ("-1", "1", "1000000"):
        client.flushall()
        keys = begin_lecture(client, "l")
        push_chunk(client, keys, 0, Chunk(ChunkHead([], 640, 360, Ending("done")), []))
        call_of_ours = call(arguments=["l", 0])
        put(client, "l-0", data=call_of_ours, timeout=wanted, result_ttl="-1", failure_ttl="-1", retries_left=wanted)
        work(client, 1)
        assert client.hget(keys.info, "status") == b"done"
        assert not [key for key in client.keys("rq:*") if b"l-0" in key]
    assert times == [JOB_TIMEOUT_S] * 3


def test_a_strangers_job_for_a_chunk_in_flight_does_not_fail_the_chunk(client: redis.Redis) -> None:
    """Without retries, it would fail the chunk."""
    before = refused("arguments")
    keys = feed_lecture(client, "l", chunks_of(PAGES[:2], 2))
    put(client, data=call(arguments=["l", 0]), timeout="1", retries_left="0")
    client.hset("rq:job:l-1", "data", call(arguments=["l", 0]))
    work(client, 2)
    assert ledger_of(client, keys).published == 2
    assert client.hget(keys.info, "status") == b"done"
    assert refused("arguments") == before + 2
    assert other_keys(client) - set(client.keys("lecture:{l}*")) == set()


def test_a_job_of_ours_that_was_overwritten_is_enqueued_again(client: redis.Redis, tmp_path: Path) -> None:
    keys = feed_ending(client, "l")
    client.hset("rq:job:l-0", "data", zlib.compress(pickle.dumps(Trap(tmp_path / "ran"))))
    work(client, 1)
    assert client.hget(keys.info, "status") == b"done"
    assert not (tmp_path / "ran").exists()


def test_real_workers_survive_all_of_it_and_a_running_lecture_is_not_disturbed(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    witness = tmp_path / "ran"
    alone = feed_lecture(client, "alone", chunks_of(PAGES, 2))
    with workers(redis_url, 1) as supervisor:
        await_end(client, alone)
        names: Any = client.smembers("rq:workers")
        (worker,) = names
        for stranger in range(2):
            for _, put_one in STRANGERS.values():
                put_one(client, witness)
            client.publish("rq:pubsub:" + worker.decode().removeprefix("rq:worker:"), b"\xff no command")
            send_shutdown_command(client, worker.decode().removeprefix("rq:worker:"))
            if stranger == 0:
                keys = feed_lecture(client, "l", chunks_of(PAGES, 2))
        await_end(client, keys)
        eventually(lambda: not client.llen(QUEUE_KEY))
        assert client.smembers("rq:workers") == {worker}, "the same process did all jobs"
        assert supervisor.poll() is None
    expected = json.loads(msgspec.json.encode(events_of(client, alone)).replace(b'"alone"', b'"l"'))
    assert json.loads(msgspec.json.encode(events_of(client, keys))) == expected
    assert not witness.exists()
    assert {key for key in other_keys(client) if not key.startswith((b"lecture:{alone}", b"lecture:{l}"))} == set()


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"\x80\x04N.",
        b"7",
        b'{"v": 2}',
        b'{"frames": [[{"frame": 0, "t": 0, "participant": "{x}"}, []]]}',
        b'{"frames": [[{"frame": 0, "t": 0}, [[[0, 0, 1, 1], 2e9, [0,0,0,0,0,0,1], {}, ""]]]]}',
        b'{"failure": "%s"}' % (b"a" * 1000),
        b'{"frames": [[{"frame": 1e99, "t": 0}, []]]}',
        b"{}",
        b'{"ending": {"status": "done"}}',
        b'{"frames": [[{"frame": 0, "t": 0}, []]]}',
        b'{"frames": [[{"frame": 0, "t": 0}, []], [{"frame": 1, "t": 0}, []], [{"frame": 0, "t": 0}, []]]}',
        b'{"frames": [[{"frame": 0, "t": 0}, []]], "failed": {"7": "x", "8": "x"}}',
        b'{"failure": "x", "failed": {"0": "x", "1": "x"}}',
    ],
)
def test_a_strangers_outcome_fails_its_chunk_and_the_lecture_goes_on(client: redis.Redis, foreign: bytes) -> None:
    keys = feed_lecture(client, "l", chunks_of(PAGES[:2], 2))
    client.set(keys.outcome(0), foreign)
    work(client, 2)
    end = events_of(client, keys)["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.reasons, end.ledger.balances) == ("failed", {"failed:foreign": 2}, True)
    assert ledger_of(client, keys).balances


@pytest.mark.parametrize("key", ["lecture:{l}:outcome:0", "rq:executions:l-0"])
def test_a_value_of_another_type_in_a_key_of_ours_is_removed(client: redis.Redis, key: str) -> None:
    keys = feed_lecture(client, "l", chunks_of(PAGES[:2], 2))
    client.hset(key, "a", "stranger's")
    work(client, 2)
    assert client.hget(keys.info, "status") == b"done"
    assert ledger_of(client, keys).published == 2
    assert not client.exists(key)


@pytest.mark.parametrize(
    "foreign", [b"", b"[]", b'{"next_chunk": "seven"}', b'{"next_chunk": -1}', b"\xff", b'{"deep": ' + b"[" * 100_000]
)
def test_a_strangers_state_stops_only_its_lecture(client: redis.Redis, foreign: bytes) -> None:
    before = refused("foreign_state")
    keys = feed_ending(client, "l")
    client.set(keys.state, foreign)
    other = feed_ending(client, "other")
    work(client, 4)  # the first, its two retries, the other
    assert (client.hget(keys.info, "status"), client.hget(other.info, "status")) == (b"running", b"done")
    assert refused("foreign_state") == before + 1


def test_a_lecture_whose_chunks_in_flight_are_no_hash_ends_no_worker(client: redis.Redis) -> None:
    before = refused("unreadable")
    client.set(LectureKeys("broken").in_flight, "stranger's")
    put(client, "broken-7", data=call(arguments=["broken", 7]))
    ours = feed_ending(client, "ours")
    work(client, 1)
    assert client.hget(ours.info, "status") == b"done"
    assert refused("unreadable") == before + 1


def test_a_state_of_another_type_stops_only_its_lecture(client: redis.Redis) -> None:
    before = refused("foreign_state")
    keys = feed_ending(client, "l")
    client.delete(keys.state)
    client.rpush(keys.state, "stranger's")
    other = feed_ending(client, "other")
    work(client, 4)
    assert client.hget(other.info, "status") == b"done"
    assert refused("foreign_state") == before + 1


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"frames": [{"frame": 0, "t": 0, "participant": "a}b"}], "width": 9, "height": 9}',
        b'{"frames": [], "width": 60000, "height": 60000}',
        b'{"frames": [], "width": 1e9, "height": 1}',
        b'{"frames": [' + b",".join([b'{"frame": 0, "t": 0}'] * 1001) + b'], "width": 9, "height": 9}',
    ],
)
def test_a_chunk_with_an_invalid_head_fails_and_the_lecture_ends(client: redis.Redis, head: bytes) -> None:
    keys = feed_lecture(client, "l", chunks_of(PAGES[:2], 2))
    client.hset(keys.chunk(0), "head", head)
    work(client, 4)
    end = events_of(client, keys)["class"][-1]
    assert isinstance(end, EndEvent)
    assert (end.status, end.ledger.published, end.ledger.failed) == ("failed", 0, 2)


@given(st.binary(max_size=300))
def test_a_call_of_random_bytes_is_refused(data: bytes) -> None:
    for stored in (data, zlib.compress(data)):
        with pytest.raises(JobRefused):
            check_call(stored)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(JSON, min_size=3, max_size=5) | st.tuples(st.just(JOB), st.none(), JSON, JSON))
def test_a_call_of_random_json_names_a_chunk_or_is_refused(values: Any) -> None:
    try:
        lecture, number = check_call(json.dumps(values).encode())
    except JobRefused:
        return
    assert LectureKeys(lecture).chunk(number)


def test_our_own_call_is_accepted(client: redis.Redis) -> None:
    enqueue_chunk(frame_queue(client), "l-1", 3)
    stored: Any = client.hget("rq:job:l-1-3", "data")
    assert check_call(stored) == ("l-1", 3)
    assert JSONSerializer.loads(zlib.decompress(stored))[0] == JOB
