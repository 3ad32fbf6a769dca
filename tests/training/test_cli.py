"""The command line: version, usage errors, and the environment that TensorFlow reads."""

import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from training.cli import main


def test_the_version_is_that_of_the_package() -> None:
    shown = subprocess.run([sys.executable, "-m", "training", "--version"], capture_output=True, text=True)
    assert (shown.returncode, shown.stdout) == (0, f"training {version('lecturepulse')}\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "training: Missing command; see `training --help`"),
        (["learn"], "training: No such command 'learn'; see `training --help`"),
        (["evaluate"], "training: Missing argument 'DATA'; see `training evaluate --help`"),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_help(
    arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    with pytest.raises(SystemExit) as refused:
        main()
    assert refused.value.code == 2
    assert capfd.readouterr() == ("", f"{line}\n")


@pytest.mark.parametrize(("given", "read"), [(None, "1"), ("0", "0")])
def test_training_asks_tensorflow_for_onednn_unless_the_user_decides(given: str | None, read: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {} if given is None else {"TF_ENABLE_ONEDNN_OPTS": given}
    script = "import os, training; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    printed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert printed.stdout.strip() == read, printed.stderr
