"""The pages, the JSON, and the right to read them."""

import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from producer.serving import TOKEN
from tests.processes import called
from tests.producer.reading.writing import begin, commit, frame_events, write
from tests.producer.serving.server import serving
from worker.contract.keys import LectureKeys
from worker.contract.messages import ClassEvent, encode

ANYWHERE = "0.0.0.0"


@pytest.fixture(scope="module")
def guarded(redis_server: str) -> Iterator[str]:
    """The address, with its token, of a server that does not listen on loopback only."""
    with serving(redis_server, "--host", ANYWHERE) as address:
        yield f"http://127.0.0.1:{urlsplit(address).port}/?{urlsplit(address).query}"


def get(address: str, **headers: str) -> httpx.Response:
    return httpx.get(address, headers={name.replace("_", "-"): value for name, value in headers.items()}, timeout=60)


def raw(address: str, request: str) -> bytes:
    """The answer to `request`, sent as it is."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=60) as connection:
        connection.sendall(request.encode())
        answer = b""
        while some := connection.recv(65536):
            answer += some
    return answer


def test_every_answer_has_the_security_headers_and_no_inline_script_or_style(site: str) -> None:
    for path in ("/", "/lectures/l", "/static/page.css", "/api/lectures", "/nowhere", "/lectures/a%2Fb"):
        answer = get(site + path)
        headers = answer.headers
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", answer.text) or "static" in path
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE"])
def test_methods_that_the_page_does_not_use_are_refused(site: str, method: str) -> None:
    answer = httpx.request(method, f"{site}/api/lectures", timeout=60)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST, DELETE")


def test_the_page_of_a_finished_lecture_is_its_report_made_again_only_after_a_change(
    site: str, client: redis.Redis
) -> None:
    write(client, "l", [["p01"]] * 3)
    first = get(f"{site}/lectures/l")
    assert "<h1>Lecture l</h1>" in first.text
    assert first.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert '<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;' in first.text
    assert first.headers["x-content-type-options"] == "nosniff"
    links = re.findall(r'<a href="(/[^"]*)">([^<]*)</a>', first.text)
    files = ("csv", "CSV"), ("xlsx", "Excel"), ("vtt", "moments as subtitles"), ("eaf", "ELAN")
    assert links[0] == ("/", "All lectures")
    assert links[1:] == [(f"/lectures/l/export.{ending}", f"Download {kind}") for ending, kind in files]
    assert {get(site + address).status_code for address, _ in links[1:]} == {200}
    client.hset(LectureKeys("l").info, "source", "another.mp4")
    assert "another.mp4" in get(f"{site}/lectures/l").text
    client.xtrim(LectureKeys("l").participant("p01"), 1, approximate=False)
    assert "The report is incomplete" in get(f"{site}/lectures/l").text


def test_a_lecture_is_downloaded_as_a_file(site: str, client: redis.Redis) -> None:
    write(client, "l", [["p01"]] * 3)
    csv = get(f"{site}/lectures/l/export.csv")
    assert csv.headers["content-disposition"] == 'attachment; filename="l.csv"'
    assert csv.text.count("\nl,p01,") == 3
    assert get(f"{site}/lectures/l/export.xlsx").content.startswith(b"PK")
    for path, status, reason in (
        ("l/export.exe", 404, "there is no export.exe; there are csv, xlsx"),
        ("no/export.csv", 404, "there is no lecture 'no'"),
    ):
        answer = get(f"{site}/lectures/{path}")
        assert (answer.status_code, reason in answer.json()["error"]) == (status, True)


def test_head_requests_are_answered_without_a_body(site: str) -> None:
    for path in ("/", "/api/lectures", "/lectures/l/stream"):
        answer = httpx.head(site + path, timeout=60)
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/..%2fserver.py",
        "/static/%2e%2e/%2e%2e/cli.py",
        "/static//etc/passwd",
        "/static/lecture.js%00.css",
        "/lectures/..%2f..%2fetc%2fpasswd",
        "/lectures/a%0d%0ab",
        "/lectures/a/export.x.csv",
        "/lectures/a/export.x%00.csv",
        f"/lectures/a/export.{'x' * 300}.csv",
        "/api/lectures/{l}",
        "/api/lectures/l/participants/*/events",
    ],
)
def test_addresses_outside_the_site_do_not_exist(site: str, path: str) -> None:
    answer = raw(site, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))


FOREIGN = ("evil.example", "127.0.0.1.evil.example", "evil.example:8080", "10.0.0.1", "", "[", "a:b:c")
OURS = ("localhost", "LOCALHOST:99", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8080")


@pytest.mark.parametrize(("host", "status"), [*((host, 421) for host in FOREIGN), *((host, 200) for host in OURS)])
def test_on_loopback_only_names_of_this_machine_are_served(site: str, host: str, status: int) -> None:
    answer = raw(site, f"GET /api/lectures HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status}".encode())


def test_elsewhere_nothing_is_served_without_the_token(guarded: str, redis_url: str) -> None:
    base = guarded.partition("?")[0].rstrip("/")
    for path in ("/", "/static/page.css", "/api/lectures", "/lectures/l/stream", "/nowhere"):
        assert get(base + path).status_code == 401
        assert get(f"{base}{path}?token=wrong").status_code == 401
        assert get(base + path, Authorization="Bearer wrong").status_code == 401
        assert get(base + path, Cookie="lecturepulse_1=wrong; x").status_code == 401


def test_a_browser_sends_the_token_once_and_then_a_cookie_and_a_program_a_header(guarded: str, redis_url: str) -> None:
    base, _, query = guarded.partition("?")
    token = query.removeprefix("token=")
    assert len(token) >= 43, "256 bits"
    with httpx.Client(timeout=60) as browser:
        welcome = browser.get(f"{base}lectures/l?{query}&since=1")
        cookie = welcome.headers["set-cookie"]
        assert "httponly" in cookie.lower()
        assert "samesite=strict" in cookie.lower()
        assert token not in cookie
        assert token not in welcome.text
        assert 'url=/lectures/l?since=1"' in welcome.text
        assert browser.get(f"{base}api/lectures").json() == {"lectures": []}
    assert get(f"{base}api/lectures", Authorization=f"Bearer {token}").json() == {"lectures": []}, "for programs"


def test_a_token_of_the_environment_and_its_cookies_outlive_the_server(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, cookies = "0123456789abcdef" * 4, set()
    monkeypatch.setenv(TOKEN, token)
    for host in ("127.0.0.1", ANYWHERE):  # a given token is needed on loopback too
        with serving(redis_url, "--host", host) as address:
            assert urlsplit(address).query == f"token=${TOKEN}", "a log does not show it"
            port = urlsplit(address).port
            site = f"http://127.0.0.1:{port}/"
            assert get(site).status_code == 401
            assert get(site, Authorization=f"Bearer {token}").status_code == 200
            cookies.add(get(f"{site}?token={token}").cookies[f"lecturepulse_{port}"])
    assert len(cookies - {token}) == 1


def test_a_token_that_can_be_guessed_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "secret")
    code, _, err = called("serve", "--port", "0")
    assert (code, len(err.splitlines())) == (2, 1)
    assert f"{TOKEN}: not 32 or more letters" in err


def test_the_page_that_sets_the_cookie_leads_to_no_other_server(guarded: str) -> None:
    base, _, query = guarded.partition("?")
    for path in ("//evil.example/", "/\\evil.example/", '/"><script>'):
        answer = raw(base, f"GET {path}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").decode()
        assert "url=//" not in answer
        assert "\\evil" not in answer
        assert "<script" not in answer


def test_lectures_and_participants_as_json(site: str, client: redis.Redis) -> None:
    write(client, "l1", [["p01", "p02"], ["p01"]])
    keys = begin(client, "l2", started=2000.0)
    client.set(keys.feeder, b"1")
    first, second = get(f"{site}/api/lectures").json()["lectures"]
    assert (first["id"], first["status"], first["participants"], first["source"]) == ("l1", "done", 2, "a.mp4")
    assert (second["id"], second["status"], second["fed"], second["started"]) == ("l2", "running", True, 2000.0)
    assert get(f"{site}/api/lectures/l1").json() == first
    people = get(f"{site}/api/lectures/l1/participants").json()["participants"]
    assert people == [
        {"id": "p01", "first": 0.0, "last": 0.5, "frames": 2},
        {"id": "p02", "first": 0.0, "last": 0.0, "frames": 1},
    ]


def test_events_are_served_page_by_page_as_published(site: str, client: redis.Redis) -> None:
    published = write(client, "l", [["p01"]] * 5)
    mine = [event for event in published if not isinstance(event, ClassEvent)]
    address = f"{site}/api/lectures/l/participants/p01/events"
    found: list[Any] = []
    since: str | None = "0"
    while since is not None:
        page = get(f"{address}?limit=2&since={since}").json()
        found += page["events"]
        since = page["next"]
    assert [each["event"] for each in found] == [json.loads(encode(event)) for event in mine]
    assert [each["time"] for each in found] == [1_000_000, 1_000_500, 1_001_000, 1_001_500, 1_002_000, None]
    assert len(get(f"{site}/api/lectures/l/class/events").json()["events"]) == 6


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("no", 404, "there is no lecture 'no'"),
        ("l/participants/p09/events", 404, "has no participant 'p09'"),
        ("l/class/events?since=now", 400, "'now' is not a position"),
        ("l/class/events?since=99999999999999999999", 400, "is not a position"),
        ("l/class/events?limit=0", 400, "limit '0' is not a number from 1 to 10000"),
        ("l/class/events?limit=1e9", 400, "limit '1e9'"),
        *(
            (
                f"l/class/events?limit={wrong}",
                400,
                "is not a number from 1 to 10000, in digits, without a 0 before them",
            )
            for wrong in ("0000000019999999", "10001", "010", "", "-1", "+1", "1_0", "1.0", "٣", "%201", "9" * 5000)
        ),
        ("l/class/events?limit=5&limit=6", 400, "limit is given 2 times; give it once"),
        ("l/class/events?since=00-0", 400, "'00-0' is not a position"),
        ("l/class/events?since=", 400, "'' is not a position"),
        ("l/class/events?since=0&since=1", 400, "since is given 2 times"),
        ("../../lectures/l/stream?since=a&since=b", 400, "since is given 2 times"),
    ],
)
def test_a_wrong_address_is_answered_in_one_line(
    site: str, client: redis.Redis, path: str, status: int, reason: str
) -> None:
    begin(client, "l")
    answer = get(f"{site}/api/lectures/{path}")
    assert answer.status_code == status
    assert reason in answer.json()["error"]


def test_a_server_of_one_lecture_shows_no_other(redis_url: str, client: redis.Redis) -> None:
    write(client, "mine", [["p01"]])
    write(client, "other", [["p01"]])
    with serving(redis_url, "mine") as address:
        home = httpx.get(address, follow_redirects=False, timeout=60)
        assert home.headers["location"] == "/lectures/mine"
        assert [each["id"] for each in get(f"{address}api/lectures").json()["lectures"]] == ["mine"]
        other = ("lectures/other", "api/lectures/other", "api/lectures/other/class/events", "lectures/other/stream")
        for path in other:
            assert get(address + path).status_code == 404


def test_foreign_hashes_and_entries_do_no_harm(site: str, client: redis.Redis) -> None:
    client.hset("lecture:{odd}", mapping={"status": "running", "fps": "0"})
    client.hset("lecture:{worse}", "x", "y")
    keys = begin(client, "l")
    client.xadd(keys.class_, {"event": b"no json"})
    client.xadd(keys.class_, {"other": b"field"})
    commit(client, "l", frame_events("l", 0, ["p01"]))
    client.hset(keys.participants, mapping={"no/id": "{}", "p07": "no span"})
    assert len(get(f"{site}/api/lectures/l/class/events").json()["events"]) == 1
    assert get(f"{site}/api/lectures/worse").status_code == 404
    assert get(f"{site}/api/lectures").status_code == 200
    client.hset(keys.info, "status", "done")
    for path in ("/lectures/l", "/lectures/l/export.csv"):
        assert get(f"{site}{path}").status_code == 409
        assert "lecture 'l' cannot be read" in get(f"{site}{path}").json()["error"]


def test_serve_where_it_cannot_listen_prints_one_line_and_exits_with_2(site: str, redis_url: str) -> None:
    for words, reason in (
        (["--host", "203.0.113.7", "--port", 0], "cannot listen on 203.0.113.7 port 0"),
        (["--port", urlsplit(site).port], "in use"),
    ):
        code, out, err = called("serve", *words, "--redis", redis_url)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert reason in err
