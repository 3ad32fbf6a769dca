"""What all commands share: usage errors, an unusable Redis, the environment, and what is loaded."""

import socketserver
from importlib.metadata import version

import pytest
import redis

from tests.processes import called, ran
from tests.producer.reading.writing import write
from tests.streams import serving


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
            ["ingest", "no.mp4", "--redis", "redis://h", "--models", "mine"],
            "--models: mine is for workers beside the private Redis; give it to `worker run`, or leave out --redis",
        ),
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
        (["export", "l", "-o", "l.ods"], "'l.ods': the name must end in .csv, .xlsx, .parquet, .jsonl, .vtt or .eaf"),
        (["list", "--redis", "redis://user:SECRET@localhost:1"], "cannot reach Redis at redis://localhost:1"),
        (["list", "--redis", "redis://:SEC/RET@localhost:1"], "%2F"),
        (["ingest", "no.mp4", "--retention", "0"], "'0' is not a number of days from 1 to 3650"),
        (["ingest", "alice=a.mp4", "bob=b.mp4", "--class-only"], "leave out NAME= and --participant"),
        (["ingest", "no.mp4", "--resume"], "name the lecture to resume: --lecture ID"),
        (
            ["ingest", "no.mp4", "--lecture", "l", "--resume", "--retention", "7"],
            "--retention: a resumed lecture keeps its retention time; leave it out",
        ),
        (["ingest", "srt://me:SECRET@127.0.0.1:1"], "srt:// is not supported; give a file, a camera or one of rtsp://"),
        (["ingest", "/dev/video4711"], "/dev/video4711: no such camera"),
        (["ingest", "udp://:1", "--give-up", "0"], "'--give-up': '0' is not a number of seconds above 0"),
        (["ingest", "udp://:1", "--give-up", "soon"], "'--give-up': 'soon' is not a number"),
        (
            ["ingest", "rtsp://me:SECRET@127.0.0.1:1/x"],
            "rtsp://127.0.0.1:1/x: nobody answers there (connection refused)",
        ),
        (["serve", "--port", "70000"], "'70000' is not a port"),
        (["serve", "--roster", __file__], "roster"),
    ],
)
def test_a_command_that_cannot_start_prints_one_line_and_has_exit_code_2(words: list[str], said: str) -> None:
    code, out, err = called(*words)
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

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Old)) as port:
        code, out, err = called("list", "--redis", f"redis://:SECRET@127.0.0.1:{port}")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err
    assert "SECRET" not in err


def test_version_help_and_completion_are_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = ran("--version")
    assert (code, out, err) == (0, f"producer {version('lecturepulse')}\n", "")
    code, out, err = called("ingest", "--help")
    assert (code, err) == (0, "")
    for words in ("--roster FILE", "--redis URL", "--participant ID", "--workers N"):
        assert words in out
    assert "<" not in out, "no Python types"
    for name, value in (("_PRODUCER_COMPLETE", "complete_bash"), ("COMP_WORDS", "producer exp"), ("COMP_CWORD", "1")):
        monkeypatch.setenv(name, value)
    assert ran()[1].split() == ["export"]


def test_redis_url_of_the_environment_is_used(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(client, "l", [{"p01"}])
    monkeypatch.setenv("REDIS_URL", redis_url)
    code, out, _ = called("list")
    assert (code, out.splitlines()[1].split()[:2]) == (0, ["l", "done"])
