"""`python -m training`: the command `training`, from a checkout."""

from training.cli import main

main()
