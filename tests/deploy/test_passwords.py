"""deploy/passwords.py, and a real Redis with the arguments of compose.yaml and the files it wrote."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from producer.serving import TOKEN
from tests.deploy.manifests import DEPLOY, compose
from tests.deploy.queries import streams
from tests.processes import eventually
from tests.scraping import listening_hosts
from tests.security.servers import redis_7
from tests.streams import free_port

# Like the script of KEDA's redis scaler (pkg/scalers/redis_scaler.go): the type of a key, then its length.
LENGTH = "if redis.call('type', KEYS[1]).ok == 'none' then return 0 end; return redis.call('llen', KEYS[1])"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that passwords.py fills."""
    tmp_path = tmp_path_factory.mktemp("passwords")
    shutil.copytree(DEPLOY / "redis", tmp_path / "deploy" / "redis")
    shutil.copy(DEPLOY / "passwords.py", tmp_path / "deploy")
    assert _run(tmp_path).returncode == 0
    return tmp_path / "deploy" / "secrets"


@pytest.fixture(scope="module")
def server(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """redis-server with the arguments of compose.yaml; its host and port."""
    places = {"/run/secrets/users.acl": str(written / "users.acl"), "/data": str(tmp_path_factory.mktemp("data"))}
    given = [places.get(word, word) for word in compose()["services"]["redis"]["command"][1:]]
    port = free_port()
    command = [redis_7(), *given, "--port", str(port), "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
        try:
            eventually(lambda: listening_hosts(port))
            yield f"127.0.0.1:{port}"
        finally:
            running.terminate()


def test_only_the_owner_can_enter_the_folder_and_a_second_run_writes_nothing(written: Path) -> None:
    assert written.stat().st_mode & 0o077 == 0
    before = {file.name: file.read_text() for file in written.iterdir()}
    assert set(before) == {"users.acl", "worker.env", "producer.env", "grafana.env", "scaler.env", "serve.env"}
    again = _run(written.parents[1])
    assert again.returncode == 2
    assert "delete" in again.stderr
    assert "Traceback" not in again.stderr
    assert {file.name: file.read_text() for file in written.iterdir()} == before


def test_recordings_have_a_folder_that_the_container_s_user_owns(written: Path) -> None:
    lectures = (written.parent / "lectures").stat()
    assert lectures.st_uid == (os.getuid() or 10001)
    owner = _value(written.parent / ".env", "LECTUREPULSE_USER")
    assert owner == f"{lectures.st_uid}:{lectures.st_gid}"
    archive = (written.parent / "archive").stat()
    assert (archive.st_uid, stat.S_IMODE(archive.st_mode)) == (lectures.st_uid, 0o2770)
    assert _value(written.parent / ".env", "LECTUREPULSE_GROUP") == str(archive.st_gid)


def test_new_passwords_keep_your_lines_of_env_and_redis_can_read_its_file_under_any_umask(
    written: Path, tmp_path: Path
) -> None:
    deploy = shutil.copytree(written.parent, tmp_path / "deploy")
    yours = "LECTUREPULSE_ARCHIVE=s3://lectures/all\nAWS_ACCESS_KEY_ID=key\n"
    before = (deploy / ".env").read_text()
    (deploy / ".env").write_text(yours + before)
    shutil.rmtree(deploy / "secrets")
    assert _run(tmp_path, umask=0o077).returncode == 0
    assert (deploy / ".env").read_text() == before + yours
    assert (deploy / "secrets" / "users.acl").stat().st_mode & 0o004


def test_passwords_differ_and_redis_gets_only_their_digests(written: Path) -> None:
    passwords = [
        _value(written / f"{user}.env", "REDIS_URL").split(":")[2].split("@")[0] for user in ("worker", "producer")
    ]
    passwords.append(_value(written / "scaler.env", "password"))
    passwords += [
        _value(written / "grafana.env", f"{name}_PASSWORD") for name in ("REDIS_SUBSCRIBER", "GF_SECURITY_ADMIN")
    ]
    passwords.append(_value(written / "serve.env", TOKEN))
    assert len(set(passwords)) == len(passwords)
    assert all(len(password) >= 32 for password in passwords)
    assert not any(password in (written / "users.acl").read_text() for password in passwords)


def test_the_redis_of_compose_accepts_these_users_and_no_others(written: Path, server: str) -> None:
    for user in ("worker", "producer"):
        ours = _value(written / f"{user}.env", "REDIS_URL").replace("redis:6379", server)
        with redis.Redis.from_url(ours) as client:
            assert client.ping()
    with redis.Redis.from_url(f"redis://{server}") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with redis.Redis.from_url(f"redis://worker:wrong@{server}") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_the_scaler_can_read_the_length_of_the_queue_and_nothing_else(written: Path, server: str) -> None:
    given = f"scaler:{_value(written / 'scaler.env', 'password')}"
    with redis.Redis.from_url(f"redis://{given}@{server}") as scaler:
        assert scaler.eval(LENGTH, 1, "rq:queue:frames") == 0
        for forbidden in (
            ("EVAL", LENGTH, 1, "lecture:{g9}:class"),
            ("EVAL", "return redis.call('lpop', KEYS[1])", 1, "rq:queue:frames"),
            ("RPUSH", "rq:queue:frames", "x"),
            ("KEYS", "*"),
        ):
            with pytest.raises(redis.ResponseError):
                scaler.execute_command(*forbidden)


def test_grafana_can_send_the_queries_of_its_dashboard_and_read_no_pixels(written: Path, server: str) -> None:
    given = f"subscriber:{_value(written / 'grafana.env', 'REDIS_SUBSCRIBER_PASSWORD')}"
    with redis.Redis.from_url(f"redis://{given}@{server}") as grafana:
        assert grafana.ping(), "its health check"
        assert grafana.execute_command("HKEYS", "lecture:{g9}:participants") == []
        for _, query in streams("g9", "p01"):
            assert grafana.execute_command(query["command"].upper(), query["keyName"], "-", "+") == []
        for forbidden in (("HGETALL", "lecture:{g9}:chunk:0"), ("DEL", "lecture:{g9}:participant:p01")):
            with pytest.raises(redis.exceptions.NoPermissionError):
                grafana.execute_command(*forbidden)


def _run(root: Path, umask: int = -1) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "deploy/passwords.py"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=30, umask=umask)


def _value(file: Path, name: str) -> str:
    return dict(line.split("=", 1) for line in file.read_text().splitlines())[name]
