"""Server-sent events for pages and programs, of lectures and a Redis that stop, go away and come back.

The server keeps following a lecture for a minute after its last page is closed. So the lecture of each page here has an
id of its own.
"""

import json
import os
import signal
import socket
import threading
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import httpx
import redis

from producer.embedded.server import private_redis
from producer.reading.lectures import forget
from producer.serving.connections import SHARE
from producer.serving.stream import MAX_STREAMS
from tests.conftest import running_redis
from tests.processes import eventually
from tests.producer.reading.writing import begin, class_, commit, emotion, end, frame_events, write
from tests.producer.serving.server import Page, listening, serving
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys
from worker.contract.messages import encode


def frames(client: redis.Redis, lecture: str, numbers: range, present: tuple[str, ...] = ("p01", "p02")) -> None:
    for frame in numbers:
        commit(client, lecture, frame_events(lecture, frame, present))


def test_a_page_follows_a_lecture_from_before_its_start_to_its_end(site: str, client: redis.Redis) -> None:
    with listening(f"{site}/lectures/followed/stream") as stream:
        page = Page().until(stream, phase="waiting")
        assert page.bins == {}
        begin(client, "followed")
        frames(client, "followed", range(4))
        page.until(stream, phase="running", read=4)
        assert [row[:3] for row in page.bins.values()] == [[0, 2, 2.0], [1, 2, 2.0]]
        frames(client, "followed", range(4, 5))
        page.until(stream, read=5)
        assert page.bins[2][:3] == [2, 1, 2.0]
        assert [(each["id"], each["last"]) for each in page.rest["participants"]] == [("p01", 2.0), ("p02", 2.0)]
        end(client, "followed")
        assert page.until(stream, phase="over").rest["standing"]["status"] == "done"


def test_a_page_shows_what_redis_lost_of_a_lecture(site: str, client: redis.Redis) -> None:
    keys = begin(client, "lost")
    frames(client, "lost", range(6))
    client.hset(keys.participants, "no/id", "no span of ours")
    client.delete(keys.participant("p01"))
    client.xtrim(keys.participant("p02"), 4, approximate=False)
    client.xtrim(keys.class_, 5, approximate=False)
    with listening(f"{site}/lectures/lost/stream") as stream:
        page = Page().until(stream, read=5)
        missing = {each["id"]: (each["frames"], each["missing"]) for each in page.rest["participants"]}
        assert missing == {"p01": (0, "all 6 events lost"), "p02": (4, "2 of 6 events lost")}
        assert page.rest["standing"]["missing"] == (
            "events are missing, because streams in Redis were evicted, deleted or expired: the class (1 of 6 events "
            "lost), p01 (all 6 events lost), p02 (2 of 6 events lost)"
        )
    address = f"{site}/api/lectures/lost/participants/p01/events"
    assert httpx.get(address, timeout=60).json() == {
        "error": "the events of participant 'p01' of lecture 'lost' are lost"
    }


def test_a_page_that_reconnects_gets_only_what_it_missed(site: str, client: redis.Redis) -> None:
    begin(client, "reconnected")
    frames(client, "reconnected", range(20))
    address = f"{site}/lectures/reconnected/stream"
    with listening(address) as stream:
        known = Page().until(stream, read=20).edition or ""
    frames(client, "reconnected", range(20, 22))
    for headers, query in (({"Last-Event-ID": known}, ""), ({}, f"?since={known}")):
        with listening(address + query, headers) as stream:
            missed = Page().until(stream, read=22)
        assert list(missed.bins) == [10]


def test_a_resumed_lecture_is_followed_again(site: str, client: redis.Redis) -> None:
    write(client, "resumed", [["p01"]] * 4)
    keys = LectureKeys("resumed")
    with listening(f"{site}/lectures/resumed/stream") as stream:
        page = Page().until(stream, phase="over", read=4)
        for key in (keys.class_, keys.participant("p01")):
            last: Any = client.xrevrange(key, count=1)
            client.xdel(key, last[0][0])
        client.hset(keys.info, "status", "running")
        frames(client, "resumed", range(4, 6), ("p01",))
        assert page.until(stream, phase="running", read=6).bins[2][:2] == [2, 2]


def test_a_lecture_that_is_forgotten_and_begun_again_starts_empty(site: str, client: redis.Redis) -> None:
    write(client, "forgotten", [["p01"]] * 4)
    with listening(f"{site}/lectures/forgotten/stream") as stream:
        page = Page().until(stream, phase="over", read=4)
        forget(client, "forgotten")
        page.until(stream, phase="forgotten")
        assert (page.bins, page.people, page.rest["now"]) == ({}, {}, None)
        begin(client, "forgotten", started=3000.0)
        frames(client, "forgotten", range(2), ("p07",))
        page.until(stream, read=2)
        assert (list(page.people), list(page.bins)) == (["p07"], [0])


def test_a_lecture_of_the_class_only_shows_no_participant(site: str, client: redis.Redis) -> None:
    begin(client, "class")
    commit(client, "class", [class_("class", frame, 12) for frame in range(4)])
    with listening(f"{site}/lectures/class/stream") as stream:
        page = Page().until(stream, read=4)
    assert page.people == {}
    assert page.rest["now"]["faces"] == 12


def test_many_events_at_once_are_all_counted(site: str, client: redis.Redis) -> None:
    people = [f"p{n:02}" for n in range(1, 50)]
    begin(client, "many")
    for first in range(0, 120, 20):
        some = [frame_events("many", frame, people) for frame in range(first, first + 20)]
        commit(client, "many", [event for frame in some for event in frame])
    with listening(f"{site}/lectures/many/stream") as stream:
        page = Page().until(stream, caught_up=True, read=120)
    assert {each["frames"] for each in page.rest["participants"]} == {120}
    assert [row[:3] for row in page.bins.values()] == [[n, 2, 49.0] for n in range(60)]


def test_redis_may_go_and_come_back() -> None:
    with running_redis() as (url, server), connect(url) as client, serving(url) as address:
        begin(client, "l")
        frames(client, "l", range(2))
        with listening(f"{address}lectures/l/stream") as stream:
            page = Page().until(stream, read=2, connected=True)
            os.kill(server.pid, signal.SIGSTOP)
            assert page.until(stream, connected=False).rest["standing"]["read"] == 2
            assert httpx.get(f"{address}api/lectures", timeout=60).status_code == 503
            os.kill(server.pid, signal.SIGCONT)
            frames(client, "l", range(2, 4))
            assert page.until(stream, connected=True, read=4).bins[1][:3] == [1, 2, 2.0]


def test_serve_and_ingest_share_the_private_redis() -> None:
    with (
        serving(None, "l") as address,
        private_redis() as url,
        connect(url) as client,
        listening(f"{address}lectures/l/stream") as stream,
    ):
        page = Page().until(stream, phase="waiting")
        begin(client, "l")
        frames(client, "l", range(2))
        assert page.until(stream, read=2).bins[0][:3] == [0, 2, 2.0]


def test_after_redis_came_back_with_an_older_state_everything_is_read_again(site: str, client: redis.Redis) -> None:
    keys = begin(client, "older")
    frames(client, "older", range(8))
    with listening(f"{site}/lectures/older/stream") as stream:
        page = Page().until(stream, read=8)
        for participant in (b"p01", b"p02"):
            client.xtrim(keys.participant(participant.decode()), maxlen=0)
        client.delete(keys.class_)
        client.hset(keys.info, "published", 0)
        frames(client, "older", range(2))
        assert list(page.until(stream, read=2).bins) == [0]


def test_a_channel_is_streamed_event_by_event_and_resumed_exactly(site: str, client: redis.Redis) -> None:
    begin(client, "l")
    frames(client, "l", range(6), ("p01",))
    address = f"{site}/api/lectures/l/participants/p01/events"
    with listening(address) as stream:
        first = [next(stream) for _ in range(4)]
    frames(client, "l", range(6, 8), ("p01",))
    with listening(address, {"Last-Event-ID": first[-1].id}) as stream:
        second = [next(stream) for _ in range(4)]
        end(client, "l")
        last = list(stream)
    assert [each.data["frame"] for each in first + second] == list(range(8))
    assert first[0].data == json.loads(encode(emotion("l", "p01", 0)))
    assert [each.data["type"] for each in last] == ["end"]
    over = httpx.get(address, headers={"Accept": "text/event-stream", "Last-Event-ID": last[-1].id}, timeout=60)
    assert over.status_code == 204, "a browser comes again after anything else"


def test_the_number_of_streams_is_limited_and_closed_ones_free_their_place(site: str, client: redis.Redis) -> None:
    begin(client, "limited")
    with ExitStack() as all_of_them:
        for _ in range(int(SHARE * MAX_STREAMS)):
            all_of_them.enter_context(listening(f"{site}/lectures/limited/stream"))
        refused = httpx.get(f"{site}/lectures/limited/stream", timeout=60)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert httpx.get(f"{site}/lectures/limited", timeout=60).status_code == 200, "all else is served"
        elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
        with (
            httpx.Client(transport=elsewhere, timeout=60) as other,
            other.stream("GET", f"{site}/lectures/limited/stream") as answer,
        ):
            assert answer.status_code == 200, "another address has its places"

    def served() -> bool:
        with httpx.stream("GET", f"{site}/lectures/limited/stream", timeout=60) as answer:
            return answer.status_code == 200

    eventually(served)


def test_a_client_that_does_not_read_delays_nobody_and_still_gets_the_newest_state(
    site: str, client: redis.Redis
) -> None:
    people = tuple(f"p{n:02}" for n in range(1, 50))
    begin(client, "unread")
    parts = urlsplit(site)
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=60) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /lectures/unread/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with listening(f"{site}/lectures/unread/stream") as stream:
            page = Page()
            for frame in range(8):
                frames(client, "unread", range(frame, frame + 1), people)
                page.until(stream, read=frame + 1)
        received = b""
        while b'"read":8' not in received:
            some = slow.recv(1 << 16)
            assert some
            received += some


def test_the_server_stops_at_once_while_a_stream_is_open(redis_url: str, client: redis.Redis) -> None:
    begin(client, "l")
    begun, ended = threading.Event(), threading.Event()

    def listen(address: str) -> None:
        with listening(f"{address}lectures/l/stream") as stream:
            begun.set()
            for _ in stream:
                pass
        ended.set()

    with serving(redis_url) as address:
        threading.Thread(target=listen, args=(address,)).start()
        assert begun.wait(60)
    assert ended.wait(60), "the stream came to its end, and not to a reset"


def test_the_stream_of_a_channel_ends_if_the_lecture_is_forgotten_or_its_end_is_lost(
    site: str, client: redis.Redis
) -> None:
    address = f"{site}/api/lectures/l/class/events"
    for stop in (lambda keys: forget(client, "l"), lambda keys: client.hset(keys.info, "status", "done")):
        keys = begin(client, "l")
        frames(client, "l", range(3), ("p01",))
        with listening(address) as stream:
            read = [next(stream) for _ in range(3)]
            stop(keys)
            assert list(stream) == []
    over = httpx.get(address, headers={"Accept": "text/event-stream", "Last-Event-ID": read[-1].id}, timeout=60)
    assert over.status_code == 204
