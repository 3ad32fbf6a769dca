"""Live lectures with real processes: streams that are cut or stall, and systems that are overloaded."""

import signal
from pathlib import Path

import pytest
import redis

from tests.lectures import ledger_of
from tests.processes import eventually, json_lines, started
from tests.producer.committing import committing
from tests.streams import Publisher, free_port, rtsp_server, served_stream
from worker.contract.keys import LectureKeys
from worker.contract.messages import Ledger

KEYS = LectureKeys("l")


def published(client: redis.Redis) -> int:
    return int(client.hget(KEYS.info, "published") or 0)


def test_a_lost_live_lecture_is_published_up_to_the_loss_and_exit_code_1(client: redis.Redis, redis_url: str) -> None:
    port = free_port()
    with Publisher(f"udp://127.0.0.1:{port}?pkt_size=1316", "mpegts") as publisher, committing(redis_url):
        words = [f"udp://127.0.0.1:{port}", "--redis", redis_url, "--lecture", "l", "--give-up", 1.5, "--json"]
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
    assert printed[-1]["reason"].startswith("given up after 1.5 s without a picture: no picture for ")
    assert err.splitlines()[-1] == (
        f"producer: udp://127.0.0.1:{port}: {printed[-1]['reason']}; the rest is in lecture l"
    )


def test_a_lost_connection_is_reported_once_and_counted(client: redis.Redis, redis_url: str) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    with committing(redis_url), Publisher(url + "?listen=1", "mpegts") as publisher:
        eventually(lambda: _listens(url))
        with started("ingest", url, "--redis", redis_url, "--lecture", "l", "--give-up", 30) as process:
            eventually(lambda: published(client) >= 2)
            publisher.cut()
            before = published(client)
            with Publisher(url + "?listen=1", "mpegts"):
                eventually(lambda: published(client) >= before + 6)
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.count("connection lost: ") == 1
    assert "frames, 0 dropped, reconnects: 1" in err
    assert "happiness 100%" in out
    assert client.hget(KEYS.info, "source") == url.encode()


def _listens(url: str) -> bool:
    """Whether somebody listens there, without connecting: the publisher accepts only one connection."""
    port = int(url.rpartition(":")[2])
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


@pytest.mark.parametrize("moment", ["flowing", "stalled", "gone"])
def test_ctrl_c_ends_a_live_lecture_properly(client: redis.Redis, redis_url: str, moment: str) -> None:
    url = f"tcp://127.0.0.1:{free_port()}"
    with committing(redis_url), Publisher(url + "?listen=1", "mpegts") as publisher:
        eventually(lambda: _listens(url))
        with started("ingest", url, "--redis", redis_url, "--lecture", "l", "--json") as process:
            eventually(lambda: published(client) >= 2)
            if moment == "stalled":
                publisher.stall()
            elif moment == "gone":
                publisher.cut()
                assert process.stderr is not None
                assert "connection lost: " in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            publisher.resume() if moment == "stalled" else None
    end = json_lines(out)[-1]
    assert process.returncode == 130
    assert end["status"] == "stopped"
    assert end["ledger"]["sampled"] == end["ledger"]["published"] > 0
    assert err.splitlines()[-1].startswith("producer: stopped at 0:00:0")


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
    words = ["--redis", redis_url, "--json"]
    with rtsp_server() as url, committing(redis_url), started("ingest", f"{url}?key=SECRET", *words) as process:
        eventually(lambda: list(client.scan_iter("*:class")))
        lectures = {key.decode() for key in client.scan_iter("lecture:{*}", _type="HASH")}
        kept = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))
        children = _children(process.pid)
        assert children
        seen = b"".join(Path(f"/proc/{child}/cmdline").read_bytes() for child in children)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    port = url.split(":")[3].partition("/")[0]
    assert lectures == {f"lecture:{{127-0-0-1-{port}-camera}}"}
    assert b"SECRET" not in kept + seen
    assert "SECRET" not in out + err
    assert process.returncode == 130


def _parent(status: Path) -> int:
    try:
        return int(status.read_text().partition("PPid:")[2].split()[0])
    except (OSError, IndexError):
        return 0


def test_ctrl_c_ends_the_wait_for_a_sender(redis_url: str) -> None:
    with started("ingest", f"udp://127.0.0.1:{free_port()}", "--redis", redis_url) as process:
        eventually(lambda: _children(process.pid))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert not _children(process.pid)


def _children(pid: int) -> list[int]:
    return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/status") if _parent(path) == pid]
