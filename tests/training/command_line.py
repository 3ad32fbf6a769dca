"""The command `training`, run inside the process of the test."""

from pathlib import Path

from typer.testing import CliRunner, Result

from training.cli import app


def training(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def succeeded(*arguments: str | Path) -> Result:
    result = training(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refusal(command: str, *arguments: str | Path) -> str:
    """The one line with which `training COMMAND` refuses the arguments, without its name."""
    result = training(command, *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == "" or command == "fit", "only `fit` prints something before it begins: its data"
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"training {command}: ")
    return line.removeprefix(f"training {command}: ")
