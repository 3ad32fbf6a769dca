"""The option `--webhook`."""

import os
from typing import Annotated

import typer

from producer.notifying.webhook import SECRET, Webhook, checked_webhook


def webhook(url: str) -> Webhook:
    """The webhook at `url`. The secret is taken out of the environment, so that no child process gets it."""
    try:
        return checked_webhook(url, os.environ.pop(SECRET, None))
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


WebhookOption = Annotated[
    Webhook | None,
    typer.Option(
        parser=webhook,
        metavar="URL",
        show_default=False,
        help=f"Send moments and the end of the lecture there, signed with the secret in {SECRET}.",
    ),
]
