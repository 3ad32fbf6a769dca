"""`producer ingest` of several recordings as one lecture."""

import signal
from pathlib import Path

import redis

from tests.processes import eventually, json_lines, ran, started
from tests.producer.committing import committing
from tests.producer.feeding.films import as_matroska, cut
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys


def test_several_recordings_are_one_lecture_with_the_given_names(
    client: redis.Redis, redis_url: str, video: Path
) -> None:
    with committing(redis_url):
        code, out, err = ran("ingest", f"ada={video}", f"grace={video}", "--redis", redis_url, "--lecture", "l")
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert [row[:4] for row in rows[1:3]] == [
        ["ada", "0:00:00", "0:00:29", "60"],
        ["grace", "0:00:00", "0:00:29", "60"],
    ]
    assert "60 frames sampled: 60 published" in out
    assert "60/60 frames" in err
    assert client.hget("lecture:{l}", "source") == f"ada={video.name}, grace={video.name}".encode()
    table = {key: int(client.hget("lecture:{l}", key) or 0) for key in ("sampled", "published", "failed", "width")}
    assert table == {"sampled": 60, "published": 60, "failed": 0, "width": 320}


def test_a_truncated_recording_among_several_is_named_and_the_others_are_finished(
    redis_url: str, video: Path, tmp_path: Path
) -> None:
    broken = cut(as_matroska(video, tmp_path / "broken.mkv"))
    with committing(redis_url):
        code, out, err = ran("ingest", f"ada={broken}", f"grace={video}", "--redis", redis_url, "--json")
    printed = json_lines(out)
    frames = {who: [e["frame"] for e in printed if e.get("participant") == who] for who in ("ada", "grace")}
    assert code == 1
    assert (printed[-1]["status"], printed[-1]["ledger"]["published"]) == ("failed", 60)
    assert printed[-1]["reason"].startswith("ada=broken.mkv: the file ends at 0:00:1")
    assert frames["grace"] == list(range(60))
    assert 10 < len(frames["ada"]) < 50
    assert frames["ada"] == list(range(len(frames["ada"])))
    assert err == f"producer: 2 recordings: {printed[-1]['reason']}; the rest is in lecture {printed[-1]['lecture']}\n"


def test_if_one_of_several_recordings_cannot_be_opened_nothing_is_created(
    client: redis.Redis, redis_url: str, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    code, out, err = ran("ingest", f"ada={video}", f"grace={tmp_path / 'text.mp4'}", "--redis", redis_url)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "text.mp4: is not a readable video" in err
    assert client.dbsize() == 0


def test_ctrl_c_stops_several_recordings_at_the_same_frame(redis_url: str, video: Path) -> None:
    words = ["ingest", f"ada={video}", f"grace={video}", "--redis", redis_url, "--lecture", "l", "--json"]
    with connect(redis_url) as client, started(*words, "--max-bytes", 1) as process:
        eventually(lambda: client.hlen(LectureKeys("l").in_flight))
        process.send_signal(signal.SIGINT)
        eventually(lambda: client.hlen(LectureKeys("l").in_flight) == 2)
        with committing(redis_url):
            out, err = process.communicate(timeout=60)
    printed = json_lines(out)
    assert process.returncode == 130
    assert "stopped at 0:00:03 after 8 frames" in err
    assert printed[-1]["ledger"]["published"] == 8
    for who in ("ada", "grace"):
        assert [e["frame"] for e in printed if e.get("participant") == who] == list(range(8))
