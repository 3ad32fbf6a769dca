"""Gauges read from Redis at a scrape: the queue, the memory, and the progress of running lectures."""

import math
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

import redis
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.contract.connection import pool
from worker.contract.keys import RUNNING, LectureKeys
from worker.contract.lecture_hash import LectureInfo
from worker.contract.messages import EMOTIONS, ClassEvent, InFlight, ParticipantSpan, decode
from worker.contract.queue import QUEUE_KEY, rq_key
from worker.contract.streams import entry_event
from worker.metrics.counters import PREFIX

MAX_LECTURES = 100
"""Running lectures with series of their own, the newest ones. Each has some twenty series."""

# Ids that are read from RUNNING. There are more only if ended lectures were not removed. Then a random sample is read.
MAX_IDS = 5000

RECENT_S = 10.0
"""Seconds of media time that a lecture's gauges cover."""

# Events that are read per lecture beside those of the frames in RECENT_S: one more frame, and slides. The limit is for
# a stranger's fps; ours is at most 60.
OTHER_EVENTS = 5
MAX_RECENT_EVENTS = 60 * int(RECENT_S) + OTHER_EVENTS

# Scrapes within this time get the same answer, so that many scrapes do not load Redis.
CACHE_S = 1.0

# Timeout of each command. A Redis that answers more slowly cannot serve workers either.
COMMAND_TIMEOUT_S = 2.0

# Redis may be away for this long, as in a restart or a failover, before this process counts as unhealthy.
REDIS_AWAY_S = 30.0

# The oldest job is searched among this many jobs at the head of the queue. Only requeued jobs are in front of it.
QUEUE_HEAD = 10


class RedisCollector(Collector):
    """Reads the Redis at `url`, for a registry. Never waits longer than a few COMMAND_TIMEOUT_S, and never raises."""

    def __init__(self, url: str) -> None:
        # A pool of its own, because the workers' pool waits and retries for longer.
        self._client = pool(url, Retry(NoBackoff(), 0), COMMAND_TIMEOUT_S, COMMAND_TIMEOUT_S)
        self._lock = threading.Lock()
        self._cached: tuple[float, list[Metric]] | None = None
        self._answered_at = time.monotonic()  # the caller has just connected

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if self._cached is None or time.monotonic() - self._cached[0] >= CACHE_S:
                metrics = self._read()
                self._cached = time.monotonic(), metrics  # the time after reading, because reading may be slow
            return self._cached[1]

    def answers(self) -> bool:
        """Whether Redis has answered within the last REDIS_AWAY_S."""
        with self._lock:
            try:
                self._client.ping()
                self._answered_at = time.monotonic()
            except redis.RedisError:
                pass
            return time.monotonic() - self._answered_at < REDIS_AWAY_S

    def close(self) -> None:
        self._client.close()

    def _read(self) -> list[Metric]:
        try:
            metrics = list(_metrics(self._client))
        except (redis.RedisError, ValueError, TypeError, KeyError):  # no answer, or one that cannot be read
            return [_redis_up(False)]
        self._answered_at = time.monotonic()
        return [_redis_up(True), *metrics]


def _metrics(client: redis.Redis) -> Iterator[Metric]:
    """The gauges of the queue, the memory and all running lectures, from three round trips. Raises redis.RedisError."""
    with client.pipeline(transaction=False) as pipe:
        pipe.info("memory")
        pipe.time()
        pipe.llen(QUEUE_KEY)
        pipe.lrange(QUEUE_KEY, 0, QUEUE_HEAD - 1)
        pipe.srandmember(RUNNING, MAX_IDS)
        memory, (now, _), queued, head, ids = pipe.execute()
    known = _keys_of(ids)
    with client.pipeline(transaction=False) as pipe:
        for job in head:
            pipe.hget(cast(str, rq_key("job", job)), "created_at")
        for keys in known:
            pipe.hgetall(keys.info)
            pipe.hvals(keys.in_flight)
        answers = pipe.execute(raise_on_error=False)  # a stranger may have written another type
    created, hashes = answers[: len(head)], answers[len(head) :]
    running = []
    in_flight: list[InFlight] = []
    for keys, fields, flying in zip(known, hashes[::2], hashes[1::2], strict=True):
        info = _running(fields)
        if info is not None:
            running.append((keys, info))
            in_flight += _decoded(flying, InFlight)
    running.sort(key=lambda each: each[1].started, reverse=True)
    oldest = max((_age(at, now) for at in created), default=0.0)
    limit = memory.get("maxmemory", 0)
    frames, size = sum(chunk.frames for chunk in in_flight), sum(chunk.size for chunk in in_flight)
    yield _gauge("queue_chunks", "Chunks that wait for a worker.", queued)
    yield _gauge("queue_oldest_seconds", "Age of the oldest chunk that waits for a worker.", oldest)
    yield _gauge("redis_memory_bytes", "Memory that Redis uses.", memory["used_memory"])
    yield _gauge("redis_memory_limit_bytes", "Memory that Redis may use; 0 if there is no limit.", limit)
    yield _gauge("lectures_running", "Lectures that have begun and not ended.", len(running))
    yield _gauge("all_in_flight_frames", "Frames in flight of all running lectures.", frames)
    yield _gauge("all_in_flight_bytes", "JPEG bytes in flight of all running lectures.", size)
    families = {family.name: family for family in _lecture_families()}
    for lecture, name, labels, value in _lecture_samples(client, running[:MAX_LECTURES], now):
        family = families[f"{PREFIX}_lecture_{name}"]
        suffix = "_total" if family.type == "counter" else ""
        family.add_sample(family.name + suffix, {"lecture": lecture, **labels}, value)
    yield from families.values()


def _lecture_samples(
    client: redis.Redis, running: list[tuple[LectureKeys, LectureInfo]], now: float
) -> Iterator[tuple[str, str, dict[str, str], float]]:
    """Lecture, name, further labels and value of each sample."""
    with client.pipeline(transaction=False) as pipe:
        for keys, info in running:
            count = min(RECENT_S * info.fps + OTHER_EVENTS, MAX_RECENT_EVENTS)
            pipe.xrevrange(keys.class_, count=math.ceil(count))
            pipe.hvals(keys.participants)
        answers = pipe.execute(raise_on_error=False)
    for (keys, info), entries, spans in zip(running, answers[::2], answers[1::2], strict=True):
        recent, newest = _recent(entries)
        age = max(0.0, now - (info.started if newest is None else newest))
        for name, labels, value in _values(info, age, recent, _decoded(spans, ParticipantSpan)):
            yield keys.lecture, name, labels, value


def _values(
    info: LectureInfo, age: float, recent: list[ClassEvent], spans: list[ParticipantSpan]
) -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, labels and value of each sample of one lecture. `age`: seconds since its newest event or its start."""
    for name in ("sampled", "published", "dropped", "failed"):
        yield f"frames_{name}", {}, getattr(info, name)
    yield "source_age_seconds", {}, age
    yield "participants", {}, len(spans)
    if not recent:
        return
    newest = max(recent, key=lambda event: event.frame)
    yield "faces", {}, newest.faces
    yield "faces_unreadable", {}, newest.unreadable
    if spans:
        yield "coverage", {}, _mean(span.last >= newest.t - RECENT_S for span in spans)
    shown = [event for event in recent if event.scores and newest.t - event.t <= RECENT_S]
    for emotion in EMOTIONS if shown else ():
        share = _mean(event.scores.get(emotion, 0.0) for event in shown if event.scores)
        yield "emotion_share", {"emotion": emotion}, share
    for name in ("valence", "arousal") if shown else ():
        yield name, {}, _mean(getattr(event, name) or 0.0 for event in shown)


def _keys_of(ids: list[bytes]) -> list[LectureKeys]:
    keys = []
    for each in ids:
        with suppress(ValueError):  # a stranger's id
            keys.append(LectureKeys(each.decode()))
    return keys


def _running(fields: Any) -> LectureInfo | None:
    """The lecture of this hash; None if it is not one or does not run."""
    try:
        info = LectureInfo.from_hash(fields)
    except (ValueError, AttributeError):  # the lecture is gone, or a stranger wrote the key
        return None
    return info if info.status == "running" else None


def _decoded(values: Any, kind: type[Any]) -> list[Any]:
    try:
        return [decode(value, kind) for value in values]
    except (ValueError, TypeError):
        return []


def _recent(entries: Any) -> tuple[list[ClassEvent], float | None]:
    """The class events among `entries` (newest first), and the time of the first entry, in seconds since 1970."""
    if not isinstance(entries, list) or not entries:
        return [], None
    recent = []
    for _, fields in entries:
        with suppress(ValueError):  # a stranger's entry
            if isinstance(event := entry_event(fields), ClassEvent):
                recent.append(event)
    return recent, int(cast(bytes, entries[0][0]).partition(b"-")[0]) / 1000


def _age(created: Any, now: float) -> float:
    """Seconds since a job was created, from its field in RQ's format; 0 if that is missing or cannot be read."""
    try:
        return max(0.0, now - datetime.fromisoformat(created.decode().replace("Z", "+00:00")).timestamp())
    except (ValueError, AttributeError):
        return 0.0


def _mean(values: Iterable[float]) -> float:
    some = list(values)
    return sum(some) / len(some)  # not fmean, which raises OverflowError for a stranger's 1e308


def _redis_up(up: bool) -> Metric:
    return _gauge("redis_up", "1 if Redis answered at this scrape, else 0.", float(up))


def _lecture_families() -> Iterator[Metric]:
    """The metrics of single lectures: running ones only, at most MAX_LECTURES."""
    for name, help_text in (
        ("sampled", "Frames taken from the lecture's source."),
        ("published", "Frames of the lecture whose result was committed."),
        ("dropped", "Frames of the live lecture that were skipped."),
        ("failed", "Frames of the lecture that were committed as failed."),
    ):
        yield CounterMetricFamily(f"{PREFIX}_lecture_frames_{name}", help_text, labels=["lecture"])
    for name, help_text in (
        ("source_age_seconds", "Seconds since the lecture's newest event, or since its start."),
        ("participants", "Participants seen since the lecture's start."),
        ("faces", "Faces in the lecture's newest frame."),
        ("faces_unreadable", "Faces in the lecture's newest frame that cannot be read."),
        ("coverage", "Share of the lecture's participants that were seen in its last 10 s."),
        ("emotion_share", "Mean score of an emotion over the class, in the lecture's last 10 s."),
        ("valence", "Mean valence of the class, a fixed linear map of the scores, in the lecture's last 10 s."),
        ("arousal", "Mean arousal of the class, a fixed linear map of the scores, in the lecture's last 10 s."),
    ):
        yield GaugeMetricFamily(f"{PREFIX}_lecture_{name}", help_text, labels=["lecture"])


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value)
