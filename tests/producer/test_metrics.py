"""The metrics of a real `producer ingest`, while it feeds."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.processes import called, eventually, started
from tests.producer.committing import committing
from tests.producer.feeding.films import film
from tests.scraping import check_with_promtool, listening_hosts, scrape, serves
from tests.streams import Publisher, free_port
from worker.contract.keys import RUNNING


@contextmanager
def ingesting(*words: object) -> Iterator[subprocess.Popen[str]]:
    """`producer ingest`, killed at the end."""
    with started("ingest", *words) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_recording_is_counted_as_it_is_fed(client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    path, port = film(tmp_path / "film.mp4"), free_port()
    with ingesting(path, "--redis", redis_url, "--lecture", "l", "--json", "--metrics-port", port) as process:
        eventually(lambda: serves(port))
        eventually(lambda: client.hget("lecture:{l}", "sampled") not in (None, b"0"))
        eventually(lambda: (scrape(port).value("push_seconds_count") or 0) >= 2)  # and the ending
        found = scrape(port)
        sampled = int(client.hget("lecture:{l}", "sampled") or 0)
        assert found.value("frames_sampled_total") == sampled > 0
        assert found.value("frames_dropped_total", reason="overload") == 0
        assert found.value("in_flight_bytes") == found.value("fed_bytes_total") > 1000  # type: ignore[operator]
        assert found.value("source_connected") == 1
        assert found.value("feed_waiting_seconds_total") == 0
        check_with_promtool(found.text)
        assert client.smembers(RUNNING) == {b"l"}
        with committing(redis_url):
            assert process.wait(60) == 0
    assert client.smembers(RUNNING) == set()


def test_waiting_for_room_is_counted(redis_url: str, tmp_path: Path) -> None:
    path, port = film(tmp_path / "film.mp4", pictures=100, fps=4), free_port()
    with ingesting(path, "--redis", redis_url, "--max-bytes", 1, "--metrics-port", port):
        eventually(lambda: serves(port))
        eventually(lambda: (scrape(port).value("feed_waiting_seconds_total") or 0) > 0.1)


def test_a_live_source_that_goes_and_comes_and_outruns_the_workers_is_counted(redis_url: str) -> None:
    port, metrics = free_port(), free_port()
    url = f"tcp://127.0.0.1:{port}?listen=1"
    options = ["--redis", redis_url, "--max-bytes", 1, "--give-up", 60, "--metrics-port", metrics]
    with Publisher(url, "mpegts") as publisher:
        eventually(lambda: listening_hosts(port))
        with ingesting(f"tcp://127.0.0.1:{port}", *options):
            eventually(lambda: serves(metrics))
            eventually(lambda: (scrape(metrics).value("frames_dropped_total", reason="overload") or 0) > 0)
            assert scrape(metrics).value("source_connected") == 1
            publisher.cut()
            eventually(lambda: scrape(metrics).value("source_connected") == 0)
            with Publisher(url, "mpegts"):
                eventually(lambda: scrape(metrics).value("source_reconnects_total") == 1)
                eventually(lambda: scrape(metrics).value("source_connected") == 1)


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(redis_url: str, tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = called("ingest", path, "--redis", redis_url, "--metrics-port", port)
    assert refused == (
        2,
        "",
        f"producer: cannot serve metrics at 127.0.0.1:{port}: Address already in use; "
        "choose another --metrics-port or --metrics-host\n",
    )
