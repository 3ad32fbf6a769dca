"""Live lectures with real processes: streams that are cut or stall, and systems that are overloaded."""

import signal
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import redis

from tests.lectures import ledger_of
from tests.processes import called, children, eventually, json_lines, ran, runs, started
from tests.producer.committing import committing
from tests.producer.feeding.films import film
from tests.scraping import listening_hosts, scrape
from tests.streams import Publisher, free_port, rtsp_server, served_stream
from worker.contract.keys import LectureKeys
from worker.contract.messages import Ledger

KEYS = LectureKeys("l")


GIVE_UP_S = 10
"""Longer than a publisher on a busy machine pauses. A shorter time would end the lecture before the test cuts it."""


def published(client: redis.Redis) -> int:
    return int(client.hget(KEYS.info, "published") or 0)


def test_a_lost_live_lecture_is_published_up_to_the_loss_and_exit_code_1(client: redis.Redis, redis_url: str) -> None:
    port = free_port()
    with Publisher(f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts") as publisher, committing(redis_url):
        words = [f"udp://127.0.0.1:{port}", "--redis", redis_url, "--lecture", "l", "--give-up", GIVE_UP_S, "--json"]
        with started("ingest", *words) as process:
            eventually(lambda: published(client) >= 4)
            publisher.cut()
            out, err = process.communicate(timeout=60)
    printed = json_lines(out)
    frames = [event for event in printed if event["type"] == "class"]
    assert process.returncode == 1
    assert [event["frame"] for event in frames] == list(range(len(frames)))
    assert [event["t"] for event in frames] == sorted(event["t"] for event in frames)
    assert (printed[-1]["status"], printed[-1]["ledger"]["published"]) == ("failed", len(frames))
    assert printed[-1]["reason"].startswith(f"given up after {GIVE_UP_S} s without a picture: no picture for ")
    assert err.splitlines()[-1] == (
        f"producer: udp://127.0.0.1:{port}: {printed[-1]['reason']}; everything else is in lecture l"
    )


def test_a_lost_connection_is_reported_once_and_counted(client: redis.Redis, redis_url: str) -> None:
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    metrics = free_port()
    words = [url, "--redis", redis_url, "--lecture", "l", "--metrics-port", metrics]
    with committing(redis_url), Publisher(url + "?listen=1", "mpegts") as publisher:
        eventually(lambda: listening_hosts(port))
        with started("ingest", *words) as process:
            eventually(lambda: published(client) >= 2)
            publisher.cut()
            with Publisher(url + "?listen=1", "mpegts"):
                eventually(lambda: scrape(metrics).value("source_reconnects_total") == 1)
                before = published(client)
                eventually(lambda: published(client) > before)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("connection lost: ") == 1
    assert "frames, 0 dropped, reconnects: 1\n" in err, "the line ends, also where there is no terminal"
    assert "happiness 100%" in out
    assert client.hget(KEYS.info, "source") == url.encode()


@pytest.mark.parametrize("moment", ["stalled", "gone"])
def test_ctrl_c_ends_a_live_lecture_properly(client: redis.Redis, redis_url: str, moment: str) -> None:
    port = free_port()
    url = f"tcp://127.0.0.1:{port}"
    with committing(redis_url), Publisher(url + "?listen=1", "mpegts") as publisher:
        eventually(lambda: listening_hosts(port))
        with started("ingest", url, "--redis", redis_url, "--lecture", "l", "--json") as process:
            eventually(lambda: published(client) >= 2)
            if moment == "stalled":
                publisher.stall()
            else:
                publisher.cut()
                assert process.stderr is not None
                assert "connection lost: " in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            publisher.resume() if moment == "stalled" else None
    assert process.returncode == 130
    check_stopped(out, err)


def check_stopped(out: str, err: str) -> None:
    """Check that all frames of the lecture were published until it was stopped."""
    end = json_lines(out)[-1]
    assert end["status"] == "stopped"
    assert end["ledger"]["sampled"] == end["ledger"]["published"] > 0
    assert err.splitlines()[-1].startswith("producer: stopped at 0:00:")


def test_an_overloaded_system_drops_whole_chunks_and_its_ledger_balances(client: redis.Redis, redis_url: str) -> None:
    with served_stream("mpegts") as url:
        words = [url, "--redis", redis_url, "--lecture", "l", "--fps", 10, "--max-bytes", 20_000, "--json"]
        with started("ingest", *words) as process:
            eventually(lambda: _balanced(client).dropped >= 20)  # no worker
            with committing(redis_url):
                eventually(lambda: _balanced(client).published >= 20)  # now there is one
                process.send_signal(signal.SIGINT)
                out, _ = process.communicate(timeout=60)
    printed = json_lines(out)
    frames = [event["frame"] for event in printed if event["type"] == "class"]
    final = printed[-1]["ledger"]
    assert frames == sorted(set(frames))
    assert final["sampled"] == final["published"] + final["dropped"] > frames[-1]
    assert final["published"] == len(frames)
    assert final["reasons"] == {"dropped:overload": final["dropped"]}


def _balanced(client: redis.Redis) -> Ledger:
    found = ledger_of(client, KEYS)
    assert found.balances, found
    return found


def test_a_password_of_a_source_appears_nowhere(client: redis.Redis, redis_url: str) -> None:
    metrics = free_port()
    words = ["--redis", redis_url, "--json", "--metrics-port", metrics]
    with rtsp_server() as url, committing(redis_url), started("ingest", f"{url}?key=SECRET", *words) as process:
        eventually(lambda: list(client.scan_iter("*:class")))
        lectures = {key.decode() for key in client.scan_iter("lecture:{*}", _type="HASH")}
        kept = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))
        decoders = children(process.pid)
        assert decoders
        for child in decoders:
            kept += Path(f"/proc/{child}/cmdline").read_bytes() + Path(f"/proc/{child}/environ").read_bytes()
        counted = scrape(metrics).text
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    port = url.split(":")[3].partition("/")[0]
    assert lectures == {f"lecture:{{127-0-0-1-{port}-camera}}"}
    assert b"SECRET" not in kept
    assert "SECRET" not in counted + out + err
    assert process.returncode == 130
    check_stopped(out, err)


def test_ctrl_c_ends_the_wait_for_a_sender(redis_url: str) -> None:
    with started("ingest", f"udp://127.0.0.1:{free_port()}", "--redis", redis_url) as process:
        eventually(lambda: children(process.pid))
        decoders = children(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    eventually(lambda: not any(map(runs, decoders)))


# The end of a live lecture that nobody has to stop.


@pytest.mark.parametrize("end", ["--duration", "--until"])
def test_a_live_lecture_ends_as_done_after_a_time_or_at_a_time(client: redis.Redis, redis_url: str, end: str) -> None:
    with committing(redis_url), served_stream("mpegts") as url:
        # Some seconds for the start of the program on a busy machine; with fewer, the lecture has fewer frames.
        when = "2" if end == "--duration" else (datetime.now().astimezone() + timedelta(seconds=20)).isoformat()
        code, out, err = ran("ingest", url, "--redis", redis_url, "--lecture", "l", "--json", end, when)
    assert (code, err) == (0, "")
    last = json_lines(out)[-1]
    assert (last["status"], last.get("reason")) == ("done", None)
    assert last["ledger"]["published"] == last["ledger"]["sampled"] > 0


def test_a_push_whose_end_is_normal_is_done_with_exit_code_0(client: redis.Redis, redis_url: str) -> None:
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/s3cretKEY"
    words = [f"{url}?listen=1", "--redis", redis_url, "--lecture", "l", "--log-format", "json"]
    words += ["--give-up", str(2 * GIVE_UP_S)]  # in this time the sender has to start
    metrics = free_port()
    with committing(redis_url), started("ingest", *words, "--end-is-done", "--metrics-port", metrics) as process:
        eventually(lambda: listening_hosts(port))
        with Publisher(url, "flv"):
            eventually(lambda: published(client) >= 2)
        eventually(lambda: listening_hosts(port))
        assert scrape(metrics).value("source_connected") == 1, "no alert"
        _, err = process.communicate(timeout=90)
    assert process.returncode == 0
    assert client.hget(KEYS.info, "status") == b"done"
    said = json_lines(err)
    assert [each["event"].partition(": ")[2].partition(",")[0] for each in said] == [
        "waiting for a sender",
        "connection lost: the stream ended; trying again",
    ]
    assert [(each["level"], each["program"]) for each in said] == [("info", "producer"), ("warning", "producer")]
    assert "s3cretKEY" not in err + str(client.hgetall(KEYS.info))


def test_a_redis_that_cannot_be_used_is_named_before_the_wait_for_a_push() -> None:
    url = f"rtmp://127.0.0.1:{free_port()}/live/KEY?listen=1"
    code, out, err = called("ingest", url, "--redis", f"redis://127.0.0.1:{free_port()}")
    assert (code, out) == (2, "")
    assert err.startswith("producer: ")
    assert "waiting for a sender" not in err


@pytest.mark.parametrize("words", [["--duration", "90"], ["--until", "23:59"], ["--end-is-done"]])
def test_a_recording_has_no_other_end(tmp_path: Path, words: list[str]) -> None:
    path = film(tmp_path / "a.mp4")
    line = f"producer: {path}: is a recording; {words[0]} is for live sources; leave it out, or use --to\n"
    assert ran("ingest", path, *words) == (2, "", line)
    code, _, err = ran("ingest", path, "--lecture", "l", "--resume", *words)
    assert code == 2
    assert f"a live source cannot be resumed; leave out {words[0]}" in err


@pytest.mark.parametrize(("level", "lines"), [("info", 2), ("error", 1)])
def test_less_important_lines_can_be_left_out(redis_url: str, level: str, lines: int) -> None:
    url = f"rtmp://127.0.0.1:{free_port()}/live/k?listen=1"
    code, out, err = ran("ingest", url, "--redis", redis_url, "--give-up", "0.5", "--log-level", level)
    assert (code, out, len(err.splitlines())) == (2, "", lines)
    assert "no picture within 0.5 s" in err.splitlines()[-1]
