"""Credentials are planted everywhere in URLs, and searched everywhere in the output."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import called, children, eventually
from tests.security.contents import contents
from tests.security.servers import Guarded, guarded_redis
from tests.streams import free_port, rtsp_server

PLANTED = "SECRET"
# It is in every password and query. RTSP's user is `me`.

OURS = ("CELLS", "ARCHIVE", "SERVE_TOKEN", "WEBHOOK", "WEBHOOK_SECRET")
# Our variables that may hold a credential.


@pytest.fixture(scope="module")
def server() -> Iterator[Guarded]:
    with guarded_redis() as running:
        yield running


class Watcher:
    """Reads the titles of a process and its descendants again and again, from `start` on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.titles: set[bytes] = set()
        self.pids: set[int] = set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            for pid in {self._pid, *descendants(self._pid)}:
                self.pids.add(pid)
                self.titles |= {title(pid, "cmdline"), title(pid, "comm")}


def title(pid: int, which: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{which}").read_bytes()
    except OSError:
        return b""


def descendants(pid: int) -> set[int]:
    found = set(children(pid))
    return found.union(*map(descendants, found))


@contextmanager
def watched(*words: str) -> Iterator[tuple["subprocess.Popen[str]", Watcher]]:
    """A command, and a watcher of its titles from the time at which it has hidden its arguments."""
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        eventually(lambda: "".join(words[:1]).encode() in title(running.pid, "cmdline"))  # after the fork
        eventually(lambda: PLANTED.encode() not in title(running.pid, "cmdline"))
        watcher = Watcher(running.pid)
        watcher.start()
        try:
            yield running, watcher
        finally:
            watcher.stop()
            running.terminate()


def test_no_planted_credential_comes_out_anywhere(server: Guarded, tmp_path: Path) -> None:
    lecture = ["--lecture", "l", "--fps", "2"]
    with (
        watched("worker", "run", "--redis", server.urls["worker"], "--processes", "1") as (worker, worker_seen),
        rtsp_server() as camera,
        watched("producer", "ingest", f"{camera}?token={PLANTED}", *lecture, "--redis", server.urls["producer"]) as (
            ingest,
            ingest_seen,
        ),
    ):
        eventually(lambda: server.admin.hget("lecture:{l}", "published") not in (None, b"0"), patience=120)
        in_redis = repr(contents(server.admin)).encode()
        clients = repr(server.admin.client_list()).encode()
        ingest.terminate()
        said = ingest.communicate(timeout=120)[0]
        assert ingest.returncode == 143, said
        in_redis += repr(contents(server.admin)).encode()
        worker.terminate()
        said += worker.communicate(timeout=60)[0]
    assert len(ingest_seen.pids) >= 2, "with its decoder"
    assert len(worker_seen.pids) >= 2, "with its worker process"
    source: Any = server.admin.hget("lecture:{l}", "source")
    assert source.startswith(b"rtsp://127.0.0.1:")
    for place in (in_redis, clients, said.encode(), *ingest_seen.titles, *worker_seen.titles):
        assert PLANTED.encode() not in place
    assert b"me:" not in in_redis + said.encode()


@pytest.mark.parametrize(
    "words",
    [
        ["producer", "ingest", "rtsp://me:SECRET@127.0.0.1:{port}/x?t=SECRET"],
        ["producer", "ingest", "https://me:SECRET@127.0.0.1:{port}/x.m3u8?t=SECRET", "--json"],
        ["producer", "ingest", "rtmp://me:SECRET@127.0.0.1:{port}/x/SECRET", "--give-up", "1"],
        ["producer", "ingest", "http://127.0.0.1:{port}/live/SECRET-4eC39HqLyjWDarjtT1/x.m3u8"],
        ["producer", "ingest", "srt://127.0.0.1:{port}/live/SECRET"],
        ["producer", "ingest", "a=rtmp://127.0.0.1:{port}/live/SECRET", "rtmp://127.0.0.1:{port}/live/SECRET"],
        ["producer", "ingest", "rtmp:/127.0.0.1/live/SECRET"],
        ["producer", "list", "rtmp://127.0.0.1/live/SECRET"],
        ["producer", "ingest", "a=http://me:SECRET@127.0.0.1:{port}/x", "b=http://me:SECRET@127.0.0.1:{port}/y"],
        ["producer", "ingest", "http://me:SECRET@/x"],
        ["producer", "list", "--redis", "redis://me:SECRET@127.0.0.1:{port}/0?x=SECRET"],
        ["producer", "export", "l", "-o", "l.csv", "--redis", "rediss://:SECRET@127.0.0.1:{port}"],
        ["producer", "list", "--redis", "nonsense://me:SECRET@h"],
        ["producer", "ingest", "rtsp://127.0.0.1:{port}/user=me&password=SECRET/x"],
        ["producer", "ingest", "rtsp:/me:SECRET@127.0.0.1/x"],
        ["producer", "export", "l", "-o", "redis://me:SECRET@h"],
        ["worker", "run", "--redis", "redis://me:SECRET@127.0.0.1:{port}?x=SECRET"],
        ["worker", "run", "--redis", "redis://127.0.0.1:{port}", "rtsp://me:SECRET@h"],
        ["worker", "run", "--redis", "redis://me:SECR ET@127.0.0.1:port"],
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_no_error_contains_a_planted_credential(words: list[str]) -> None:
    program, *others = (word.format(port=free_port()) for word in words)
    code, out, err = called(*others, program=program)
    assert (code, len(err.splitlines())) == (2, 1)
    said = out + err
    assert PLANTED not in said
    assert "SECR ET" not in said


def test_the_decoder_gets_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from producer.feeding.sources.opening import open_source
    from tests.producer.feeding.films import film

    for name in ("REDIS_URL", "AWS_SECRET_ACCESS_KEY", *(f"LECTUREPULSE_{each}" for each in OURS)):
        monkeypatch.setenv(name, f"redis://:{PLANTED}@h")
    with open_source(str(film(tmp_path / "a.mp4")), 2) as opened:
        assert PLANTED.encode() not in Path(f"/proc/{opened.decoder_pid}/environ").read_bytes()
        limits = Path(f"/proc/{opened.decoder_pid}/limits").read_text()
    assert any(line.split()[:5] == ["Max", "core", "file", "size", "0"] for line in limits.splitlines())


def test_a_title_is_changed_only_if_it_contains_credentials() -> None:
    code = "import sys, json; from worker.contract.credentials import hide_credentials as hide; hide();"
    code += "print(json.dumps(open('/proc/self/cmdline').read()))"
    for url, shown in (
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://me:SECRET@h:1/0?a=SECRET", "redis://h:1/0"),
        ("--redis=rediss://:SECRET@h", "--redis=rediss://h"),
        ("alice=rtsp://me:SECRET@h/x", "alice=rtsp://h/x"),
        ("alice=rtmp://h/live/SECRET", "alice=rtmp://h/live/..."),
        ("redis://me:SEC/RET@h", "redis://..."),
        ("redis:/me:SECRET@h", "redis:/h"),
    ):
        said = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True).stdout
        words = json.loads(said).replace("\0", " ").strip()
        assert words.endswith(f" {shown}")
