"""Worker processes that die at any step of a job, alone or with their whole machine."""

import os
import signal
import subprocess
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
import redis
from msgspec import structs

from producer.reading.lectures import forget
from tests.conftest import running_redis
from tests.faults.altered import environment, happened
from tests.gallery import gallery_pages
from tests.lectures import await_end, chunks_of, events_of, feed_lecture, ledger_of
from tests.processes import eventually, runs, state, worker_pids, workers
from tests.undisturbed import chunks
from worker.contract.connection import connect
from worker.contract.jobs import MAX_JOB_RETRIES, job_id
from worker.contract.messages import Chunk, Event
from worker.contract.queue import frame_queue
from worker.running.leases import LEASE_S
from worker.running.sweep import SWEEP_EVERY_S

# Much shorter than in production, so that tests need not wait. Renewals come more often in proportion.
SHORT_LEASE = {
    "worker.running.leases.LEASE_S": 4,
    "worker.running.process.LEASE_S": 4,
    "worker.running.process.RENEW_EVERY_S": 0.5,
}
AT_ONCE = {"worker.running.supervisor.RESTART_PAUSE_S": 0.05}


def altered(
    url: str, processes: int, folder: Path, faults: dict[str, list[str]], set: dict[str, float] = AT_ONCE
) -> AbstractContextManager[subprocess.Popen[str]]:
    folder.mkdir(exist_ok=True)
    return workers(url, processes, module="tests.faults.altered", env=environment(folder, faults, set))


def pid_of(folder: Path, event: str) -> int:
    eventually(lambda: (folder / f"{event}.pid").exists() and (folder / f"{event}.pid").read_text())
    return int((folder / f"{event}.pid").read_text())


def suspended_pid(folder: Path, event: str) -> int:
    """As `pid_of`, of a process that this fault has stopped: it stands still when this returns."""
    pid = pid_of(folder, event)
    eventually(lambda: state(pid) == "T")
    return pid


def expire_leases(client: redis.Redis) -> None:
    """Delete all leases, as Redis does when their time is over."""
    for lease in client.scan_iter("rq:execution:*"):
        client.delete(lease)


def has_died(folder: Path, times: int) -> bool:
    return len(happened(folder)) >= times


def kill_machine(supervisor: subprocess.Popen[str], client: redis.Redis) -> None:
    """Kill all processes, the supervisor first, so that no process notices the death of another."""
    pids = worker_pids(client)
    supervisor.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def nothing_left_of_jobs(client: redis.Redis) -> bool:
    return not list(client.scan_iter("rq:job:*")) and not list(client.scan_iter("rq:execution*"))


def test_the_chunk_of_a_killed_worker_is_requeued_within_20_s() -> None:
    assert LEASE_S + SWEEP_EVERY_S + 2 < 20


def test_a_worker_killed_again_and_again_at_every_step_of_a_job_changes_nothing(
    client: redis.Redis, redis_url: str, expected: dict[str, list[Event]], tmp_path: Path
) -> None:
    faults = {"_fetch": ["kill"], "_observed": ["kill", "kill"], "_store": ["kill"], "commit": ["kill"]}
    keys = feed_lecture(client, "l", chunks())
    # All of them in the job of the first chunk, which is always dequeued first. A job whose worker dies is not retried
    # but requeued, so it may die more often than it may fail.
    deaths = sum(map(len, faults.values()))
    with altered(redis_url, 1, tmp_path, faults):
        for number in range(1, deaths + 1):  # each takes the start of a process, which is slow on a busy machine
            eventually(partial(has_died, tmp_path, number))
        await_end(client, keys)
        eventually(lambda: nothing_left_of_jobs(client))
    assert happened(tmp_path) == ["_fetch.0", "_observed.0", "_observed.1", "_store.0", "commit.0"]
    assert len(happened(tmp_path)) > MAX_JOB_RETRIES + 1
    assert events_of(client, keys) == expected


def test_the_jobs_of_a_machine_that_dies_are_done_by_another_one(
    client: redis.Redis, redis_url: str, expected: dict[str, list[Event]], tmp_path: Path
) -> None:
    keys = feed_lecture(client, "l", chunks())
    with altered(redis_url, 2, tmp_path, {"_observed": ["hang", "hang"]}, SHORT_LEASE) as machine:
        eventually(lambda: len(happened(tmp_path)) == 2)
        kill_machine(machine, client)
    assert ledger_of(client, keys).in_flight == 12, "nothing was committed"
    with workers(redis_url, 1):
        await_end(client, keys)
        eventually(lambda: nothing_left_of_jobs(client))
    assert events_of(client, keys) == expected


def test_a_worker_suspended_for_longer_than_its_lease_publishes_nothing_twice_and_continues(
    client: redis.Redis, redis_url: str, expected: dict[str, list[Event]], tmp_path: Path
) -> None:
    """Another worker commits its chunk, and dies in the job of the next one."""
    late, other = tmp_path / "late", tmp_path / "other"
    keys = feed_lecture(client, "l", chunks())
    with altered(redis_url, 1, late, {"_observed": ["stop"]}):
        stopped = suspended_pid(late, "_observed.0")
        expire_leases(client)
        eventually(lambda: frame_queue(client).get_job_ids()[0] == job_id("l", 0))
        with altered(redis_url, 1, other, {"_observed": ["go on", "hang"]}) as supervisor:
            hanging = pid_of(other, "_observed.1")
            assert ledger_of(client, keys).published == 3
            os.kill(stopped, signal.SIGCONT)
            eventually(lambda: client.exists(keys.outcome(3)))
            assert ledger_of(client, keys).published == 3, "the second chunk's turn comes first"
            supervisor.kill()
            os.kill(hanging, signal.SIGKILL)
        expire_leases(client)
        await_end(client, keys)
        eventually(lambda: nothing_left_of_jobs(client))
        assert runs(stopped)
    assert events_of(client, keys) == expected


def test_a_worker_suspended_while_its_lecture_is_forgotten_publishes_nothing_in_the_next_one_with_that_id(
    client: redis.Redis, redis_url: str, expected: dict[str, list[Event]], tmp_path: Path
) -> None:
    """Its outcome belongs to other pictures, but to a chunk with the same number."""
    feed_lecture(
        client, "l", [taken(1.0, chunk) for chunk in chunks_of(list(gallery_pages(1, 12, size=(640, 360))), 3)]
    )
    with altered(redis_url, 1, tmp_path, {"_observed": ["stop"]}):
        stopped = suspended_pid(tmp_path, "_observed.0")
        forget(client, "l")
        keys = feed_lecture(client, "l", [taken(2.0, chunk) for chunk in chunks()])
        os.kill(stopped, signal.SIGCONT)
        await_end(client, keys)
        eventually(lambda: nothing_left_of_jobs(client))
    assert events_of(client, keys) == expected


def taken(at: float, chunk: Chunk) -> Chunk:
    return structs.replace(chunk, head=structs.replace(chunk.head, taken=at))


def test_a_job_that_hangs_ends_at_its_time_limit_even_if_no_exception_reaches_it(
    client: redis.Redis, redis_url: str, expected: dict[str, list[Event]], tmp_path: Path
) -> None:
    keys = feed_lecture(client, "l", chunks())
    faults = {"_observed": ["hang", "hang without signals"]}
    short = {"worker.running.admission.JOB_TIMEOUT_S": 8, "worker.time_limit.STUCK_S": 0.5}
    with altered(redis_url, 1, tmp_path, faults, {**short, **AT_ONCE}) as supervisor:
        stuck = pid_of(tmp_path, "_observed.1")
        eventually(lambda: not runs(stuck))
        await_end(client, keys)
        supervisor.terminate()
        said, _ = supervisor.communicate(timeout=60)
    assert "Timeout (0:00:08.500000)!" in said, "the process prints where it hung"
    assert events_of(client, keys) == expected


def test_a_worker_whose_supervisor_is_killed_finishes_its_job_and_ends(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    keys = feed_lecture(client, "l", chunks())
    with altered(redis_url, 1, tmp_path, {"_fetch": ["lose the supervisor"]}) as supervisor:
        orphan = pid_of(tmp_path, "_fetch.0")
        eventually(lambda: not runs(orphan))
        assert supervisor.wait() == -signal.SIGKILL
    assert ledger_of(client, keys).published == 3
    assert frame_queue(client).count == len(chunks()) - 1


@pytest.mark.parametrize("redis_is_gone", [False, True])
def test_an_idle_worker_whose_supervisor_is_killed_ends_even_if_redis_is_gone(redis_is_gone: bool) -> None:
    with running_redis() as (url, server), workers(url, 1) as supervisor:
        with connect(url) as client:
            eventually(lambda: worker_pids(client))
            (pid,) = worker_pids(client)
        if redis_is_gone:
            server.kill()
            server.wait()
        supervisor.kill()
        eventually(lambda: not runs(pid))
