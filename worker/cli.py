"""The command line of the worker."""

import os
import sys
import threading
from typing import Annotated

import typer

from worker.contract.server import EMBEDDED, RedisUnusable, connect
from worker.manifest import MODELS, EnsembleMode, ManifestError, load_manifest

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def worker() -> None:
    """Find faces and the emotions they display in the frames that producers push to Redis."""


@app.command()
def run(
    redis: Annotated[str, typer.Option(envvar="REDIS_URL", help="Redis that holds the frames.")],
    processes: Annotated[int, typer.Option(min=1, max=1024, show_default="one a core", help="Worker processes.")] = len(
        os.sched_getaffinity(0)
    ),
    ensemble: Annotated[
        EnsembleMode, typer.Option(help="adaptive: ask the other networks only where the first one is not sure.")
    ] = "full",
) -> None:
    """Work until SIGTERM or Ctrl-C, then finish the job in hand and leave."""
    try:
        load_manifest(MODELS, ensemble)
        client = connect(redis)
    except (ManifestError, RedisUnusable) as refusal:
        typer.echo(f"worker: {refusal}", err=True)
        raise typer.Exit(2) from None
    from worker.discretion import speak_discreetly
    from worker.supervisor import KeepsDying, Supervisor, stop_on_signals  # loads what workers need

    speak_discreetly()
    stop = threading.Event()
    stop_on_signals(stop)
    if os.environ.get(EMBEDDED):
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    try:
        Supervisor(client, redis, processes, ensemble).run(stop)
    except KeepsDying as failure:
        typer.echo(f"worker: {failure}; see what they printed above", err=True)
        raise typer.Exit(1) from None


def _stop_at_end_of_input(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):  # not through sys.stdin, whose lock a daemon thread must not hold at exit
        pass
    stop.set()
