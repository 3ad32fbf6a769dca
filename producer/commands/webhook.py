"""The option `--webhook`."""

import os
from typing import Annotated

import typer

from producer.notifying.webhook import ADDRESS, SECRET, Webhook, checked_webhook


def webhook(url: str) -> Webhook:
    """The webhook at `url`. It and its secret are taken out of the environment, so that no child process gets them."""
    os.environ.pop(ADDRESS, None)
    try:
        return checked_webhook(url, os.environ.pop(SECRET, None))
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong)) from None


WebhookOption = Annotated[
    Webhook | None,
    typer.Option(
        parser=webhook,
        envvar=ADDRESS,
        metavar="URL",
        show_default=False,
        help=f"Send moments and the end of the lecture there, signed with the secret in {SECRET}.",
    ),
]
