"""Recordings that are added on the page: read as `producer ingest` reads them, and their uploads deleted afterwards."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from producer.serving import adding
from producer.serving.adding import AddingRefused, Additions
from tests.conftest import running_redis
from tests.processes import children, eventually, ran, runs
from tests.producer.committing import committing
from tests.producer.feeding.films import film
from tests.producer.reading.writing import begin, write
from tests.producer.serving.server import serving
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys

OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds."""
    return film(tmp_path_factory.mktemp("added") / "Week 7.mp4", pictures=40, fps=4)


@pytest.fixture
def own(redis_url: str) -> Iterator[str]:
    """The address of a server in the data folder of this test."""
    with serving(redis_url) as address:
        yield address.rstrip("/")


@contextmanager
def server(redis_url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that the test ends itself, and its address."""
    command = [sys.executable, "-m", "producer", "serve", "--port", "0", "--redis", redis_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip().rstrip("/")
        finally:
            process.kill()


def upload(site: str, name: str, content: bytes, **parameters: str) -> httpx.Response:
    words = {"name": name, **parameters}
    return httpx.post(f"{site}/api/recordings", params=words, content=content, headers=OCTETS, timeout=60)


def posted(address: str, kind: str, content: str | Iterator[bytes]) -> httpx.Response:
    return httpx.post(address, content=content, headers={"Content-Type": kind}, timeout=60)


def named(site: str, path: object, **more: object) -> httpx.Response:
    return httpx.post(f"{site}/api/recordings", json={"path": str(path), **more}, timeout=60)


def listed(site: str) -> list[Any]:
    """All additions."""
    return list(httpx.get(f"{site}/api/recordings", timeout=60).json()["recordings"])


def ended(site: str, added: httpx.Response) -> Any:
    """The addition that `added` answers, when it is read."""
    assert added.status_code == 201, added.text
    found: Any = {}

    def over() -> bool:
        nonlocal found
        found = next(each for each in listed(site) if each["id"] == added.json()["id"])
        return found["state"] not in ("waiting", "reading")

    eventually(over, 150, why=lambda: str(found))
    return found


def uploads(home: Path) -> list[Path]:
    folders = os.walk(home / "lecturepulse" / "serving")  # not rglob: it fails if a folder is deleted meanwhile
    return [Path(folder) / name for folder, _, names in folders for name in names]


def test_an_upload_is_read_as_the_command_reads_it_and_deleted(
    own: str, redis_url: str, client: redis.Redis, video: Path, home: Path
) -> None:
    with committing(redis_url):
        read = ended(own, upload(own, "C:\\talks\\Week 7.mp4", video.read_bytes()))
    assert (read["state"], read["lecture"], read["messages"]) == ("done", "Week-7", [])
    (item,) = httpx.get(f"{own}/api/lectures", timeout=60).json()["lectures"]
    assert (item["status"], item["source"], item["participants"]) == ("done", "Week 7.mp4", 1)
    assert (item["expected"], item["ledger"]["published"], item["live"]) == (20, 20, False)
    assert uploads(home) == []


def test_a_path_on_this_machine_is_read_and_kept(own: str, redis_url: str, client: redis.Redis, video: Path) -> None:
    with committing(redis_url):
        read = ended(own, named(own, video, class_only=True))
    assert (read["state"], read["name"]) == ("done", "Week 7.mp4")
    assert client.hget(LectureKeys(read["lecture"]).info, "class_only") == b"1"
    assert video.exists()


def test_a_file_that_cannot_be_read_fails_with_the_line_of_the_command(
    own: str, redis_url: str, tmp_path: Path, home: Path
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    said = ran("ingest", text, "--redis", redis_url)[2].strip().removeprefix("producer: ")
    by_path, uploaded = ended(own, named(own, text)), ended(own, upload(own, "notes.mp4", text.read_bytes()))
    assert (by_path["state"], by_path["messages"]) == ("failed", [said])
    assert (uploaded["state"], uploaded["messages"]) == ("failed", [said.replace(str(text), "notes.mp4")])
    assert ended(own, upload(own, "none.mp4", b""))["messages"] == [
        "none.mp4: the file is empty; copy or record it again"
    ]
    assert uploads(home) == []
    assert httpx.get(f"{own}/api/lectures", timeout=60).json() == {"lectures": []}


def test_requests_that_make_no_sense_are_refused_in_one_line(site: str, redis_url: str) -> None:
    address = f"{site}/api/recordings"
    for answer, status, reason in (
        (named(site, "talk.mp4"), 400, "'talk.mp4' is not a whole path"),
        (named(site, "/a\0b"), 400, "is not a whole path"),
        (named(site, "/a.mp4", lecture="x"), 400, "unknown field `lecture`"),
        (named(site, "/a.mp4", resume="../x"), 400, "lecture id '../x'"),
        (posted(address, "application/json", "{"), 400, "truncated"),
        (posted(address, "multipart/form-data", "path=/a.mp4"), 400, "content type 'multipart/form-data'"),
        (posted(address, "text/plain", "x"), 400, "content type 'text/plain'"),
        (posted(address, "application/octet-stream", iter([b"x"])), 400, "send Content-Length"),
        (upload(site, "a.mp4", b"x", class_only="yes"), 400, "class_only 'yes' is not 0 or 1"),
        (httpx.delete(f"{site}/api/lectures/a.b", timeout=60), 400, "a.b"),
        (httpx.delete(f"{site}/api/lectures/nobody", timeout=60), 409, "there is no lecture 'nobody'"),
    ):
        assert (answer.status_code, reason in answer.json()["error"]) == (status, True), answer.text
    assert listed(site) == []


def test_what_is_too_large_is_refused_before_it_is_sent(site: str, redis_url: str) -> None:
    parts = urlsplit(site)
    for size, status in ((10**18, b"400"), (10**17, b"413")):
        with socket.create_connection((parts.hostname, parts.port or 80), timeout=60) as connection:
            head = f"POST /api/recordings?name=a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n"
            connection.sendall(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_what_does_not_fit_on_the_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "SPARED_BYTES", 1 << 62)  # more than any disk has

    async def content() -> AsyncIterator[bytes]:
        yield b"123456789"

    with pytest.raises(AddingRefused, match=r"^a: has 9 bytes, and the disk has room for 0") as refused:
        asyncio.run(Additions(tmp_path, None).upload("a", 9, content()))
    assert (refused.value.status, list(tmp_path.iterdir())) == (507, [])


def test_recordings_are_read_one_after_the_other_and_only_so_many_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adding, "MAX_UNFINISHED", 2)
    monkeypatch.setattr(adding, "STALLED_S", 0.1)

    async def silent() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    async def play() -> None:
        additions = Additions(tmp_path, "unix:///nowhere")
        with pytest.raises(AddingRefused, match=r"^a: nothing came for 0.1 s") as stalled:
            await additions.upload("../a", 9, silent(), False)
        assert (stalled.value.status, list(tmp_path.iterdir())) == (408, [])
        one, two = (additions.add_path(f"/{name}.mp4", False) for name in "ab")
        with pytest.raises(AddingRefused, match="2 recordings are being added already"):
            additions.add_path("/c.mp4", False)
        await asyncio.sleep(0)
        assert (one.state, two.state) == ("reading", "waiting")
        additions.stop(two.id)
        await additions.close(lambda: True)
        assert [each.state for each in additions.listed] == ["stopped"]

    asyncio.run(play())


def test_a_stopped_upload_is_deleted(own: str, home: Path) -> None:
    parts = urlsplit(own)
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=60) as connection:
        head = "POST /api/recordings?name=a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        connection.sendall(f"{head}Content-Type: application/octet-stream\r\n\r\nsome".encode())
        eventually(lambda: uploads(home))
        (file,) = uploads(home)
        assert file.stat().st_mode & 0o077 == 0
        (addition,) = listed(own)
        assert (addition["state"], addition["size"]) == ("uploading", 99)
    eventually(lambda: not uploads(home))  # its client has gone
    assert listed(own) == []


def test_a_server_that_ends_stops_the_lecture_and_it_can_be_resumed(tmp_path: Path) -> None:
    long = film(tmp_path / "Week 8.mp4", pictures=240, fps=4, noise=60)
    keys = LectureKeys("Week-8")
    with running_redis() as (redis_url, _), connect(redis_url) as client:
        client.config_set("maxmemory", 6 * 2**20)  # too little for all pixels at once
        with server(redis_url) as (process, site):
            assert named(site, long).status_code == 201
            eventually(lambda: client.exists(keys.in_flight))
            process.terminate()
            with committing(redis_url):
                assert process.wait(timeout=60) == 143
                assert process.stderr is not None
                assert "--resume continues it" in process.stderr.read()
        assert client.hget(keys.info, "status") == b"stopped"
        with serving(redis_url) as site, committing(redis_url):
            site = site.rstrip("/")
            wrong = ended(site, upload(site, "Week 9.mp4", long.read_bytes(), resume="Week-8"))
            assert "cannot be resumed: source was Week 8.mp4 at its start and is Week 9.mp4 now" in wrong["messages"][0]
            assert ended(site, upload(site, "Week 8.mp4", long.read_bytes(), resume="Week-8"))["state"] == "done"
        assert client.hmget(keys.info, "status", "published") == [b"done", b"120"]


def test_of_a_killed_server_the_lecture_is_stopped_and_the_upload_deleted_at_the_next_start(
    redis_url: str, client: redis.Redis, video: Path, home: Path
) -> None:
    with server(redis_url) as (process, site):
        added = upload(site, "Week 7.mp4", video.read_bytes())
        eventually(lambda: client.exists(LectureKeys("Week-7").info))
        ingests = children(process.pid)
        process.kill()  # nothing is committed yet, so the ingest has not ended
        process.wait()
        assert added.status_code == 201
        assert uploads(home)
        assert any(map(runs, ingests))
        with serving(redis_url):
            assert uploads(home) == []
        with committing(redis_url):
            eventually(lambda: not any(map(runs, ingests)))


STRANGE = (
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": "http://localhost:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
)


@pytest.mark.parametrize("headers", STRANGE)
def test_a_page_of_another_site_can_change_nothing(site: str, client: redis.Redis, headers: dict[str, str]) -> None:
    write(client, "l", [["p01"]])
    for method, path in (("POST", "recordings"), ("DELETE", "lectures/l"), ("DELETE", "recordings/x")):
        answer = httpx.request(method, f"{site}/api/{path}", headers={**OCTETS, **headers}, timeout=60)
        assert (answer.status_code, answer.json()) == (
            403,
            {"error": "only a page of this server may change something"},
        )
    assert client.exists(LectureKeys("l").info)
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert httpx.delete(f"{site}/api/lectures/l", headers=rebound, timeout=60).status_code == 421


def test_a_lecture_is_forgotten_as_by_the_command_but_not_while_it_is_fed(site: str, client: redis.Redis) -> None:
    write(client, "l", [["p01"]])
    fed = begin(client, "fed")
    client.set(fed.feeder, b"1")
    ours = {"Origin": site, "Sec-Fetch-Site": "same-origin"}
    refused = httpx.delete(f"{site}/api/lectures/fed", headers=ours, timeout=60)
    assert (refused.status_code, "is being fed" in refused.json()["error"]) == (409, True)
    assert httpx.delete(f"{site}/api/lectures/l", headers=ours, timeout=60).status_code == 204
    assert client.keys("lecture:{l}*") == []


def test_beside_the_private_redis_the_workers_are_started_and_forgetting_reaches_the_disk(
    tmp_path: Path, home: Path
) -> None:
    results = home / "lecturepulse" / "results.rdb"
    with serving(None) as address:
        site = address.rstrip("/")
        read = ended(site, named(site, film(tmp_path / "SECRET.mp4", pictures=8, fps=4)))
        assert (read["state"], read["lecture"], read["messages"]) == ("done", "SECRET", [])
        assert b"SECRET" in results.read_bytes()
        assert httpx.delete(f"{site}/api/lectures/SECRET", timeout=60).status_code == 204
        assert b"SECRET" not in results.read_bytes()
        assert httpx.get(f"{site}/api/lectures", timeout=60).json() == {"lectures": []}


def test_elsewhere_the_token_is_needed_and_no_path_is_taken(redis_url: str, video: Path) -> None:
    with serving(redis_url, "--host", "0.0.0.0") as address:
        site = f"http://127.0.0.1:{urlsplit(address).port}"
        token = urlsplit(address).query.removeprefix("token=")
        assert upload(site, "a.mp4", b"x").status_code == 401
        in_a_link = httpx.post(f"{site}/api/recordings?token={token}", headers=OCTETS, timeout=60)
        assert in_a_link.status_code == 401
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=60) as program:
            answer = program.post(f"{site}/api/recordings", json={"path": str(video)})
            assert (answer.status_code, "only by a server on loopback" in answer.json()["error"]) == (403, True)
            assert program.get(f"{site}/api/recordings").json()["paths"] is False
            assert program.post(f"{site}/api/recordings?name=a", content=b"x", headers=OCTETS).status_code == 201


def test_a_server_of_one_lecture_adds_and_forgets_nothing(redis_url: str, client: redis.Redis) -> None:
    write(client, "mine", [["p01"]])
    with serving(redis_url, "mine") as address:
        for method, path in (("POST", "recordings"), ("DELETE", "lectures/mine"), ("DELETE", "lectures/other")):
            answer = httpx.request(method, f"{address}api/{path}", timeout=60)
            assert (answer.status_code, answer.json()) == (405, {"error": "this server is read only"})
        assert httpx.get(f"{address}api/recordings", timeout=60).status_code == 404


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_of_this_machine_may_read_and_change_nothing(site: str, client: redis.Redis) -> None:
    write(client, "l", [["p01"]])
    parts = urlsplit(site)
    for request, status in (("GET /api/lectures", "200"), ("DELETE /api/lectures/l", "403")):
        code = f"""
import socket
connection = socket.create_connection(("127.0.0.1", {parts.port}))
connection.sendall(b"{request} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
print(connection.recv(99))
"""
        said = subprocess.run(
            ["/usr/bin/python3", "-c", code], capture_output=True, text=True, user=65534, cwd="/", check=True
        ).stdout
        assert f"HTTP/1.1 {status}" in said
    assert client.exists(LectureKeys("l").info)
