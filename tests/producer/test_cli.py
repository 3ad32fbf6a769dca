"""The command line as real processes: exit codes, standard output and standard error."""

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import redis

from producer import ingestion as ingesting
from producer.feeding.feed import MAX_BYTES
from producer.feeding.sources.opening import open_source
from tests.conftest import running_redis
from tests.processes import eventually
from tests.producer.committing import committing, work_on
from tests.producer.feeding.films import cut
from tests.producer.reading.writing import begin, commit, frame_events, write
from worker.contract.connection import connect
from worker.contract.keys import LectureKeys


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the data and the settings of the user who runs the tests."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty seconds of grey pictures."""
    path = tmp_path_factory.mktemp("videos") / "Vorlesung Über 7.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for n in range(120):
            picture = np.full((240, 320, 3), n, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        output.mux(stream.encode())
    return path


@pytest.fixture
def own_redis() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Redis that a test may kill."""
    with running_redis() as running:
        yield running


def started(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "producer", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ran(*words: object) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    with started(*words) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def as_matroska(video: Path, path: Path) -> Path:
    """The same pictures in a container that can be read when it is truncated."""
    with av.open(str(video)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return path


def events(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ingest"], "SOURCE"),
        (["ingest", "no.mp4"], "no.mp4: no such file"),
        (["ingest", "no.mp4", "--fps", "0"], "'--fps': fps 0 is out of range"),
        (["ingest", "no.mp4", "--fps", "1000"], "'--fps': fps 1000 is out of range"),
        (["ingest", "no.mp4", "--fps", "often"], "'--fps': 'often' is not a number"),
        (["ingest", "no.mp4", "--lecture", "a/b"], "lecture id 'a/b' is not 1 to 64 letters"),
        (["ingest", "no.mp4", "--workers", "0"], "'--workers': '0' is not a whole number"),
        (
            ["ingest", "no.mp4", "--redis", "redis://h", "--workers", "2"],
            "2 workers can only be started beside the private Redis",
        ),
        (["ingest", "alice=no.mp4", "nobody.mp4"], "nobody.mp4: no such file"),
        (["ingest", "alice=no.mp4", "alice=no.mp4"], "alice names two recordings"),
        (["ingest", "alice=no.mp4", "--participant", "bob"], "--participant bob names the person of a single SOURCE"),
        (["ingest", "no.mp4", "--roster", "no.yaml"], "roster 'no.yaml': cannot be read: No such file"),
        (["watch", "l", "--roster", "no.yaml"], "roster 'no.yaml': cannot be read: No such file"),
        (["export", "l", "-o", "l.csv", "--roster", "no.yaml"], "roster 'no.yaml': cannot be read: No such file"),
        (["export", "l", "-o", "l.xlsx"], "'l.xlsx': the name must end in .csv, .parquet or .jsonl"),
        (["list", "--redis", "redis://user:SECRET@localhost:1"], "cannot reach Redis at redis://localhost:1"),
        (["list", "--redis", "redis://:SEC/RET@localhost:1"], "%2F"),
    ],
)
def test_a_command_that_cannot_start_prints_one_line_and_has_exit_code_2(words: list[str], said: str) -> None:
    code, out, err = ran(*words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("producer: ")
    assert said in err
    assert "SEC" not in err


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({b"INFO": b"+redis_version:5.0.14\r\n"}, "is 5.0.14; LecturePulse needs 6.2 or newer"),
        ({b"AUTH": b"-WRONGPASS invalid username-password pair\r\n"}, "refuses user or password"),
    ],
)
def test_an_unusable_redis_is_one_line_and_exit_code_2(answers: dict[bytes, bytes], said: str) -> None:
    class Old(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                command = line.strip().upper()
                if command in (b"INFO", b"AUTH", b"CLIENT"):
                    self.wfile.write(answers.get(command, b"+OK\r\n"))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        code, out, err = ran("list", "--redis", f"redis://:SECRET@127.0.0.1:{port}")
        server.shutdown()
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert "SECRET" not in err


def test_ingest_prints_every_event_as_json_and_nothing_else(redis_url: str, video: Path) -> None:
    with committing(redis_url):
        code, out, err = ran("ingest", video, "--redis", redis_url, "--json", "--participant", "ada")
    printed = events(out)
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


def test_an_existing_lecture_is_an_error_if_its_id_was_given(redis_url: str, video: Path) -> None:
    with connect(redis_url) as client:
        begin(client, "l")
        before = client.keys()
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l")
        assert client.keys() == before
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "producer forget l" in err
    assert "--lecture" in err


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
    printed = events(out)
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
    printed = events(out)
    assert process.returncode == 130
    assert "stopped at 0:00:03 after 8 frames" in err
    assert printed[-1]["ledger"]["published"] == 8
    for who in ("ada", "grace"):
        assert [e["frame"] for e in printed if e.get("participant") == who] == list(range(8))


def test_failed_frames_are_reported_and_exit_code_1(redis_url: str, video: Path) -> None:
    with committing(redis_url, fail=True):
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--json")
    assert code == 1
    assert events(out)[-1]["ledger"]["failed"] == 60
    assert err == "producer: lecture l: 60 frames sampled: 0 published, 60 failed (failed:error 60)\n"


def test_a_truncated_recording_is_ingested_to_its_end_and_exit_code_1(
    redis_url: str, video: Path, tmp_path: Path
) -> None:
    broken = cut(as_matroska(video, tmp_path / "broken.mkv"))
    with committing(redis_url):
        code, out, err = ran("ingest", broken, "--redis", redis_url, "--lecture", "l", "--json")
    printed = events(out)
    assert code == 1
    assert printed[-1]["status"] == "failed"
    assert 10 < printed[-1]["ledger"]["published"] < 50
    assert len(err.splitlines()) == 1
    assert f"producer: {broken}: " in err
    assert printed[-1]["reason"] in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_feeding_and_what_was_fed_is_committed(
    redis_url: str, video: Path, number: signal.Signals, code: int
) -> None:
    # There is no room for a second chunk until the first is committed, which happens only after the signal.
    words = ["ingest", video, "--redis", redis_url, "--lecture", "l", "--json", "--max-bytes", 1]
    with connect(redis_url) as client, started(*words) as process:
        eventually(lambda: client.hlen(LectureKeys("l").in_flight))
        process.send_signal(number)
        eventually(lambda: client.hlen(LectureKeys("l").in_flight) == 2)
        with committing(redis_url):
            out, err = process.communicate(timeout=60)
    printed = events(out)
    assert process.returncode == code
    assert (printed[-1]["status"], printed[-1]["ledger"]["published"]) == ("stopped", 16)
    assert err.splitlines() == [
        "producer: stopping; workers finish what is in flight (Ctrl-C again exits at once)",
        "producer: stopped at 0:00:07 after 16 frames; they are committed to lecture l; --resume continues it",
    ]


def test_a_second_ctrl_c_exits_at_once(redis_url: str, video: Path) -> None:
    words = ["ingest", video, "--redis", redis_url, "--lecture", "l", "--json"]
    with connect(redis_url) as client, started(*words) as process:
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


def test_ingest_stops_quietly_when_its_output_is_closed(redis_url: str, video: Path) -> None:
    keys = LectureKeys("l")
    words = ["ingest", video, "--redis", redis_url, "--lecture", "l", "--json", "--max-bytes", 1]
    with connect(redis_url) as client, started(*words) as process:
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
        eventually(lambda: client.hlen(LectureKeys("l").in_flight))
        server.kill()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("producer: lost Redis at ")


def test_a_lecture_that_is_forgotten_while_it_is_ingested_is_one_line_and_exit_code_1(
    client: redis.Redis, redis_url: str, video: Path
) -> None:
    keys = LectureKeys("l")
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
    monkeypatch.setattr(ingesting, "PATIENCE_S", 0.0)
    monkeypatch.setattr(ingesting, "say", said.append)

    def start_working() -> None:
        eventually(lambda: said)
        with committing(redis_url):
            eventually(lambda: client.hget(LectureKeys("l").info, "status") == b"done")

    helper = threading.Thread(target=start_working)
    helper.start()
    settings = ingesting.IngestSettings("l", 2.0, None, MAX_BYTES, json=False)
    with open_source(str(video), 2.0) as source:
        assert ingesting.ingest(settings, source, client, nullcontext()) == 0
    helper.join()
    assert said == ["no worker takes frames from this Redis; start some there with `worker run`; waiting"]


def test_watch_follows_in_plain_words_or_in_json(client: redis.Redis, redis_url: str) -> None:
    write(client, "l", [{"p01"}, {"p01", "p02"}])
    code, out, err = ran("watch", "l", "--from-start", "--redis", redis_url)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "0:00:00  p01  happiness  76%",
        "0:00:00  p01  happiness  76%",
        "0:00:00  p02  happiness  76%",
        "done: 0 frames sampled: 0 published",
    ]
    code, out, err = ran("watch", "l", "--from-start", "--participant", "p02", "--json", "--redis", redis_url)
    assert (code, err, [each["type"] for each in events(out)]) == (0, "", ["emotion", "end"])
    code, out, err = ran("watch", "l", "--json", "--redis", redis_url)
    assert (code, err, [each["type"] for each in events(out)]) == (0, "", ["end"])


def test_a_roster_names_participants_wherever_they_are_printed(
    client: redis.Redis, redis_url: str, video: Path, tmp_path: Path
) -> None:
    roster = tmp_path / "roster.yaml"
    roster.write_text("participants: {p01: '[red]Åsa'}", encoding="utf-8")
    with committing(redis_url):
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--roster", roster)
    assert (code, out.splitlines()[1].split()[:2]) == (0, ["p01", "[red]Åsa"])
    code, out, err = ran("watch", "l", "--from-start", "--redis", redis_url, "--roster", roster)
    assert (code, err, out.splitlines()[0]) == (0, "", "0:00:00  p01  [red]Åsa  happiness  75%")
    code, out, err = ran("watch", "l", "--from-start", "--json", "--redis", redis_url, "--roster", roster)
    assert (code, err) == (0, "")
    assert {(each["participant"], each["name"]) for each in events(out) if each["type"] == "emotion"} == {
        ("p01", "[red]Åsa")
    }
    code, out, err = ran("export", "l", "-o", tmp_path / "l.csv", "--redis", redis_url, "--roster", roster)
    assert (code, out, err) == (0, "", "")
    assert "Åsa".encode() not in b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))


def test_a_roster_that_does_not_fit_is_refused_except_by_ingest_which_reports_it(
    redis_url: str, video: Path, tmp_path: Path
) -> None:
    roster = tmp_path / "roster.yaml"
    roster.write_text("participants: {p07: Ada}")
    said = "producer: the roster names p07, not seen in the lecture; seen: p01\n"
    with committing(redis_url):
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--roster", roster)
    assert (code, "60 published" in out) == (0, True)
    assert err.endswith(said)
    assert ran("watch", "l", "--redis", redis_url, "--roster", roster) == (2, "", said)
    assert ran("export", "l", "-o", tmp_path / "l.csv", "--redis", redis_url, "--roster", roster) == (2, "", said)
    assert not (tmp_path / "l.csv").exists()


def test_watch_ends_with_ctrl_c(client: redis.Redis, redis_url: str) -> None:
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    with started("watch", "l", "--from-start", "--redis", redis_url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0:00:00  p01  happiness  76%\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


def test_watch_ends_quietly_when_its_output_is_closed(client: redis.Redis, redis_url: str) -> None:
    write(client, "l", [{"p01"}] * 3000, per_commit=500)
    with started("watch", "l", "--from-start", "--json", "--redis", redis_url) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.wait(timeout=60)
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (141, "")


def test_list_export_and_forget_work_on_the_same_lecture(client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    assert ran("list", "--redis", redis_url) == (0, "no lectures\n", "")
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    source = "a-recording-with-a-name-as-long-as-cameras-give-them-2026-11-26T07-15-52.mp4"
    client.hset("lecture:{l}", "source", source)
    code, out, err = ran("list", "--redis", redis_url)
    (line,) = out.splitlines()[1:]
    assert (code, err, line.split()[:2], line.split()[-1]) == (0, "", ["l", "abandoned"], source)
    file = tmp_path / "l.csv"
    code, out, err = ran("export", "l", "-o", file, "--redis", redis_url)
    assert (code, out, err) == (0, "", f"producer: lecture l is not over: {file} contains what there is until now\n")
    assert len(file.read_text().splitlines()) == 2
    assert ran("forget", "l", "--redis", redis_url) == (0, "forgot lecture l\n", "")
    assert client.keys() == []


def test_redis_url_of_the_environment_is_used(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(client, "l", [{"p01"}])
    monkeypatch.setenv("REDIS_URL", redis_url)
    code, out, _ = ran("list")
    assert (code, out.splitlines()[1].split()[:2]) == (0, ["l", "done"])


def test_the_command_line_loads_no_model_runtime_and_no_decoder() -> None:
    heavy = ("cv2", "mediapipe", "tensorflow", "keras", "ai_edge_litert", "av", "pyarrow", "numpy")
    code = f"import sys, producer.cli; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=dict(os.environ)) == "[]\n"
