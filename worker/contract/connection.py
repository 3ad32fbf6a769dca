"""Connections to Redis: try one out, retry commands while Redis is away, and say how much memory is free."""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from worker.contract.credentials import UNREADABLE_URL, without_credentials
from worker.contract.server_check import unusable

CONNECT_TIMEOUT_S = 5.0

ANSWER_TIMEOUT_S = 10.0
"""Seconds of silence after which a connection counts as broken. No command waits in Redis for more than a second (XREAD
BLOCK, BLMOVE), so a longer silence means that the server or the network is gone."""

# The pause between two attempts to reach an absent Redis doubles from the first to the longest.
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0
LARGEST_POWER = 30  # of two; redis-py computes the pause before it limits it, and 2**1024 is no float

# The part of Redis' `maxmemory` that producers leave to the workers, for outcomes, events, the queue and answers with
# pixels. Without it workers could not finish a chunk, and no memory would become free again.
WORKERS_SHARE = 0.25
WORKERS_SHARE_MAX = 64 * 2**20

# Options that a Redis URL may have; those of TLS only with rediss://. Others are refused, because redis-py would let
# them override our settings: answers as bytes, the protocol, the timeouts.
URL_OPTIONS = ("db", "username", "password", "client_name", "health_check_interval")
TLS_OPTIONS = (
    *("ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile"),
    *("ssl_keyfile", "ssl_password", "ssl_min_version", "ssl_ciphers"),
)


class RedisUnusable(Exception):
    """A Redis that cannot be used; the message says why and what to do, and holds no password."""


class RetryWhileAway(Retry):
    """Retries a command that failed because Redis was away, for `seconds` from its first attempt.

    With `when_full`, it also retries writes that Redis refuses for now, because it is at its `maxmemory`, cannot save,
    or is not yet the master. These retries have no time limit, and `when_full` is called before each of them. As soon
    as `hurried` returns true, every failure is raised at once.

    If the answer to a command is lost, the command is sent again, so every write must be safe to repeat. A transaction
    under WATCH is not repeated: redis-py raises WatchError, and the caller reads the state again.
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

    def __deepcopy__(self, _: Any) -> "RetryWhileAway":
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
                arguments = (failure, failures) if with_failure_count else (failure,)
                if over or self._hurried() or (is_retryable is not None and not is_retryable(failure)):
                    with suppress(redis.WatchError):  # it would make a transaction start again (see below)
                        fail(*arguments)
                    raise
                if refused and self._when_full is not None:
                    self._when_full()
                time.sleep(self._backoff.compute(min(failures, LARGEST_POWER)))
                fail(*arguments)  # for a transaction under WATCH it raises WatchError, so the pause comes first


def takes_no_writes(failure: BaseException) -> bool:
    """Whether Redis refuses every write for now."""
    return isinstance(failure, redis.OutOfMemoryError | redis.ReadOnlyError) or bool(_MISCONF.search(str(failure)))


# redis-py has no exception for it. In a pipeline it writes the command before it, and Redis 6.2 does so in a script.
_MISCONF = re.compile(r"(^|: -?)MISCONF ")


@contextmanager
def foreign_values_skipped(skipped: Callable[[Exception], object] = lambda _: None) -> Iterator[None]:
    """Within, a value that a stranger wrote into one of our keys, invalid or of another type, only calls `skipped`."""
    try:
        yield
    except (ValueError, redis.ResponseError) as failure:
        if isinstance(failure, redis.ResponseError) and "WRONGTYPE" not in str(failure):
            raise
        skipped(failure)


def connect(url: str, retry: Retry | None = None, writing: bool = False) -> redis.Redis:
    """A connection pool for `url`, after one successful connection.

    A command that gets no answer is retried by `retry`, by default for less than a second. Then it raises
    redis.ConnectionError or redis.TimeoutError; both mean that Redis is away.

    Raises RedisUnusable if `url` is not a Redis URL or has an option that is not supported, nothing answers within
    CONNECT_TIMEOUT_S, the password is wrong, or the server is of a kind that cannot be used (`server_check`). With
    `writing` it must be able to hold a new lecture.
    """
    shown = without_credentials(url)
    try:
        _check_options(url)
        # The probe must not hang, so its timeout is short. Its few retries cover a reset connection and a restarted
        # Redis that still loads its files. The pool waits and retries for longer.
        with pool(url, _for_a_moment(redis.ConnectionError), CONNECT_TIMEOUT_S) as probe:
            info = _info(probe)
        client = pool(url, retry or _for_a_moment(redis.ConnectionError, redis.TimeoutError), ANSWER_TIMEOUT_S)
    except ValueError as wrong:
        why = UNREADABLE_URL if shown.endswith("...") else wrong  # the unreadable part may belong to a password
        raise RedisUnusable(f"--redis {shown}: {why}") from None
    except redis.AuthenticationError:
        raise RedisUnusable(f"Redis at {shown} refuses user or password; put the right ones before the host") from None
    except redis.exceptions.NoPermissionError:
        raise RedisUnusable(f"Redis at {shown} does not let this user call INFO; grant it") from None
    except redis.ResponseError as refusal:  # such as a database number that is out of range
        raise RedisUnusable(f"Redis at {shown} refuses the connection: {refusal}") from None
    except (redis.RedisError, OSError) as failure:
        raise RedisUnusable(f"cannot reach Redis at {shown}: {failure}") from None
    if problem := unusable(info, writing):
        raise RedisUnusable(f"Redis at {shown} {problem}")
    return client


def _info(probe: redis.Redis) -> dict[str, Any]:
    """The server's answer to INFO. All sections at once, because Redis 6.2 does not take a list of them."""
    try:
        return probe.info()
    except redis.ResponseError as refusal:
        # A cluster and a Sentinel refuse SELECT, which redis-py sends first if the URL names a database.
        probe.connection_pool.connection_kwargs["db"] = 0
        probe.connection_pool.reset()  # its connection has the old arguments
        info = probe.info()
        if unusable(info, writing=False):
            return info
        raise refusal


def pool(
    url: str, retry: Retry, answer_s: float = ANSWER_TIMEOUT_S, connect_s: float = CONNECT_TIMEOUT_S
) -> redis.Redis:
    """Like `connect`, for a `url` that already worked: nothing is sent to Redis yet. The timeouts are in seconds."""
    return redis.Redis.from_url(url, protocol=2, socket_connect_timeout=connect_s, socket_timeout=answer_s, retry=retry)


def _check_options(url: str) -> None:
    """Raise ValueError if the path or the query of a Redis URL says something that would not be honoured."""
    parts = urlsplit(url)
    if parts.scheme in ("redis", "rediss") and not re.fullmatch(r"/?[0-9]*", unquote(parts.path)):
        raise ValueError("its path is not the number of a database; write /0, or leave it out")
    for option in parse_qs(parts.query):
        if option in TLS_OPTIONS and parts.scheme != "rediss":
            raise ValueError(f"its option {option} is for TLS; write rediss://, or leave it out")
        if option not in (*URL_OPTIONS, *TLS_OPTIONS):
            raise ValueError(f"its option {option} is not supported; leave it out")


def _for_a_moment(*failures: type[Exception]) -> Retry:
    """Three more attempts within less than a second, after these failures."""
    return Retry(ExponentialBackoff(cap=1, base=0.05), 3, failures)


def room_for_feeding(client: redis.Redis) -> float:
    """Bytes that producers may still put into Redis: its free memory less the workers' share.

    Below 0 if the workers' share is already in use, infinite if Redis has no `maxmemory`. Call it before sending a
    chunk's pixels.
    """
    memory: Any = client.info("memory")
    limit = memory["maxmemory"]
    if not limit:
        return math.inf
    return float(limit - min(limit * WORKERS_SHARE, WORKERS_SHARE_MAX) - memory["used_memory"])
