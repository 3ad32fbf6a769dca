"""The command line of `training`."""

import sys

import typer

from training.commands.audit import audit
from training.commands.ensemble import ensemble
from training.commands.evaluate import evaluate
from training.commands.fit import fit
from training.commands.prepare import prepare
from training.commands.quantize import quantize
from training.commands.reproduce import reproduce
from training.commands.teach import teach
from worker.contract.command_line import Command, Version, run

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
for command in (prepare, teach, fit, quantize, ensemble, evaluate, audit, reproduce):
    app.command(cls=Command)(command)


def main() -> None:
    """Run the command line. Every error is one line on standard error."""
    sys.exit(run(app, "training"))


@app.callback()
def training(version: Version = False) -> None:
    """Make, quantize and measure the models that the worker runs."""
