"""The commands that read lectures: watch, list, export, forget."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest
import redis

from producer.commands import watch as watching
from producer.reading import follow
from tests.processes import called, json_lines, ran, started
from tests.producer.committing import committing
from tests.producer.reading.writing import begin, commit, end, frame_events, write


def test_watch_follows_in_plain_words_or_in_json(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # this output is not a terminal, which counts more
    write(client, "l", [{"p01"}, {"p01", "p02"}])
    code, out, err = called("watch", "l", "--from-start", "--redis", redis_url)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "0:00:00  p01  happiness  76%",
        "0:00:00  p01  happiness  76%",
        "0:00:00  p02  happiness  76%",
        "done: 0 frames sampled: 0 published",
    ]
    code, out, err = called("watch", "l", "--from-start", "--participant", "p02", "--json", "--redis", redis_url)
    assert (code, err, [each["type"] for each in json_lines(out)]) == (0, "", ["emotion", "end"])
    code, out, err = called("watch", "l", "--json", "--redis", redis_url)
    assert (code, err, [each["type"] for each in json_lines(out)]) == (0, "", ["end"])


def test_watch_says_after_each_event_again_if_no_other_is_likely_to_come(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def say(message: str) -> None:
        said.append(message)
        if len(said) == 1:
            commit(client, "l", frame_events("l", 0, {"p01"}))
        else:
            end(client, "l")

    begin(client, "l")
    monkeypatch.setattr(follow, "WAKE_MS", 20)
    monkeypatch.setattr(watching, "say", say)
    monkeypatch.setattr(watching._Waiting, "QUIET_CALLS", 2)
    rescue = Timer(60, end, [client, "l"])
    rescue.start()
    code, _, _ = called("watch", "l", "--redis", redis_url)
    rescue.cancel()
    assert code == 0
    assert said == ["no producer feeds lecture l, and no worker works on it; waiting (Ctrl-C ends that)"] * 2


def test_a_roster_names_participants_wherever_they_are_printed(
    client: redis.Redis, redis_url: str, video: Path, tmp_path: Path
) -> None:
    roster = tmp_path / "roster.yaml"
    roster.write_text("participants: {p01: '[red]Åsa'}", encoding="utf-8")
    with committing(redis_url):
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--roster", roster)
    assert (code, out.splitlines()[1].split()[:2]) == (0, ["p01", "[red]Åsa"])
    code, out, err = called("watch", "l", "--from-start", "--redis", redis_url, "--roster", roster)
    assert (code, err, out.splitlines()[0]) == (0, "", "0:00:00  p01  [red]Åsa  happiness  75%")
    code, out, err = called("watch", "l", "--from-start", "--json", "--redis", redis_url, "--roster", roster)
    assert (code, err) == (0, "")
    assert {(each["participant"], each["name"]) for each in json_lines(out) if each["type"] == "emotion"} == {
        ("p01", "[red]Åsa")
    }
    code, out, err = called("export", "l", "-o", tmp_path / "l.csv", "--redis", redis_url, "--roster", roster)
    assert (code, out, err) == (0, "", "")
    assert "Åsa".encode() not in b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))


def test_an_id_in_the_roster_that_the_lecture_lacks_is_a_warning(redis_url: str, video: Path, tmp_path: Path) -> None:
    roster = tmp_path / "roster.yaml"
    roster.write_text("participants: {p07: Ada}")
    said = "producer: the roster names p07, not seen in the lecture; seen: p01\n"
    with committing(redis_url):
        code, out, err = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--roster", roster)
    assert (code, "60 published" in out) == (0, True)
    assert err.endswith(said)
    code, out, err = called("watch", "l", "--redis", redis_url, "--roster", roster)
    assert (code, out.startswith("done"), err) == (0, True, said)
    assert called("export", "l", "-o", tmp_path / "l.csv", "--redis", redis_url, "--roster", roster) == (0, "", said)
    assert called("report", "l", "-o", tmp_path / "l.html", "--redis", redis_url, "--roster", roster) == (0, "", said)


def test_roster_writes_a_file_to_fill_in_and_never_overwrites_one(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    write(client, "l", [{"p01"}, {"p01", "p02"}])
    code, form, err = called("roster", "l", "--redis", redis_url)
    assert (code, err) == (0, "")
    assert '  p02: ""  # 0:00:00 to 0:00:00, 50% of the frames, top left' in form
    file = tmp_path / "l.yaml"
    assert called("roster", "l", "-o", file, "--redis", redis_url) == (0, "", "")
    assert file.read_text(encoding="utf-8") == form
    refused = f"producer: '{file}' exists already; remove it or choose another name\n"
    assert called("roster", "l", "-o", file, "--redis", redis_url) == (2, "", refused)
    assert called("export", "l", "-o", tmp_path / "l.csv", "--redis", redis_url, "--roster", file) == (0, "", "")
    code, _, err = called("roster", "k", "--redis", redis_url)
    assert (code, "there is no lecture 'k'" in err) == (2, True)
    code, _, err = called("roster", "l", "-o", tmp_path / "no" / "l.yaml", "--redis", redis_url)
    assert (code, "No such file or directory" in err) == (2, True)


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
    assert called("list", "--redis", redis_url) == (0, "no lectures\n", "")
    begin(client, "l")
    commit(client, "l", frame_events("l", 0, ["p01"]))
    source = "a-recording-with-a-name-as-long-as-cameras-give-them-2026-11-26T07-15-52.mp4"
    client.hset("lecture:{l}", "source", source)
    code, out, err = called("list", "--redis", redis_url)
    (line,) = out.splitlines()[1:]
    assert (code, err, line.split()[:2], line.split()[-1]) == (0, "", ["l", "abandoned"], source)
    file = tmp_path / "l.csv"
    code, out, err = called("export", "l", "-o", file, "--redis", redis_url)
    assert (code, out, err) == (0, "", f"producer: lecture l is not over: {file} contains what there is until now\n")
    assert len(file.read_text().splitlines()) == 2
    assert called("forget", "l", "--redis", redis_url) == (0, "forgot lecture l\n", "")
    assert client.keys() == []


@pytest.mark.parametrize("form", ["csv", "jsonl", "xlsx", "parquet", "vtt", "eaf"])
def test_an_export_to_standard_output_is_the_file(
    client: redis.Redis, redis_url: str, tmp_path: Path, form: str
) -> None:
    write(client, "l", [{"p01"}, {"p01", "p02"}])
    command = [sys.executable, "-m", "producer", "export", "l", "--redis", redis_url, "-o"]
    out = subprocess.run([*command, "-", "--format", form], check=True, capture_output=True).stdout
    assert called("export", "l", "-o", tmp_path / f"l.{form}", "--redis", redis_url) == (0, "", "")
    expected = (tmp_path / f"l.{form}").read_bytes()
    if form == "xlsx":  # holds the time when it was made
        assert out[:2] == expected[:2] == b"PK"
    elif form == "eaf":
        assert out.splitlines()[2:] == expected.splitlines()[2:]
    else:
        assert out == expected


def test_standard_output_needs_a_format_and_takes_a_report(client: redis.Redis, redis_url: str) -> None:
    write(client, "l", [{"p01"}] * 4)
    code, out, err = called("export", "l", "-o", "-", "--redis", redis_url)
    assert (code, out) == (2, "")
    assert "add --format, such as --format csv" in err
    code, out, err = called("report", "l", "-o", "-", "--redis", redis_url)
    assert (code, err, out.startswith("<!doctype html>"), out.endswith("</html>")) == (0, "", True, True)


def test_a_full_temporary_folder_is_named(
    client: redis.Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(client, "l", [{"p01", "p02"}] * 300)
    command = [sys.executable, "-m", "producer", "export", "l", "-o", "-", "--redis", redis_url, "--format", "jsonl"]
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    limited = ["prlimit", "--fsize=20000", *command]  # stands for a small folder
    done = subprocess.run(limited, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"producer: cannot write the whole output to {tmp_path} first: File too large; set TM"
    )


def test_a_terminal_gets_no_binary_file(client: redis.Redis, redis_url: str) -> None:
    write(client, "l", [{"p01"}] * 4)
    terminal, ours = pty.openpty()
    command = [sys.executable, "-m", "producer", "export", "l", "-o", "-", "--redis", redis_url, "--format", "xlsx"]
    done = subprocess.run(command, stdout=ours, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(ours)
    os.close(terminal)
    assert done.returncode == 2
    assert "xlsx is not text, which a terminal needs; send standard output to a file or a program" in done.stderr


def test_an_export_ends_quietly_when_its_reader_leaves(client: redis.Redis, redis_url: str) -> None:
    write(client, "l", [{"p01", "p02"}] * 1500, per_commit=500)
    with started("export", "l", "-o", "-", "--format", "csv", "--redis", redis_url) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("lecture,participant,")
        process.stdout.close()
        process.wait(timeout=60)
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (141, "")


def test_the_hint_after_class_only_names_commands_that_work(redis_url: str, video: Path, tmp_path: Path) -> None:
    with committing(redis_url):
        code, out, _ = ran("ingest", video, "--redis", redis_url, "--lecture", "l", "--class-only", "--course", "stats")
    assert code == 0
    (hint,) = [line.split() for line in out.splitlines() if " export " in line]
    code, out, err = called(*(tmp_path / each if each == "l.csv" else each for each in hint[1:]))
    assert (code, out, err) == (0, "", "")
    assert (tmp_path / "l.csv").read_text().startswith("lecture,frame,")
    code, out, _ = called("list", "--redis", redis_url)
    heading, line = out.splitlines()
    assert heading.split() == ["lecture", "status", "started", "participants", "frames", "course", "source"]
    assert "stats" in line.split()
