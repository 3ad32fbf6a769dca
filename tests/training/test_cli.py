"""The manner of the command line: version, help and errors."""

import subprocess
import sys
from importlib.metadata import version

import pytest


def training(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "training", *arguments], capture_output=True, text=True)


def test_the_version_is_that_of_the_package() -> None:
    shown = training("--version")
    assert (shown.returncode, shown.stdout) == (0, f"training {version('lecturepulse')}\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "training: Missing command; see `training --help`"),
        (["teach"], "training: No such command 'teach'; see `training --help`"),
        (["evaluate"], "training: Missing argument 'DATA'; see `training evaluate --help`"),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_help(arguments: list[str], line: str) -> None:
    refused = training(*arguments)
    assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", f"{line}\n")
