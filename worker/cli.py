"""The command line of the worker."""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Annotated, Any

import structlog
import typer
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError
from rq.worker_registration import REDIS_WORKER_KEYS

from worker.contract.connection import Patience, RedisUnusable, connect
from worker.contract.credentials import masked, without_credentials
from worker.contract.environment import EMBEDDED
from worker.contract.lifetimes import OUTAGE_S
from worker.perception.manifest import MODELS, EnsembleMode, ManifestError, load_manifest

METRICS_PORT = 9108
"""Where metrics are served unless somebody wishes otherwise."""

# typer has brought a click of its own since 0.20; this is the parent of all its usage errors, in that one or the other.
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command line. What is wrong with its words is one line on standard error, without what is secret."""
    try:
        code = app(standalone_mode=False, prog_name="worker")
    except UsageError as wrong:
        command = wrong.ctx.command_path if wrong.ctx else "worker"
        typer.echo(f"worker: {masked(wrong.format_message())} (see `{command} --help`)", err=True)
        code = 2
    sys.exit(code)


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
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, show_default=str(METRICS_PORT), help="Where /metrics and /healthz are, for Prometheus."
        ),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address they are served at.")] = "127.0.0.1",
) -> None:
    """Work until SIGTERM or Ctrl-C, then finish the job in hand and leave."""
    stop = threading.Event()
    try:
        load_manifest(MODELS, ensemble)
        client = connect(redis, Patience(OUTAGE_S, hurried=stop.is_set))
        _check_rights(client, redis)
    except (ManifestError, RedisUnusable) as refusal:
        typer.echo(f"worker: {refusal}", err=True)
        raise typer.Exit(2) from None
    tallies = _tallies()
    from worker.running.log_privacy import configure_logging
    from worker.running.supervisor import KeepsDying, RedisGone, Supervisor, stop_on_signals  # loads what workers need

    configure_logging()
    stop_on_signals(stop)
    if os.environ.get(EMBEDDED):
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    try:
        supervisor = Supervisor(client, redis, processes, ensemble)
        with tallies, _metrics(redis, metrics_host, metrics_port, lambda: supervisor.processes):
            supervisor.run(stop)
    except KeepsDying as failure:
        typer.echo(f"worker: {failure}; see what they printed above", err=True)
        raise typer.Exit(1) from None
    except RedisGone as failure:
        shown = without_credentials(redis)
        typer.echo(f"worker: Redis at {shown} was away for {OUTAGE_S:.0f} s, giving up: {failure}", err=True)
        raise typer.Exit(1) from None


def _check_rights(client: Redis, url: str) -> None:
    """RedisUnusable where this user is not allowed to work: its processes would die, one after the other, for ever."""
    try:
        client.srem(REDIS_WORKER_KEYS, "")  # of what only workers may write, and changes nothing
    except NoPermissionError:
        shown = without_credentials(url)
        raise RedisUnusable(f"Redis at {shown} does not let this user work; give the user of workers") from None
    except RedisError:
        pass  # whatever else is the matter shows when the work begins


def _tallies() -> AbstractContextManager[object]:
    """A folder in which this process and those that it starts count, until this context is left.

    prometheus_client looks for it when it is imported, so nothing may import that before.
    """
    if os.environ.get(EMBEDDED):  # nobody asks
        return nullcontext()
    try:
        folder = tempfile.TemporaryDirectory(prefix="lecturepulse-metrics-")
    except OSError as failure:
        typer.echo(f"worker: no folder for metrics: {failure}; name one that can be written to by TMPDIR", err=True)
        raise typer.Exit(2) from None
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder.name
    return folder


@contextmanager
def _metrics(redis: str, host: str, port: int | None, processes: Callable[[], int]) -> Iterator[None]:
    """Serve metrics; `processes` tells how many work. Without, where nobody asked for a port and the usual is taken."""
    if os.environ.get(EMBEDDED):
        yield
        return
    from worker.metrics.exposition import PortRefused, exposed

    with ExitStack() as serving:
        try:
            serving.enter_context(exposed(host, port or METRICS_PORT, redis, processes))
        except PortRefused as refusal:
            if port is not None or not refusal.taken:
                typer.echo(f"worker: {refusal}", err=True)
                raise typer.Exit(2) from None
            structlog.get_logger().warning("no metrics", reason=str(refusal))
        yield


def _stop_at_end_of_input(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):  # not through sys.stdin, whose lock a daemon thread must not hold at exit
        pass
    stop.set()
