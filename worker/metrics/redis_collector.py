"""What lies in Redis, asked when somebody scrapes: the queue, the memory, and how running lectures go."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import msgspec
import redis
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import EMOTIONS, ClassEvent, InFlight, ParticipantSpan, decode_event
from worker.contract.queue import QUEUE_KEY
from worker.contract.streams import EVENT_FIELD
from worker.metrics.counters import PREFIX

MOST_LECTURES = 100
"""Running lectures that have series of their own, the newest ones: some twenty series each."""

# Beyond so many ids, which are no lectures of ours any more, a part has to stand for all.
MOST_IDS = 5000

RECENT_S = 10.0
"""Seconds of media time before its newest frame that a lecture's gauges are about."""

# Events that are read of that; at 2 frames a second there are 20 of them.
MOST_EVENTS = 50

# One look answers all who ask within this time, however often and by how many Redis' state is asked for.
KEPT_S = 1.0

# For each of a look's few questions. A Redis that takes longer is no use to workers either.
ANSWER_S = 2.0

# Redis may be away for so long, a restart or a failover, before whoever watches over this process should know.
LATELY_S = 30.0

# The oldest chunk is at the head of the queue, unless a job was put back: then it is near it.
HEAD = 10


@dataclass
class LectureCount:
    """How one running lecture goes. `age` is seconds since its newest event, or its start where there is none."""

    lecture: str
    info: LectureInfo
    age: float
    recent: list[ClassEvent]
    spans: list[ParticipantSpan]

    def values(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """Name, labels beside the lecture, and value of everything that is shown of it."""
        for what in ("sampled", "published", "dropped", "failed"):
            yield f"frames_{what}", {}, getattr(self.info, what)
        yield "source_age_seconds", {}, self.age
        yield "participants", {}, len(self.spans)
        if not self.recent:
            return
        newest = max(self.recent, key=lambda event: event.frame)
        yield "faces", {}, newest.faces
        if self.spans:
            seen = sum(span.last >= newest.t - RECENT_S for span in self.spans)
            yield "coverage", {}, seen / len(self.spans)
        shown = [event for event in self.recent if event.scores and newest.t - event.t <= RECENT_S]
        for emotion in EMOTIONS if shown else ():
            share = _mean(event.scores.get(emotion, 0.0) for event in shown if event.scores)
            yield "emotion_share", {"emotion": emotion}, share
        for what in ("valence", "arousal") if shown else ():
            yield what, {}, _mean(getattr(event, what) or 0.0 for event in shown)


@dataclass
class Count:
    """What there was in Redis at one look."""

    queued: int
    oldest: float
    memory: int
    memory_limit: int
    running: int
    in_flight: InFlight
    lectures: list[LectureCount]


class RedisCollector(Collector):
    """Looks into the Redis at `url`, for a registry. Never waits longer than a few ANSWER_S, and never raises."""

    def __init__(self, url: str) -> None:
        # A pool of its own: the workers' one waits for answers, and tries again.
        self._client = redis.Redis.from_url(
            url,
            protocol=2,
            socket_connect_timeout=ANSWER_S,
            socket_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._looking = threading.Lock()
        self._seen: tuple[float, list[Metric]] | None = None
        self._answered = time.monotonic()  # whoever made this has just connected

    def collect(self) -> Iterable[Metric]:
        with self._looking:
            if self._seen is None or time.monotonic() - self._seen[0] >= KEPT_S:
                metrics = list(_metrics(self._looked()))
                self._seen = time.monotonic(), metrics  # from now on: a Redis that is slow is not asked all the time
            return self._seen[1]

    def answers(self) -> bool:
        """Whether Redis was reachable within the last LATELY_S."""
        with self._looking:
            try:
                self._client.ping()
                self._answered = time.monotonic()
            except redis.RedisError:
                pass
            return time.monotonic() - self._answered < LATELY_S

    def close(self) -> None:
        self._client.close()

    def _looked(self) -> Count | None:
        """The count; None where Redis does not answer, or not so that it can be understood."""
        try:
            count = count_all(self._client)
        except (redis.RedisError, ValueError, TypeError, KeyError):
            return None
        self._answered = time.monotonic()
        return count


def count_all(client: redis.Redis) -> Count:
    """Look at the queue, the memory and all running lectures, in three round trips. Raises redis.RedisError."""
    with client.pipeline(transaction=False) as pipe:
        pipe.info("memory")
        pipe.time()
        pipe.llen(QUEUE_KEY)
        pipe.lrange(QUEUE_KEY, 0, HEAD - 1)
        pipe.srandmember(RUNNING, MOST_IDS)
        memory, (seconds, _), queued, head, ids = pipe.execute()
    known = _keys_of(ids)
    with client.pipeline(transaction=False) as pipe:
        for job in head:
            pipe.hget(b"rq:job:" + job, "created_at")
        for keys in known:
            pipe.hgetall(keys.info)
            pipe.hvals(keys.in_flight)
        answers = pipe.execute(raise_on_error=False)  # what a stranger put there may be of another kind
    created, hashes = answers[: len(head)], answers[len(head) :]
    running = []
    in_flight: list[InFlight] = []
    for keys, fields, flying in zip(known, hashes[::2], hashes[1::2], strict=True):
        info = _running(fields)
        if info is not None:
            running.append((keys, info))
            in_flight += _decoded(flying, InFlight)
    running.sort(key=lambda each: each[1].started, reverse=True)
    return Count(
        queued=queued,
        oldest=max((_age(at, seconds) for at in created), default=0.0),
        memory=memory["used_memory"],
        memory_limit=memory.get("maxmemory", 0),
        running=len(running),
        in_flight=InFlight(sum(chunk.frames for chunk in in_flight), sum(chunk.size for chunk in in_flight)),
        lectures=_lectures(client, running[:MOST_LECTURES], seconds),
    )


def _lectures(client: redis.Redis, running: list[tuple[LectureKeys, LectureInfo]], now: float) -> list[LectureCount]:
    with client.pipeline(transaction=False) as pipe:
        for keys, _ in running:
            pipe.xrevrange(keys.class_, count=MOST_EVENTS)
            pipe.hvals(keys.participants)
        answers = pipe.execute(raise_on_error=False)
    counts = []
    for (keys, info), entries, spans in zip(running, answers[::2], answers[1::2], strict=True):
        recent, newest = _recent(entries)
        age = max(0.0, now - (info.started if newest is None else newest))
        counts.append(LectureCount(keys.lecture, info, age, recent, _decoded(spans, ParticipantSpan)))
    return counts


def _keys_of(ids: list[bytes]) -> list[LectureKeys]:
    keys = []
    for each in ids:
        try:
            keys.append(LectureKeys(each.decode()))
        except ValueError:
            continue  # a stranger's
    return keys


def _running(fields: Any) -> LectureInfo | None:
    """The lecture of that hash, if it is one and runs."""
    try:
        info = LectureInfo.from_hash(fields)
    except (ValueError, AttributeError):  # gone, or no hash of a lecture
        return None
    return info if info.status == "running" else None


def _decoded(values: Any, kind: type[Any]) -> list[Any]:
    try:
        return [msgspec.json.decode(value, type=kind) for value in values]
    except (ValueError, TypeError):
        return []


def _recent(entries: Any) -> tuple[list[ClassEvent], float | None]:
    """The class events among a stream's newest entries, and when the newest entry came, in seconds since 1970."""
    if not isinstance(entries, list) or not entries:
        return [], None
    recent = []
    for _, fields in entries:
        try:
            event = decode_event(fields[EVENT_FIELD.encode()])
        except (ValueError, KeyError):
            continue
        if isinstance(event, ClassEvent):
            recent.append(event)
    return recent, int(cast(bytes, entries[0][0]).partition(b"-")[0]) / 1000


def _age(created: Any, now: float) -> float:
    """Seconds since a job was made, by its own word (RQ's form of a time); 0 where it says nothing, or nonsense."""
    try:
        return max(0.0, now - datetime.fromisoformat(created.decode().replace("Z", "+00:00")).timestamp())
    except (ValueError, AttributeError):
        return 0.0


def _mean(values: Iterable[float]) -> float:
    some = list(values)
    return sum(some) / len(some)


def _metrics(count: Count | None) -> Iterator[Metric]:
    yield _gauge("redis_up", "1 if Redis answered at this scrape, else 0.", float(count is not None))
    if count is None:
        return
    yield _gauge("queue_chunks", "Chunks that wait for a worker.", count.queued)
    yield _gauge("queue_oldest_seconds", "Age of the oldest chunk that waits for a worker.", count.oldest)
    yield _gauge("redis_memory_bytes", "Memory that Redis uses.", count.memory)
    yield _gauge("redis_memory_limit_bytes", "Memory that Redis may use; 0: as much as there is.", count.memory_limit)
    yield _gauge("lectures_running", "Lectures that were begun and have not ended.", count.running)
    yield _gauge("all_in_flight_frames", "Frames in flight of all running lectures.", count.in_flight.frames)
    yield _gauge("all_in_flight_bytes", "JPEG bytes in flight of all running lectures.", count.in_flight.size)
    families = {family.name: family for family in _lecture_families()}
    for lecture in count.lectures:
        for name, labels, value in lecture.values():
            labels = {"lecture": lecture.lecture, **labels}
            family = families[f"{PREFIX}_lecture_{name}"]
            family.add_sample(family.name + ("_total" if family.type == "counter" else ""), labels, value)
    yield from families.values()


def _lecture_families() -> Iterator[Metric]:
    """Of running lectures only, and of no more than MOST_LECTURES of them."""
    for what, meaning in (
        ("sampled", "Frames taken from the lecture's source."),
        ("published", "Frames of the lecture whose result was committed."),
        ("dropped", "Frames of the lecture that a live source outran."),
        ("failed", "Frames of the lecture that were committed as failed."),
    ):
        yield CounterMetricFamily(f"{PREFIX}_lecture_frames_{what}", meaning, labels=["lecture"])
    for what, meaning in (
        ("source_age_seconds", "Seconds since the lecture's newest event, or since its start."),
        ("participants", "Participants seen since the lecture's start."),
        ("faces", "Faces in the lecture's newest frame."),
        ("coverage", "Share of the lecture's participants who were seen in its last 10 s."),
        ("emotion_share", "Mean score of an emotion over the class, in the lecture's last 10 s."),
        ("valence", "Mean valence of the class, in the lecture's last 10 s."),
        ("arousal", "Mean arousal of the class, in the lecture's last 10 s."),
    ):
        yield GaugeMetricFamily(f"{PREFIX}_lecture_{what}", meaning, labels=["lecture"])


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", meaning, value)
