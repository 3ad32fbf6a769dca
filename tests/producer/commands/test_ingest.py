"""`producer ingest` of one recording: events, table, signals, errors and exit codes."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import redis

from producer import ingestion as ingesting
from producer.cells.connections import one_cell
from producer.feeding.feed import MAX_BYTES
from producer.feeding.sources.opening import open_source
from tests.processes import eventually, json_lines, ran, started
from tests.producer.committing import committing, register, work_on
from tests.producer.feeding.films import as_matroska, cut, damage_bits, film
from tests.producer.reading.writing import begin
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys
from worker.contract.messages import LectureChoices, ParticipantSpan, encode


def test_ingest_prints_every_event_as_json_and_nothing_else(redis_url: str, video: Path) -> None:
    with committing(redis_url):
        code, out, err = ran("ingest", video, "--redis", redis_url, "--json", "--participant", "ada")
    printed = json_lines(out)
    assert (code, err) == (0, "")
    assert [each["frame"] for each in printed if each["type"] == "class"] == list(range(60))
    assert {each["participant"] for each in printed if each["type"] == "emotion"} == {"ada"}
    assert printed[-1] | {"ledger": None} == printed[-1] | {"type": "end", "status": "done", "ledger": None}
    assert printed[-1]["ledger"]["published"] == 60
    assert printed[0]["lecture"] == "Vorlesung-Uber-7"


def test_ingest_ends_with_a_table_and_names_a_second_lecture_of_the_same_file(redis_url: str, video: Path) -> None:
    with connect(redis_url) as client:
        begin(client, "Vorlesung-Uber-7")
    with committing(redis_url):
        code, out, err = ran("ingest", video, "--redis", redis_url)
    assert code == 0
    assert "happiness 100%" in out
    assert "60 frames sampled: 60 published" in out
    assert f"producer watch Vorlesung-Uber-7-2 --from-start --redis {redis_url}" in out
    assert "60/60 frames" in err


def test_the_log_of_an_ingest_has_nothing_about_people(redis_url: str, video: Path, tmp_path: Path) -> None:
    roster = tmp_path / "roster.json"
    roster.write_text('{"participants": {"p07": "Grace"}}')
    with committing(redis_url):
        words = ["--redis", redis_url, "--participant", "ada", "--roster", roster, "--log-format", "json"]
        code, out, err = ran("ingest", video, *words)
    assert (code, err) == (0, "")
    assert "60 frames sampled: 60 published" in out
    assert "ada" not in out
    assert "happiness" not in out


def test_damaged_pictures_are_reported_in_one_line_and_exit_code_1(redis_url: str, tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", pictures=200, noise=60, codec_options={"preset": "ultrafast", "g": "50"})
    with committing(redis_url):
        assert ran("ingest", whole, "--redis", redis_url, "--json")[::2] == (0, "")
        code, out, err = ran("ingest", damage_bits(whole, 0.4), "--redis", redis_url, "--json")
    printed = json_lines(out)
    damaged = [each["t"] for each in printed if each["type"] == "class" and each.get("damaged")]
    assert 1 <= len(damaged) <= 4
    assert code == 1
    assert f"the pictures of {len(damaged)} of 16 frames are damaged: " in err
    assert printed[-1]["status"] == "failed"
    assert printed[-1]["ledger"]["reasons"] == {"published:damaged": len(damaged)}


def test_ingest_shows_a_participant_whose_events_redis_lost(client: redis.Redis, redis_url: str, video: Path) -> None:
    keys = LectureKeys("l")
    with started("ingest", video, "--redis", redis_url, "--lecture", "l") as ingest:
        eventually(lambda: client.exists(keys.in_flight))
        client.hset(keys.participants, "p07", encode(ParticipantSpan(0.0, 1.0, 9)))  # its stream is gone
        with committing(redis_url):
            out, err = ingest.communicate(timeout=100)
    assert ingest.returncode == 0
    (row,) = (line for line in out.splitlines() if line.startswith("p07"))
    assert row.split() == ["p07", "all", "9", "events", "lost"]
    assert err.splitlines()[-1].startswith("producer: lecture l: events are missing, because streams in Redis were")
    assert err.splitlines()[-1].endswith("p07 (all 9 events lost)")


def test_an_existing_lecture_is_an_error_if_its_id_was_given(redis_url: str, video: Path) -> None:
    with connect(redis_url) as client:
        begin(client, "l")
        before = client.keys()
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l")
        assert client.keys() == before
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "producer forget l" in err
    assert "--lecture" in err


def test_failed_frames_are_reported_and_exit_code_1(redis_url: str, video: Path) -> None:
    with committing(redis_url, fail=True):
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--json")
    assert code == 1
    assert json_lines(out)[-1]["ledger"]["failed"] == 60
    assert err == "producer: lecture l: 60 frames sampled: 0 published, 60 failed (error 60)\n"


def test_a_truncated_recording_is_ingested_to_its_end_and_exit_code_1(
    redis_url: str, video: Path, tmp_path: Path
) -> None:
    broken = cut(as_matroska(video, tmp_path / "broken.mkv"))
    with committing(redis_url):
        code, out, err = ran("ingest", broken, "--redis", redis_url, "--lecture", "l", "--json")
    printed = json_lines(out)
    assert code == 1
    assert printed[-1]["status"] == "failed"
    assert 10 < printed[-1]["ledger"]["published"] < 50
    assert len(err.splitlines()) == 1
    assert f"producer: {broken}: " in err
    assert printed[-1]["reason"] in err


@contextmanager
def heeded(number: signal.Signals) -> Iterator[None]:
    """Processes that start within heed this signal, also if this one was started by `nohup`."""
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(
    ("names", "number", "code", "frames", "at"),
    [
        ([], signal.SIGINT, 130, 16, "0:00:07"),
        ([], signal.SIGTERM, 143, 16, "0:00:07"),
        ([], signal.SIGHUP, 129, 16, "0:00:07"),
        (["ada", "grace"], signal.SIGINT, 130, 8, "0:00:03"),
    ],
)
def test_a_signal_stops_feeding_and_what_was_fed_is_committed(
    client: redis.Redis,
    redis_url: str,
    video: Path,
    names: list[str],
    number: signal.Signals,
    code: int,
    frames: int,
    at: str,
) -> None:
    # There is no room for a second chunk until the first is committed, which happens only after the signal.
    words = ["ingest", *([f"{name}={video}" for name in names] or [str(video)]), "--redis", redis_url, "--max-bytes", 1]
    register(client)
    with heeded(number), started(*words, "--lecture", "l", "--json") as process:
        eventually(lambda: client.hlen(LectureKeys("l").in_flight))
        process.send_signal(number)
        eventually(lambda: client.hlen(LectureKeys("l").in_flight) == 2)
        with committing(redis_url):
            out, err = process.communicate(timeout=60)
    printed = json_lines(out)
    assert process.returncode == code
    assert (printed[-1]["status"], printed[-1]["ledger"]["published"]) == ("stopped", frames)
    for name in names or ["p01"]:
        assert [each["frame"] for each in printed if each.get("participant") == name] == list(range(frames))
    assert err.splitlines() == [
        "producer: stopping; workers finish what is in flight (Ctrl-C again exits at once)",
        f"producer: stopped at {at} after {frames} frames; they are committed to lecture l; --resume continues it",
    ]


def test_a_second_ctrl_c_exits_at_once(client: redis.Redis, redis_url: str, video: Path) -> None:
    register(client)
    with started("ingest", video, "--redis", redis_url, "--lecture", "l", "--json") as process:
        eventually(lambda: client.hlen(LectureKeys("l").in_flight))
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "stopping" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == (
        "producer: exiting at once; lecture l is not finished, `producer forget l` erases it; --resume continues it\n"
    )


def test_ingest_stops_quietly_when_its_output_is_closed(client: redis.Redis, redis_url: str, video: Path) -> None:
    keys = LectureKeys("l")
    register(client)
    with started("ingest", video, "--redis", redis_url, "--lecture", "l", "--json", "--max-bytes", 1) as process:
        assert process.stdout is not None
        process.stdout.close()
        eventually(lambda: client.hlen(keys.in_flight))
        work_on(client, keys)
        eventually(lambda: not client.exists(keys.feeder))  # the end is fed
        with committing(redis_url):
            process.wait(timeout=60)
        assert client.hget(keys.info, "status") == b"stopped"
        assert process.stderr is not None
        err = process.stderr.read()
    assert process.returncode == 141
    assert len(err.splitlines()) == 1


def test_a_redis_that_dies_is_one_line_and_exit_code_1(
    own_redis: tuple[str, subprocess.Popen[bytes]], video: Path
) -> None:
    url, server = own_redis
    impatient = "import worker.contract.lifetimes as s; s.OUTAGE_S = 1; from producer.cli import main; main()"
    command = [sys.executable, "-c", impatient, "ingest", str(video), "--redis", url, "--lecture", "l", "--json"]
    with (
        connect(url) as client,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
    ):
        register(client)
        eventually(lambda: client.hlen(LectureKeys("l").in_flight))
        server.kill()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("producer: lost Redis at ")


def test_a_lecture_that_is_forgotten_while_it_is_ingested_is_one_line_and_exit_code_1(
    client: redis.Redis, redis_url: str, video: Path
) -> None:
    keys = LectureKeys("l")
    register(client)
    with started("ingest", video, "--redis", redis_url, "--lecture", "l", "--json", "--max-bytes", 1) as process:
        eventually(lambda: client.hlen(keys.in_flight))
        client.delete(keys.info)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, len(err.splitlines())) == (1, "", 1)
    assert "forgotten" in err


def test_missing_workers_are_reported_once(
    client: redis.Redis, redis_url: str, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []
    monkeypatch.setattr(ingesting, "CHECK_WORKERS_AFTER_S", 0.0)
    monkeypatch.setattr(ingesting, "say", said.append)

    def start_working() -> None:
        eventually(lambda: said)
        with committing(redis_url):
            eventually(lambda: client.hget(LectureKeys("l").info, "status") == b"done")

    helper = threading.Thread(target=start_working)
    helper.start()
    settings = ingesting.IngestSettings("l", 2.0, LectureChoices(), MAX_BYTES, json=False)
    with open_source(str(video), 2.0) as source:
        assert ingesting.ingest(settings, source, one_cell(client), nullcontext()) == 0
    helper.join()
    assert said == ["no worker takes frames from this Redis; start some there with `worker run`; waiting"]
