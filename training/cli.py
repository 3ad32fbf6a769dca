"""The command `training`: make, quantize and measure the models that the worker runs."""

import typer

from training.commands.ensemble import ensemble
from training.commands.evaluate import evaluate
from training.commands.fit import fit
from training.commands.prepare import prepare
from training.commands.quantize import quantize
from training.commands.reproduce import reproduce

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
for command in (prepare, fit, quantize, ensemble, evaluate, reproduce):
    app.command()(command)
