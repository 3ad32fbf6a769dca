"""The workers of the embedded mode: one `worker run` while a command needs it."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import worker.contract
from producer.embedded.folder import data_folder, last_line
from worker.contract.environment import EMBEDDED

# Seconds for the workers to stop. After a lecture they have nothing to do; a running job takes some seconds.
STOP_S = 20.0

# The same after a second Ctrl-C: a running job is not finished.
HURRIED_STOP_S = 2.0

# Seconds to wait for the last lines of dead workers.
LAST_LINES_S = 2.0

LOG = "worker.log"


class WorkersEnded(Exception):
    """The workers ended by themselves. `refused` means that they could not start, and a retry would not help."""

    def __init__(self, message: str, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class Workers:
    """Runs `processes` workers on the Redis at `url` inside this context; with `models`, the models in that folder."""

    def __init__(self, url: str, processes: int, models: Path | None = None) -> None:
        self._log = data_folder() / LOG
        self._command = [sys.executable, "-m", "worker", "run", "--redis", url, "--processes", str(processes)]
        if models is not None:
            self._command += ["--models", str(models.absolute())]

    def __enter__(self) -> "Workers":
        self._log.write_bytes(b"")
        self._supervisor = subprocess.Popen(
            self._command,
            cwd=Path(worker.contract.__file__).parents[2],  # `-m` searches here first and finds this `worker`
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for this process; the workers finish their jobs
            env={**os.environ, EMBEDDED: "1"},
        )
        self._writing = threading.Thread(target=self._write_log, name="worker log", daemon=True)
        self._writing.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop(STOP_S if kind is None else HURRIED_STOP_S)

    @property
    def pid(self) -> int:
        """The supervisor's process id, which is also its session id and process group id."""
        return self._supervisor.pid

    def check(self) -> None:
        """Raise WorkersEnded with the last line of their log if they ended."""
        code = self._supervisor.poll()
        if code is not None:
            self._writing.join(LAST_LINES_S)
            why = last_line(self._log).removeprefix("worker: ") if code >= 0 else f"killed by signal {-code}"
            raise WorkersEnded(f"the workers ended by themselves: {why} (see {self._log})", refused=code == 2)

    def _write_log(self) -> None:
        """Copy the workers' output to a file. If they wrote to it themselves, a full disk would end them."""
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as printed, self._log.open("ab", buffering=0) as log:
            for line in printed:
                with suppress(OSError):
                    log.write(line)

    def _stop(self, grace_s: float) -> None:
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        self._supervisor.terminate()
        try:
            self._supervisor.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._supervisor.wait()
