"""The command line of `training`: make, quantize and measure the models that the worker runs."""

import sys
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer

from training.commands.ensemble import ensemble
from training.commands.evaluate import evaluate
from training.commands.fit import fit
from training.commands.prepare import prepare
from training.commands.quantize import quantize
from training.commands.reproduce import reproduce

# The parent of all usage errors, in typer's own click (since 0.20) or in the installed one.
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
for command in (prepare, fit, quantize, ensemble, evaluate, reproduce):
    app.command()(command)


def main() -> None:
    """Run the command line. A usage error is one line on standard error."""
    try:
        code = app(standalone_mode=False, prog_name="training")
    except typer.Abort:
        typer.echo("training: interrupted; the same command resumes", err=True)
        code = 1
    except UsageError as wrong:
        program = wrong.ctx.command_path if wrong.ctx else "training"
        typer.echo(f"{program}: {wrong.format_message().rstrip('.')}; see `{program} --help`", err=True)
        code = 2
    sys.exit(code)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"training {installed_version('lecturepulse')}")
        raise typer.Exit


@app.callback()
def training(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Make, quantize and measure the models that the worker runs."""
