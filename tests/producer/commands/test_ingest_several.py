"""`producer ingest` of several recordings as one lecture."""

from pathlib import Path

import redis

from tests.processes import called, json_lines, ran
from tests.producer.committing import committing
from tests.producer.feeding.films import as_matroska, cut


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
    reason, lecture = printed[-1]["reason"], printed[-1]["lecture"]
    assert err == f"producer: 2 recordings: {reason}; everything else is in lecture {lecture}\n"


def test_if_one_of_several_recordings_cannot_be_opened_nothing_is_created(
    client: redis.Redis, redis_url: str, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    code, out, err = called("ingest", f"ada={video}", f"grace={tmp_path / 'text.mp4'}", "--redis", redis_url)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "text.mp4: is not a readable video" in err
    assert client.dbsize() == 0
