"""The command line of the worker: its help, and errors in one line."""

from importlib.metadata import version
from pathlib import Path

import pytest

from tests.processes import called, ran
from tests.worker.perception.linear_network import write_linear_models


def test_the_version_is_the_packages() -> None:
    assert ran("--version", program="worker") == (0, f"worker {version('lecturepulse')}\n", "")


def test_the_help_shows_what_an_option_takes() -> None:
    text = called("run", "--help", program="worker")[1]
    assert all(option in text for option in ("--redis URL", "--processes N", "--metrics-port PORT"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing command; see `worker --help`"),
        (["run", "--redis"], "Option '--redis' requires an argument; see `worker --help`"),
        (["run", "--redis", "redis://h", "--ensemble", "half"], "'half' is not one of 'full', 'adaptive'; see"),
        (["run", "--processes", "0"], "'--processes': Input should be greater than or equal to 1, not '0'"),
        (["run", "--redis", "redis://127.0.0.1:1"], "cannot reach Redis at redis://127.0.0.1:1"),
        (["run", "--redis", "redis://127.0.0.1:1", "--models", "/nowhere"], "/nowhere/manifest.json: No such file"),
        (["run", "--redis", "redis://h/lectures"], "its path is not the number of a database; write /0"),
        (["run", "--redis", "redis://h?decode_responses=true"], "its option decode_responses is not supported"),
        (["run", "--redis", "redis://h?ssl_cert_reqs=none"], "its option ssl_cert_reqs is for TLS; write rediss://"),
        (["run", "--redis", "redis://h?db=two"], "Invalid value for 'db'"),
        (["run", "--redis", "nonsense"], "must specify one of the following schemes"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line_and_exit_code_2(words: list[str], message: str) -> None:
    code, out, err = called(*words, program="worker")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("worker: ")
    assert message in line


def test_the_adaptive_ensemble_of_models_without_threshold_is_refused_in_one_line(
    tmp_path: Path,
) -> None:
    write_linear_models(tmp_path, {"mobilenetv2": 1})
    words = ["run", "--redis", "redis://127.0.0.1:1", "--models", str(tmp_path), "--ensemble", "adaptive"]
    code, _, err = called(*words, program="worker")
    assert code == 2
    (line,) = err.splitlines()
    assert line.startswith("worker: ")
    assert "no threshold for the adaptive ensemble; fit one with `training ensemble`" in line
