"""All three programs in odd environments: locales, standard streams, limits, and folders."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import redis

from producer.embedded.folder import EmbeddedError, data_folder
from tests.processes import ran
from tests.producer.feeding.films import film
from tests.producer.reading.writing import write
from worker.contract.environment import METRICS_FOLDER

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN_1 = {"PYTHONIOENCODING": "iso-8859-1"}  # a machine need not have the locale

PROGRAMS = ("producer", "worker", "training")
ROSTER = "participants: {p01: 'Jürgen 😀 王'}\n"


def shell(line: str, **environment: str) -> tuple[int, bytes, bytes]:
    """Run a line of bash, in which `$RUN` is Python with `-m`: its exit code, standard output, and standard error."""
    env = {**os.environ, **environment, "RUN": f"{sys.executable} -m"}
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, timeout=150)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def lecture(client: redis.Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a roster. The lecture `l` is in the Redis of the environment."""
    write(client, "l", [{"p01"}])
    client.hset("lecture:{l}", "source", "Müller 😀.mp4")
    (tmp_path / "roster.yaml").write_text(ROSTER, encoding="utf-8")
    monkeypatch.setenv("REDIS_URL", redis_url)
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "encoding", "name"),
    [(ASCII, "utf-8", "Jürgen 😀 王"), (LATIN_1, "iso-8859-1", "Jürgen \\U0001f600 \\u738b")],
    ids=["ascii", "latin-1"],
)
def test_any_text_is_printed_in_any_locale_and_files_are_utf_8(
    lecture: Path, environment: dict[str, str], encoding: str, name: str
) -> None:
    roster = f"--roster {lecture}/roster.yaml"
    code, out, err = shell(f"$RUN producer watch l --from-start {roster}", **environment)
    assert (code, err) == (0, b"")
    assert name in out.decode(encoding)
    code, out, err = shell("$RUN producer list", **environment)
    assert (code, err) == (0, b"")
    assert "Müller" in out.decode(encoding)
    assert shell(f"$RUN producer watch l --from-start --json {roster}", **environment)[1].decode().count("王")
    code, _, err = shell(f"$RUN producer export l -o {lecture}/ü.csv {roster}", **environment)
    assert (code, err) == (0, b"")
    assert "Jürgen 😀 王" in (lecture / "ü.csv").read_text(encoding="utf-8")
    code, _, err = shell(f"$RUN producer export l -o {lecture}/ü.csv", **environment)
    assert (code, len(err.splitlines())) == (2, 1)
    assert b"exists already" in err


def test_a_file_name_that_is_not_text_is_printed_as_it_is(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/b\xffd.mp4"
    done = subprocess.run([sys.executable, "-m", "producer", "ingest", name], capture_output=True, timeout=150)
    assert done.returncode == 2
    assert name in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_output_that_cannot_be_written_is_one_line_and_exit_code_1(program: str) -> None:
    code, _, err = shell(f"$RUN {program} --help > /dev/full")
    assert code == 1
    assert err.decode() == (
        f"{program}: cannot write to standard output: No space left on device; send the output to another place\n"
    )


@pytest.mark.parametrize("words", [*(f"{program} --help" for program in PROGRAMS), "producer list"])
def test_output_that_nobody_reads_ends_a_program_as_sigpipe_does(lecture: Path, words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen([sys.executable, "-m", *words.split()], stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        _, err = process.communicate(timeout=150)
    assert (process.returncode, err) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_nothing_else(lecture: Path, closed: str) -> None:
    code, out, err = shell(f"$RUN producer list {closed}")
    assert (code, err) == (0, b"")
    assert bool(out) == (" >&-" not in f" {closed}")
    assert shell(f"$RUN producer export none -o {lecture}/x.csv {closed}")[0] == 2


def test_no_connection_gets_the_number_of_a_closed_standard_stream() -> None:
    code = """
import os, socket, sys
from worker.contract.standard_streams import protect_streams
protect_streams()
first, second = socket.socketpair()
child = os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", "import os; [os.fstat(each) for each in range(3)]")
sys.exit(child or min(first.fileno(), second.fileno()) < 3)
"""
    done = subprocess.run(["bash", "-c", f"{sys.executable} -c '{code}' <&- >&- 2>&-"], timeout=150)
    assert done.returncode == 0


def test_a_terminal_that_another_program_made_non_blocking_gets_all_of_the_output() -> None:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    code = """
from worker.contract.standard_streams import protect_streams
protect_streams()
print("x" * 2_000_000)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=theirs.fileno(), stderr=subprocess.PIPE) as process:
        theirs.close()
        with ours, ours.makefile("rb") as read:
            assert len(read.read()) == 2_000_001
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("gib", [3, 2, 1])
def test_a_lecture_is_ingested_under_a_limit_on_address_space(tmp_path: Path, gib: int) -> None:
    recording = film(tmp_path / "film.mp4", pictures=25)
    code, out, err = shell(f"ulimit -v {gib * 2**20}; $RUN producer ingest {recording} --workers 1 --json")
    assert (code, err) == (0, b"")
    assert b'"status":"done"' in out


def test_too_little_memory_is_one_line() -> None:
    code, _, err = shell("ulimit -v $((64 * 1024)); $RUN worker --help")
    assert code == 1
    assert b"Traceback" not in err
    assert err.splitlines()[-1].startswith(b"worker: not enough memory: ")


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_workers_refuse_a_folder_for_metrics_that_is_none(redis_url: str, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    code, _, err = shell(f"$RUN worker run --redis {redis_url}", **{METRICS_FOLDER: str(tmp_path / folder)})
    assert (code, len(err.splitlines())) == (2, 1)
    assert f"set {METRICS_FOLDER} to a folder that can be written to".encode() in err


def test_a_producer_does_not_use_the_workers_folder_for_metrics(lecture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (METRICS_FOLDER, METRICS_FOLDER.lower()):
        monkeypatch.setenv(name, "/missing")
        assert ran("list")[0] == 0


def test_results_of_a_user_whom_the_system_does_not_know_need_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    with pytest.raises(EmbeddedError, match="set XDG_DATA_HOME"):
        data_folder()


def test_results_may_be_in_a_folder_whose_name_is_not_text(tmp_path: Path) -> None:
    code, out, err = shell("$RUN producer list", XDG_DATA_HOME=os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    assert (code, out, err) == (0, b"no lectures\n", b"")


@pytest.mark.parametrize("environment", [ASCII, {"LC_ALL": "C.UTF-8"}], ids=["ascii", "utf-8"])
def test_pictures_whose_names_are_not_ascii_are_read_in_any_locale(tmp_path: Path, environment: dict[str, str]) -> None:
    _, content = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "ü😀.png").write_bytes(content.tobytes())
    code = r"""
import sys
from pathlib import Path
from training.datasets import LabelledPicture
from training.preparing.record import path_text
(path,) = Path(sys.argv[1]).iterdir()
sys.exit(LabelledPicture(path, 0).pixels().shape != (8, 8, 3) or path_text(path.name) != "\u00fc\U0001f600.png")
"""
    words = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(words, env={**os.environ, **environment}, timeout=150).returncode == 0
