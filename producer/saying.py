"""What is said on standard error, beside the results on standard output."""

import re

import typer

_CREDENTIALS = re.compile(r"(?<=://)\S*@")


def say(message: object) -> None:
    """One line on standard error. Whatever it quotes, user names and passwords of URLs are taken out."""
    line = " ".join(str(message).splitlines())
    typer.echo("producer: " + _CREDENTIALS.sub("", line), err=True)
