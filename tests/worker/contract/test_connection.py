"""Retries of commands, and a real Redis that is away for a while."""

import copy
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis

from tests.conftest import running_redis
from worker.contract import connection
from worker.contract.connection import RedisUnusable, RetryWhileAway, connect, pool, takes_no_writes


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between retries. The clock advances by these pauses only, and only here: other threads may sleep."""
    made: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(made), sleep=made.append)
    monkeypatch.setattr("worker.contract.connection.time", clock)
    return made


def failing(*failures: Exception) -> Callable[[], str]:
    left = list(failures)

    def do() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return do


def ignore(_: Exception) -> None:
    pass


def test_a_failing_command_is_retried_with_growing_pauses(pauses: list[float]) -> None:
    away = [redis.ConnectionError()] * 4 + [redis.TimeoutError()] * 4
    assert RetryWhileAway(60).call_with_retry(failing(*away), ignore) == "done"
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (connection.FIRST_PAUSE_S, connection.LONGEST_PAUSE_S)


def test_after_the_given_seconds_without_redis_the_failure_is_raised(pauses: list[float]) -> None:
    with pytest.raises(redis.ConnectionError, match="away"):
        RetryWhileAway(60).call_with_retry(failing(*[redis.ConnectionError("away")] * 1000), ignore)
    assert 60 <= sum(pauses) <= 60 + connection.LONGEST_PAUSE_S


def test_a_hurried_command_and_other_errors_are_not_retried(pauses: list[float]) -> None:
    with pytest.raises(redis.ConnectionError):
        RetryWhileAway(60, hurried=lambda: True).call_with_retry(failing(redis.ConnectionError()), ignore)
    for failure in (redis.ResponseError("WRONGTYPE"), redis.OutOfMemoryError(), ValueError()):
        with pytest.raises(type(failure)):
            RetryWhileAway(60).call_with_retry(failing(failure), ignore)
    assert pauses == []


def test_with_when_full_a_command_waits_for_a_full_redis_without_limit(pauses: list[float]) -> None:
    freed = []
    in_pipeline = "Command # 1 (HSET a b) of pipeline caused error: MISCONF unable to persist"
    misconf = [redis.ResponseError(text) for text in ("MISCONF unable to persist", in_pipeline)]
    refusals = [redis.OutOfMemoryError(), redis.ReadOnlyError(), *misconf]
    retry = RetryWhileAway(0, when_full=lambda: freed.append(1))
    assert all(map(takes_no_writes, refusals))
    assert retry.call_with_retry(failing(*refusals * 300), ignore) == "done"
    assert len(freed) == 1200
    assert sum(pauses) > 120


def test_a_watched_transaction_fails_after_one_pause_and_with_the_cause_if_the_time_is_over(
    pauses: list[float],
) -> None:
    def watching(_: Exception) -> None:
        raise redis.WatchError

    with pytest.raises(redis.WatchError):
        RetryWhileAway(60).call_with_retry(failing(redis.ConnectionError()), watching)
    assert len(pauses) == 1
    with pytest.raises(redis.ConnectionError):
        RetryWhileAway(0).call_with_retry(failing(redis.ConnectionError()), watching)


def test_all_connections_share_one_retry() -> None:
    retry = RetryWhileAway(60)
    assert copy.deepcopy(retry) is retry


def test_a_command_waits_for_a_redis_that_starts_later(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_redis() as (url, first):
        path = Path(url.removeprefix("unix://"))
        client = connect(url, RetryWhileAway(60))
        assert client.ping()
        first.kill()
        first.wait()
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(client.incr("n")))
        asking.start()
        with running_redis() as (other, _):
            path.unlink(missing_ok=True)
            path.symlink_to(other.removeprefix("unix://"))
            asking.join(timeout=60)
            assert answers == [1]


def test_an_absent_or_silent_redis_is_refused_soon_and_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RedisUnusable, match=r"cannot reach Redis at redis://127\.0\.0\.1:1:") as refusal:
        connect("redis://:secret@127.0.0.1:1", RetryWhileAway(60))
    assert "secret" not in str(refusal.value)
    with pytest.raises(redis.ConnectionError), pool("redis://127.0.0.1:1", RetryWhileAway(0)) as client:
        client.ping()
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RedisUnusable, match="cannot reach Redis"):
        connect(f"redis://127.0.0.1:{silent.getsockname()[1]}")
