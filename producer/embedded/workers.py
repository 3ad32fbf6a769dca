"""The workers of the embedded mode: one `worker run` beside the command that needs it, and no longer."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import worker.contract
from producer.embedded.folder import data_folder, last_line
from worker.contract.environment import EMBEDDED

# Nothing is left to do when a lecture is over, so that workers leave at once; a job in hand takes some seconds.
STOP_S = 20.0
# After a second Ctrl-C nobody waits for a job in hand.
HURRIED_STOP_S = 2.0

# What they said last is on its way for no longer than this.
LAST_WORDS_S = 2.0

LOG = "worker.log"


class WorkersEnded(Exception):
    """The workers ended by themselves. `refused`: they could not even start, for a reason that will not go away."""

    def __init__(self, message: str, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class Workers:
    """`processes` workers on the Redis at `url`, from entering this context to leaving it."""

    def __init__(self, url: str, processes: int) -> None:
        self._log = data_folder() / LOG
        self._command = [sys.executable, "-m", "worker", "run", "--redis", url, "--processes", str(processes)]

    def __enter__(self) -> "Workers":
        self._log.write_bytes(b"")
        self._supervisor = subprocess.Popen(
            self._command,
            cwd=Path(worker.contract.__file__).parents[2],  # where `-m` looks first: the same `worker` as here
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for this process, which lets them finish
            env={**os.environ, EMBEDDED: "1"},
        )
        self._writing = threading.Thread(target=self._write_log, name="worker log", daemon=True)
        self._writing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop(STOP_S if kind is None else HURRIED_STOP_S)

    @property
    def pid(self) -> int:
        """The supervisor's, which is also its session's and its process group's."""
        return self._supervisor.pid

    def check(self) -> None:
        """Raise WorkersEnded, with the last line of their log, if they ended."""
        code = self._supervisor.poll()
        if code is not None:
            self._writing.join(LAST_WORDS_S)
            said = last_line(self._log).removeprefix("worker: ") if code >= 0 else f"killed by signal {-code}"
            raise WorkersEnded(f"the workers ended by themselves: {said} (see {self._log})", refused=code == 2)

    def _write_log(self) -> None:
        """Keep what the workers say. Not by themselves, for whom a disk without room for it would be the end."""
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as said, self._log.open("ab", buffering=0) as log:
            for line in said:
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
