"""Kinds of Redis: those that cannot hold a lecture are named before one begins."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.conftest import running_redis
from tests.gallery import render_gallery
from tests.processes import answers, called, eventually
from tests.producer.reading.writing import write
from tests.security.servers import redis_7
from tests.streams import free_port
from worker.contract.connection import connect
from worker.contract.server_check import unusable

MASTER = {"redis_version": "7.0.15", "redis_mode": "standalone", "role": "master", "maxmemory_policy": "noeviction"}


@pytest.mark.parametrize(
    "info",
    [
        MASTER,
        {"redis_version": "6.2.0", "redis_mode": "standalone", "role": "master", "cluster_enabled": 0},
        {**MASTER, "redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.1"},
        {**MASTER, "redis_version": "6.3.4", "role": "active-replica"},  # KeyDB
        {"redis_version": "7.4.0", "dragonfly_version": "df-v1.27.1", "cache_mode": "store", "role": "master"},
        {"redis_version": "8.0-rc1"},  # a server that answers with little
        {**MASTER, "redis_version": "255.255.255"},  # a build of unstable code
    ],
)
def test_servers_that_can_hold_a_lecture_pass(info: dict[str, object]) -> None:
    assert unusable(info, writing=True) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"redis_version": "6.0.16"}, "is 6.0.16; LecturePulse needs 6.2 or newer"),
        ({"redis_version": 5.0}, "is 5.0; LecturePulse needs 6.2 or newer"),  # redis-py makes a number of it
        ({"redis_version": ""}, "does not give its version"),
        ({"redis_mode": "sentinel"}, "is a Sentinel"),
        ({"redis_mode": "cluster"}, "cluster mode"),
        ({"cluster_enabled": 1}, "cluster mode"),
    ],
)
def test_some_servers_can_neither_be_written_nor_read(change: dict[str, object], said: str) -> None:
    for writing in (True, False):
        assert said in str(unusable({**MASTER, **change}, writing))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"role": "slave", "master_host": "10.0.0.5", "master_port": 6379},
            "give the address of its master (10.0.0.5:6379)",
        ),
        ({"maxmemory_policy": "allkeys-lru"}, "maxmemory-policy allkeys-lru"),
        ({"maxmemory_policy": "volatile-ttl", "maxmemory": 0}, "maxmemory-policy volatile-ttl"),
        ({"maxmemory_policy": "eviction", "cache_mode": "cache"}, "maxmemory-policy eviction"),  # Dragonfly
    ],
)
def test_some_servers_can_be_read_but_hold_no_new_lecture(change: dict[str, object], said: str) -> None:
    assert said in str(unusable({**MASTER, **change}, writing=True))
    assert unusable({**MASTER, **change}, writing=False) is None


@contextmanager
def redis_with(*options: str) -> Iterator[str]:
    """The URL of a Redis 7 with these options."""
    with tempfile.TemporaryDirectory(prefix="lp-") as folder:
        port = free_port()
        settings = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        file = Path(folder) / "redis.conf"
        file.write_text("sentinel resolve-hostnames no\n" if "--sentinel" in options else "")
        command = [redis_7(), str(file), *settings, *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                with redis.Redis(port=port) as client:
                    eventually(lambda: answers(client))
                yield f"redis://127.0.0.1:{port}"
            finally:
                server.terminate()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "g.mp4"
    render_gallery(path, people=1, seconds=1, size=(320, 180))
    return path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--cluster-enabled", "yes"], "runs in cluster mode"),
        (["--sentinel"], "is a Sentinel"),
        (["--replicaof", "127.0.0.1 1"], "is a replica"),
        (["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lfu"], "has maxmemory-policy allkeys-lfu"),
    ],
)
def test_producer_and_worker_refuse_a_real_server_in_one_line(options: list[str], said: str, video: Path) -> None:
    with redis_with(*options) as url:
        # With a number of a database, redis-py sends SELECT first, which a cluster and a Sentinel refuse.
        for given in (url, f"{url}/1"):
            for program, command in (("producer", ["ingest", video]), ("worker", ["run"])):
                code, out, err = called(*command, "--redis", given, program=program)
                assert (code, out, len(err.splitlines())) == (2, "", 1)
                assert f"{program}: Redis at {given} {said}" in err


def test_lectures_are_read_from_a_replica_and_from_a_server_that_evicts(tmp_path: Path) -> None:
    with running_redis() as (url, _), connect(url) as client:
        write(client, "l", [{"p01"}])
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.replicaof("127.0.0.1", 1)
        assert called("export", "l", "-o", tmp_path / "l.csv", "--redis", url) == (0, "", "")
