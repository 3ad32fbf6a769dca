"""How both sides speak to Redis: what is asked of a server, and the queue that carries the work."""

import math
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from rq import Queue
from rq import Retry as JobRetry
from rq.defaults import RQ_KEY_PREFIX
from rq.serializers import JSONSerializer

from worker.contract.shown import without_credentials as without_credentials

QUEUE = "frames"
JOB = "worker.job.process"
"""The one function that a job may name; called with a lecture's id and a chunk's number."""

EMBEDDED = "LECTUREPULSE_EMBEDDED"
"""In the environment of workers that somebody starts for itself alone: they end when their standard input does, a pipe
that their owner holds, so that they go with it however it dies."""

# LMOVE, on which RQ's safe dequeue rests, came with 6.2; so did everything else that is used here.
OLDEST_REDIS = (6, 2)

CONNECT_TIMEOUT_S = 5.0

# No command waits in Redis for longer than a second (XREAD BLOCK, BLMOVE), so one that is silent for so much longer is
# gone, or the network between is: the command fails like on a broken connection. That covers what a health check before
# each use would, and with TCP keepalive (redis-py's default) connections that nobody reads.
ANSWER_TIMEOUT_S = 10.0

OUTAGE_S = 120.0
"""Seconds without Redis after which those who need it give up: longer than a restart or a failover takes."""

# Pauses between tries to reach a Redis that is away, doubling.
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0

# A chunk of 16 frames with 49 faces each takes three models about 8 s of one core; ten times that is a hang.
JOB_TIMEOUT_S = 90
JOB_RETRIES = 2  # of a job that failed; what becomes of one whose worker died is said in worker.leases
FAILED_JOB_TTL_S = 3600

FRAMES_TTL_S = 600
"""Seconds that pixels may wait in Redis. A feeder that lives renews it; when it dies they go by themselves."""

RETENTION_S = 30 * 24 * 3600
"""Seconds that a lecture's results are kept after their last change, unless its user chose otherwise."""

FEEDER_TTL_S = 30
"""Seconds that a feeder's sign of life lasts: it outlasts two missed renewals."""

ABANDONED_S = 150.0
"""Seconds after its feeder's last sign of life that workers end a lecture as stopped, once all that was fed is done: a
producer that alone cannot reach Redis waits for OUTAGE_S, and must find its lecture as it left it."""

RESUME_S = 24 * 3600
"""Seconds after its end as stopped that a lecture can be gone on with: `LectureKeys.state` is kept for so long."""

# What producers leave of a Redis' `maxmemory` to those who work off what they fed: outcomes, events, the queue's own
# notes and the answers that carry pixels need room, or nothing would ever become free again.
WORKERS_SHARE = 0.25
WORKERS_SHARE_MAX = 64 * 2**20

STREAM_LENGTH = 100_000
"""Events kept in one stream: thirteen hours at 2 frames a second, and a bound on what one lecture can take."""


class RedisUnusable(Exception):
    """A Redis that cannot be used; the message says why and what to do, and holds no password."""


class Patience(Retry):
    """Tries a command again that failed because Redis was away, for `seconds` from its first try.

    With `when_full`, which is called then, it also goes on trying, for as long as it takes, what a Redis refused that
    takes no writes for the time being: being at its `maxmemory`, not able to save, or not yet the master. When
    `hurried` says so, whatever fails fails at once.

    A command whose answer was lost is said twice: all that we write may be. A transaction under WATCH is not: redis-py
    has it fail, and its author look again.
    """

    def __init__(
        self,
        seconds: float,
        hurried: Callable[[], bool] = lambda: False,
        when_full: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(ExponentialBackoff(LONGEST_PAUSE_S, FIRST_PAUSE_S / 2), retries=-1)
        self._seconds = seconds
        self._hurried = hurried
        self._when_full = when_full

    def __deepcopy__(self, _: Any) -> "Patience":
        return self  # holds nothing that changes, and redis-py copies it into every connection

    def call_with_retry(
        self,
        do: Callable[[], Any],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,
    ) -> Any:
        until = time.monotonic() + self._seconds
        failures = 0
        while True:
            try:
                return do()
            except Exception as failure:
                refused = self._when_full is not None and takes_no_writes(failure)
                if not refused and not isinstance(failure, self._supported_errors):
                    raise
                failures += 1
                over = not refused and time.monotonic() >= until
                last = over or self._hurried() or (is_retryable is not None and not is_retryable(failure))
                if refused and not last and self._when_full is not None:
                    self._when_full()
                if not last:  # the pause comes before `fail`, which has the author of a transaction under WATCH go on
                    time.sleep(self._backoff.compute(failures))
                with suppress(*((redis.WatchError,) if last else ())):
                    fail(failure, failures) if with_failure_count else fail(failure)
                if last:
                    raise


def takes_no_writes(failure: BaseException) -> bool:
    """Whether Redis refused because it takes no writes for the time being, whatever they are."""
    return isinstance(failure, redis.OutOfMemoryError | redis.ReadOnlyError) or str(failure).startswith("MISCONF")


def connect(url: str, patience: Retry | None = None) -> redis.Redis:
    """A connection pool for `url` that was tried out once.

    A command that fails because Redis does not answer is tried again: by default for less than a second, with
    `Patience(OUTAGE_S)` until that is over. Then it raises redis.ConnectionError or redis.TimeoutError, which say the
    same thing.

    Raises RedisUnusable where the URL is none, nothing answers within CONNECT_TIMEOUT_S, the password is
    wrong, or the server is older than OLDEST_REDIS.
    """
    shown = without_credentials(url)
    try:
        # It may not hang, but is tried again for a moment, in which a connection was reset or a restarted Redis still
        # reads its files; the pool itself tries for longer, and waits for answers.
        with _pool(url, _for_a_moment(redis.ConnectionError), CONNECT_TIMEOUT_S) as probe:
            version = str(probe.info("server")["redis_version"])
        client = pool(url, patience or _for_a_moment(redis.ConnectionError, redis.TimeoutError))
    except ValueError as wrong:
        # What could not be read may be part of a password.
        unread = "no URL that can be read; write / ? # @ in a password as %2F %3F %23 %40"
        raise RedisUnusable(f"--redis {shown}: {unread if shown.endswith('...') else wrong}") from None
    except TypeError:
        raise RedisUnusable(f"--redis {shown}: its query names something that redis-py does not know") from None
    except redis.AuthenticationError:
        raise RedisUnusable(f"Redis at {shown} refuses user or password; put the right ones before the host") from None
    except redis.exceptions.NoPermissionError:
        raise RedisUnusable(f"Redis at {shown} does not let this user call INFO; grant it") from None
    except (redis.RedisError, OSError) as failure:
        raise RedisUnusable(f"cannot reach Redis at {shown}: {failure}") from None
    if tuple(map(int, version.split(".")[:2])) < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        raise RedisUnusable(f"Redis at {shown} is {version}; LecturePulse needs {oldest} or newer")
    return client


def pool(url: str, patience: Retry) -> redis.Redis:
    """Like `connect`, for a `url` that was tried out before: nothing is asked of Redis yet."""
    return _pool(url, patience, ANSWER_TIMEOUT_S)


def _for_a_moment(*failures: type[Exception]) -> Retry:
    """Three more tries within less than a second, after these failures."""
    return Retry(ExponentialBackoff(cap=1, base=0.05), 3, failures)


def _pool(url: str, retry: Retry, socket_timeout: float) -> redis.Redis:
    return redis.Redis.from_url(
        url, protocol=2, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=socket_timeout, retry=retry
    )


def room_for_feeding(client: redis.Redis) -> float:
    """Bytes that producers may still put into Redis: what is free of its `maxmemory`, less what workers need.

    Below 0 where that is used up, infinite where there is no limit. To be asked before a chunk's pixels are sent.
    """
    memory: Any = client.info("memory")
    limit = memory["maxmemory"]
    if not limit:
        return math.inf
    return float(limit - min(limit * WORKERS_SHARE, WORKERS_SHARE_MAX) - memory["used_memory"])


def frame_queue(client: redis.Redis) -> Queue:
    return Queue(QUEUE, connection=client, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT_S)


def job_id(lecture: str, chunk: int) -> str:
    """One id for one chunk, so that pushing it twice leaves one job."""
    return f"{lecture}-{chunk}"


def chunk_of_job_id(job: str | bytes) -> tuple[str, int] | None:
    """The lecture and the chunk that a job's id was made of; None where it is of another form."""
    text = job.decode(errors="replace") if isinstance(job, bytes) else job
    found = _JOB_ID.fullmatch(text)
    return (found[1], int(found[2])) if found else None


_JOB_ID = re.compile(r"([A-Za-z0-9_-]{1,64})-([0-9]{1,9})")


def enqueue_chunk(queue: Queue, lecture: str, chunk: int) -> None:
    """Ask the workers for a chunk that lies in Redis."""
    queue.enqueue_call(
        JOB,
        args=(lecture, chunk),
        job_id=job_id(lecture, chunk),
        timeout=JOB_TIMEOUT_S,
        result_ttl=0,
        failure_ttl=FAILED_JOB_TTL_S,
        retry=JobRetry(max=JOB_RETRIES, enqueue_at_front=True),  # the whole lecture waits for it
        description=f"lecture {lecture}, chunk {chunk}",
    )


QUEUE_KEY = f"{RQ_KEY_PREFIX}:queue:{QUEUE}"
"""List: the ids of the jobs that wait; with `:intermediate` behind it, of those that are being taken."""

REGISTRIES = [f"{RQ_KEY_PREFIX}:{kind}:{QUEUE}" for kind in ("finished", "failed", "deferred", "scheduled", "canceled")]
"""Sorted sets: the ids of jobs that RQ keeps beside the queue. Those at work are in one of its own, run by run."""


def discard_job(client: redis.Redis, job: str | bytes) -> None:
    """Leave nothing of a job in Redis, whatever it is: no hash, no result, no entry in any list of RQ's."""
    name = job if isinstance(job, bytes) else job.encode()
    executions = _rq_key("executions", name)
    with client.pipeline(transaction=False) as pipe:
        pipe.zrange(executions, 0, -1)
        for waiting in (QUEUE_KEY, f"{QUEUE_KEY}:intermediate"):
            pipe.lrem(waiting, 0, cast(str, name))
        for registry in REGISTRIES:
            pipe.zrem(registry, name)
        key = _rq_key("job", name)
        pipe.unlink(key, key + b":dependents", key + b":dependencies", _rq_key("results", name), executions)
        pipe.unlink(_rq_key(f"queue:{QUEUE}:intermediate:first_seen", name))
        # What a stranger put there may be of another type, and is left to be; there is nothing of this job in it.
        runs, *_ = pipe.execute(raise_on_error=False)
    for run in runs if isinstance(runs, list) else []:
        whole = run if run.startswith(name + b":") else name + b":" + run
        client.zrem(f"{RQ_KEY_PREFIX}:wip:{QUEUE}", whole)
        client.unlink(_rq_key("execution", whole))


def _rq_key(kind: str, name: bytes) -> bytes:
    return f"{RQ_KEY_PREFIX}:{kind}:".encode() + name
