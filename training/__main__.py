"""`python -m training`: the command `training`, from a checkout."""

from training.cli import app

app(prog_name="training")
