"""How both sides speak to Redis: what is asked of a server, and the queue that carries the work."""

from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry
from rq import Queue
from rq import Retry as JobRetry
from rq.serializers import JSONSerializer

QUEUE = "frames"
JOB = "worker.job.process"
"""The one function that a job may name; called with a lecture's id and a chunk's number."""

EMBEDDED = "LECTUREPULSE_EMBEDDED"
"""In the environment of workers that somebody starts for itself alone: they end when their standard input does, a pipe
that their owner holds, so that they go with it however it dies."""

# LMOVE, on which RQ's safe dequeue rests, came with 6.2; so did everything else that is used here.
OLDEST_REDIS = (6, 2)

CONNECT_TIMEOUT_S = 5.0

# A chunk of 16 frames with 49 faces each takes three models about 8 s of one core; ten times that is a hang.
JOB_TIMEOUT_S = 90
JOB_RETRIES = 2
FAILED_JOB_TTL_S = 3600

FRAMES_TTL_S = 600
"""Seconds that pixels may wait in Redis. A feeder that lives renews it; when it dies they go by themselves."""

RETENTION_S = 30 * 24 * 3600
"""Seconds that a lecture's results are kept after their last change."""

STREAM_LENGTH = 100_000
"""Events kept in one stream: thirteen hours at 2 frames a second, and a bound on what one lecture can take."""


class RedisUnusable(Exception):
    """A Redis that cannot be used; the message says why and what to do, and holds no password."""


def connect(url: str) -> redis.Redis:
    """A connection pool for `url` that was tried out once.

    Raises RedisUnusable where the URL is none, nothing answers within CONNECT_TIMEOUT_S, the password is
    wrong, or the server is older than OLDEST_REDIS.
    """
    shown = without_credentials(url)
    try:
        # One try that may not hang; the pool itself tries again, so as to outlast a restart, and waits for answers.
        with _pool(url, Retry(NoBackoff(), 0), socket_timeout=CONNECT_TIMEOUT_S) as probe:
            version = str(probe.info("server")["redis_version"])
        client = _pool(url, Retry(ExponentialBackoff(cap=1, base=0.05), 3))
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


def _pool(url: str, retry: Retry, socket_timeout: float | None = None) -> redis.Redis:
    return redis.Redis.from_url(
        url, protocol=2, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=socket_timeout, retry=retry
    )


def without_credentials(url: str) -> str:
    """`url` as it may be shown: without user, password and query; only its scheme where they cannot be told apart."""
    try:
        parts = urlsplit(url)
        if "@" not in parts.path + parts.query + parts.fragment and (parts.port is None or parts.port):
            # Not by urlunsplit, which makes unix:/path of unix:///path.
            scheme = f"{parts.scheme}://" if parts.scheme else ""
            return scheme + parts.netloc.rpartition("@")[2] + parts.path
    except ValueError:
        pass
    return f"{url.partition('://')[0][:10]}://..." if "://" in url else "..."


def frame_queue(client: redis.Redis) -> Queue:
    return Queue(QUEUE, connection=client, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT_S)


def job_id(lecture: str, chunk: int) -> str:
    """One id for one chunk, so that pushing it twice leaves one job."""
    return f"{lecture}-{chunk}"


def enqueue_chunk(queue: Queue, lecture: str, chunk: int) -> None:
    """Ask the workers for a chunk that lies in Redis."""
    queue.enqueue_call(
        JOB,
        args=(lecture, chunk),
        job_id=job_id(lecture, chunk),
        timeout=JOB_TIMEOUT_S,
        result_ttl=0,
        failure_ttl=FAILED_JOB_TTL_S,
        retry=JobRetry(max=JOB_RETRIES),
        description=f"lecture {lecture}, chunk {chunk}",
    )
