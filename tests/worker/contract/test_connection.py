"""How long and how often a command is tried again, and a real Redis that is away for a while."""

import copy
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.conftest import running_redis
from worker.contract import connection
from worker.contract.connection import Patience, connect, pool, takes_no_writes


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only pauses move; the pauses that were made."""
    made: list[float] = []
    monkeypatch.setattr("worker.contract.connection.time.monotonic", lambda: sum(made))
    monkeypatch.setattr("worker.contract.connection.time.sleep", made.append)
    return made


def failing(*failures: Exception) -> Callable[[], str]:
    left = list(failures)

    def do() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return do


def fine(_: Exception) -> None:
    pass


def test_what_fails_for_a_while_is_tried_again_with_growing_pauses(pauses: list[float]) -> None:
    away = [redis.ConnectionError()] * 4 + [redis.TimeoutError()] * 4
    assert Patience(60).call_with_retry(failing(*away), fine) == "done"
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (connection.FIRST_PAUSE_S, connection.LONGEST_PAUSE_S)


def test_after_so_many_seconds_without_redis_patience_is_over(pauses: list[float]) -> None:
    with pytest.raises(redis.ConnectionError, match="away"):
        Patience(60).call_with_retry(failing(*[redis.ConnectionError("away")] * 1000), fine)
    assert 60 <= sum(pauses) <= 60 + connection.LONGEST_PAUSE_S


def test_who_is_in_a_hurry_does_not_wait(pauses: list[float]) -> None:
    with pytest.raises(redis.ConnectionError):
        Patience(60, hurried=lambda: True).call_with_retry(failing(redis.ConnectionError()), fine)
    assert pauses == []


def test_other_errors_are_not_tried_again(pauses: list[float]) -> None:
    for failure in (redis.ResponseError("WRONGTYPE"), redis.OutOfMemoryError(), ValueError()):
        with pytest.raises(type(failure)):
            Patience(60).call_with_retry(failing(failure), fine)
    assert pauses == []


def test_a_full_redis_is_waited_for_however_long_by_who_can_do_something_about_it(pauses: list[float]) -> None:
    asked = []
    refusals = [redis.OutOfMemoryError(), redis.ReadOnlyError(), redis.ResponseError("MISCONF unable to persist")]
    patience = Patience(0, when_full=lambda: asked.append(1))
    assert all(map(takes_no_writes, refusals))
    assert patience.call_with_retry(failing(*refusals * 50), fine) == "done"
    assert len(asked) == 150
    assert sum(pauses) > 120


def test_the_author_of_a_watched_transaction_is_told_after_a_pause_and_the_cause_when_patience_is_over(
    pauses: list[float],
) -> None:
    def watching(_: Exception) -> None:
        raise redis.WatchError

    with pytest.raises(redis.WatchError):
        Patience(60).call_with_retry(failing(redis.ConnectionError()), watching)
    assert len(pauses) == 1
    with pytest.raises(redis.ConnectionError):
        Patience(0).call_with_retry(failing(redis.ConnectionError()), watching)


def test_all_connections_share_one_patience() -> None:
    patience = Patience(60)
    assert copy.deepcopy(patience) is patience


def test_a_command_waits_for_a_redis_that_starts_later(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_redis() as (url, first):
        path = Path(url.removeprefix("unix://"))
        client = connect(url, Patience(60))
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


def test_one_try_is_enough_to_say_that_nobody_is_there() -> None:
    with pytest.raises(connection.RedisUnusable, match="cannot reach Redis"):
        connect("redis://127.0.0.1:1", Patience(60))
    with pytest.raises(redis.ConnectionError), pool("redis://127.0.0.1:1", Patience(0)) as client:
        client.ping()
