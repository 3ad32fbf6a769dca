"""The command line of the worker."""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import structlog
import typer
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError
from rq.worker_registration import REDIS_WORKER_KEYS

from worker.contract.command_line import LogFormat, LogFormatOption, LogLevel, LogLevelOption, Version, print_error
from worker.contract.command_line import run as run_app
from worker.contract.connection import RedisUnusable, RetryWhileAway, connect
from worker.contract.cores import usable_cores
from worker.contract.credentials import without_credentials
from worker.contract.environment import EMBEDDED, METRICS_FOLDER, METRICS_FOLDERS
from worker.contract.lifetimes import OUTAGE_S
from worker.perception.manifest import MODELS, ChosenModels, EnsembleMode, ManifestError, load_manifest

METRICS_PORT = 9108
"""The default port of the metrics."""

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command line. Every error is one line on standard error."""
    sys.exit(run_app(app, "worker"))


@app.callback()
def worker(version: Version = False) -> None:
    """Find faces and the emotions they display in the frames that producers push to Redis."""


@app.command()
def run(
    redis: Annotated[str, typer.Option(metavar="URL", envvar="REDIS_URL", help="Redis that holds the frames.")],
    processes: Annotated[
        int, typer.Option(min=1, max=1024, metavar="N", show_default="one per core", help="Worker processes.")
    ] = usable_cores(),
    models: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder of the models and their manifest.", show_default="those of this program"
        ),
    ] = MODELS,
    ensemble: Annotated[
        EnsembleMode | None,
        typer.Option(
            help="full: ask all models about every face. adaptive: ask others only if the first is not certain.",
            show_default="what the manifest says",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="PORT", show_default=str(METRICS_PORT), help="Port of the metrics."),
    ] = None,
    metrics_host: Annotated[str, typer.Option(metavar="HOST", help="Address of /metrics and /healthz.")] = "127.0.0.1",
    log_format: LogFormatOption = LogFormat.CONSOLE,
    log_level: LogLevelOption = LogLevel.INFO,
) -> None:
    """Work until SIGTERM or Ctrl-C, then finish the current jobs and exit."""
    stop = threading.Event()
    try:
        load_manifest(models, ensemble)
        client = connect(redis, RetryWhileAway(OUTAGE_S, hurried=stop.is_set), writing=True)
        _check_rights(client, redis)
    except (ManifestError, RedisUnusable) as refusal:
        raise _failed(refusal, 2) from None
    metrics_folder = _metrics_folder()  # before the imports below, which import prometheus_client
    from worker.running.log_privacy import LogSettings, configure_logging
    from worker.running.supervisor import KeepsDying, RedisGone, Supervisor, stop_on_signals

    log_settings = LogSettings(log_format, log_level)
    configure_logging(log_settings)
    stop_on_signals(stop)
    if os.environ.get(EMBEDDED):
        threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    try:
        supervisor = Supervisor(client, redis, processes, ChosenModels(models.absolute(), ensemble), log_settings)
        with metrics_folder, _metrics(redis, metrics_host, metrics_port, lambda: supervisor.processes):
            supervisor.run(stop)
    except KeepsDying as failure:
        raise _failed(f"{failure}; see their errors above", 1) from None
    except RedisGone as failure:
        shown = without_credentials(redis)
        raise _failed(f"Redis at {shown} was away for {OUTAGE_S:.0f} s, giving up: {failure}", 1) from None


def _failed(message: object, code: int) -> typer.Exit:
    """Print an error line. Returns the exception that ends the program with this exit code."""
    print_error("worker", message)
    return typer.Exit(code)


def _check_rights(client: Redis, url: str) -> None:
    """Raise RedisUnusable if this Redis user may not work. Worker processes would die one after the other."""
    try:
        client.srem(REDIS_WORKER_KEYS, "")  # changes nothing, but only workers may write this key
    except NoPermissionError:
        shown = without_credentials(url)
        raise RedisUnusable(f"Redis at {shown} does not let this user work; give the user of workers") from None
    except RedisError:
        pass  # any other problem shows when the work begins


def _metrics_folder() -> AbstractContextManager[object]:
    """Inside, this process and its children count in a temporary folder, in METRICS_FOLDER if the user has set that.

    A folder of their own, because files of other programs would be counted too. Embedded workers have no metrics.
    """
    given = next(filter(None, [os.environ.pop(variable, None) for variable in METRICS_FOLDERS]), None)
    if os.environ.get(EMBEDDED):
        return nullcontext()
    try:
        folder = tempfile.TemporaryDirectory(prefix="lecturepulse-metrics-", dir=given)
    except OSError as failure:
        where, variable = (f" in {given!r}", METRICS_FOLDER) if given else ("", "TMPDIR")
        why = f"no folder for metrics{where}: {failure.strerror}; set {variable} to a folder that can be written to"
        raise _failed(why, 2) from None
    os.environ[METRICS_FOLDER] = folder.name
    return folder


@contextmanager
def _metrics(redis: str, host: str, port: int | None, processes: Callable[[], int]) -> Iterator[None]:
    """Within, serve metrics; `processes` returns the number of worker processes.

    If no port was given and the default port is taken, nothing is served.
    """
    if os.environ.get(EMBEDDED):
        yield
        return
    from worker.metrics.exposition import PortRefused, exposed

    with ExitStack() as serving:
        try:
            serving.enter_context(exposed(host, port or METRICS_PORT, redis, processes))
        except PortRefused as refusal:
            if port is not None or not refusal.taken:
                raise _failed(refusal, 2) from None
            structlog.get_logger().warning("no metrics", reason=str(refusal))
        yield


def _stop_at_end_of_input(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):  # not sys.stdin, whose lock a daemon thread must not hold at exit
        pass
    stop.set()
