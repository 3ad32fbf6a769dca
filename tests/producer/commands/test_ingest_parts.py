"""`producer ingest` of a part of what there is: --from, --to, --ignore, and groups that stay hidden."""

from pathlib import Path

import msgspec
import pytest
import redis

from tests.faults.commands import finished, producing
from tests.gallery import render_gallery
from tests.processes import called, eventually, json_lines, ran, worker_pids, workers
from tests.producer.committing import committing, work_on
from worker.contract.keys import LectureKeys
from worker.contract.messages import LectureChoices

KEYS = LectureKeys("l")


def test_a_part_of_a_recording_keeps_its_times_and_is_resumed_with_the_same(
    client: redis.Redis, redis_url: str, video: Path, tmp_path: Path
) -> None:
    part = ["--from", "0:00:10", "--to", "25.5", "--ignore", "0,0,40,30", "--ignore", "200, 10, 20, 20"]
    words = ["ingest", video, "--lecture", "l", "--redis", redis_url]
    with producing(*words, *part, "--class-only", "--max-bytes", 1, "--json") as ingest:
        eventually(lambda: client.hlen(KEYS.in_flight))
        ingest.kill()
    stored = msgspec.json.decode(client.get(KEYS.state) or b"", type=LectureChoices)
    assert (stored.begin, stored.end, stored.min_group) == (10.0, 25.5, 5)
    assert stored.ignored == ((0, 0, 40, 30), (200, 10, 20, 20))
    work_on(client, KEYS)
    client.delete(KEYS.feeder)
    for other, said in (
        (["--from", "11"], "--from was 10 s at its start and is 11 s now"),
        (["--to", "20"], "--to was 25.5 s at its start and is 20 s now"),
        (["--ignore", "1,2,3,4"], "--ignore was 0,0,40,30 and 200,10,20,20 at its start and is 1,2,3,4 now"),
        (["--min-group", "2"], "--min-group was 5 at its start and is 2 now"),
    ):
        code, _, err = called(*words, "--resume", *other)
        assert (code, err) == (2, f"producer: lecture l cannot be resumed: {said}\n")
    with committing(redis_url), producing(*words, "--resume", "--json") as ingest:
        assert finished(ingest)[0] == 0
    times = [json_event["t"] for json_event in class_events(redis_url)]
    assert times == [10 + n / 2 for n in range(31)]
    report = tmp_path / "r.html"
    assert called("report", "l", "-o", report, "--redis", redis_url)[0] == 0
    text = " ".join(report.read_text().split())
    for said in (
        "<dt>read</dt><dd>from 0:00:10 to 0:00:25</dd>",
        "<dt>ignored</dt><dd>0,0,40,30 and 200,10,20,20</dd>",
        "<dt>hidden</dt><dd>groups of fewer than 5 people</dd>",
    ):
        assert said in text


def class_events(redis_url: str) -> list[dict[str, object]]:
    code, out, _ = called("export", "l", "-o", "-", "--format", "jsonl", "--rows", "class", "--redis", redis_url)
    assert code == 0
    return [event for event in json_lines(out) if event["type"] == "class"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "1:75"], "'1:75' is not a time: write seconds like 90 or 7.5, or H:MM:SS"),
        (["--to", "-3"], "'-3' is not a time: write seconds like 90 or 7.5, or H:MM:SS"),
        (["--from", "99:00:00"], "'99:00:00' is later than 86400 s, the limit of a recording"),
        (["--from", "10", "--to", "0:05"], "5 s is not later than --from, 10 s"),
        (["--from", "40"], "has pictures from 0:00:00 to 0:00:30, and none from 0:00:40; give other times"),
        (["--ignore", "1,2,3"], "'1,2,3' is not x,y,width,height in whole pixels of the recording"),
        (["--ignore", "1,2,0,3"], "'1,2,0,3' is not x,y,width,height in whole pixels of the recording"),
        (["--ignore", "320,0,10,10"], "320,0,10,10 is outside of the picture of 320x240 pixels"),
        (["--min-group", "0", "--class-only"], "'0' is not a whole number of 1 or more"),
        (["--min-group", "1001", "--class-only"], "'1001' is not a number of people from 1 to 1000"),
        (["--min-group", "5"], "a group of fewer than 5 cannot be hidden while single people are published"),
    ],
)
def test_a_bad_value_is_one_line_and_nothing_is_created(
    client: redis.Redis, redis_url: str, video: Path, words: list[str], said: str
) -> None:
    code, out, err = called("ingest", video, "--redis", redis_url, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert client.keys("lecture:*") == []


def test_faces_in_ignored_regions_do_not_count_and_few_people_stay_hidden(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """Real faces and models. Of nine tiles, those of the upper row are ignored; six people are a group of five."""
    tiles = render_gallery(tmp_path / "nine.mp4", 9, 6)
    middle = (tiles[0].y + tiles[0].height + tiles[3].y) // 2
    words = ["--redis", redis_url, "--json", "--class-only", "--ignore", f"0,0,1280,{middle}"]
    with workers(redis_url, 1):
        eventually(lambda: worker_pids(client))
        code, out, err = ran("ingest", tmp_path / "nine.mp4", "--lecture", "l", *words)
        assert (code, err) == (0, "")
        code, few, _ = ran("ingest", tmp_path / "nine.mp4", "--lecture", "f", *words, "--ignore", "0,0,420,720")
        assert code == 0
    events = [event for event in json_lines(out) if event["type"] == "class"]
    assert {event["faces"] for event in events} == {6}
    assert [event.get("hidden", False) for event in events] == [n < 6 for n in range(12)]
    events = [event for event in json_lines(few) if event["type"] == "class"]
    assert {(event["faces"], event["scores"] is None, event["hidden"]) for event in events} == {(4, True, True)}
    assert {"turned_away" in event for event in events} == {False}
    assert "usual" not in json_lines(few)[-1]
