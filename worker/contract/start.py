"""The start of the three programs. It loads nothing that takes time."""

import sys
from importlib import import_module

from worker.contract.credentials import hide_credentials
from worker.contract.standard_streams import protect_streams


def start(command_line: str) -> None:
    """Run `main` of the module `command_line`, after hiding credentials from the list of processes.

    Without enough memory (a container's limit, or `ulimit -v`) the program ends with one line and exit code 1.
    """
    hide_credentials()
    protect_streams()
    try:
        import_module(command_line).main()
    except KeyboardInterrupt:  # loading takes a second
        raise SystemExit(130) from None
    except (MemoryError, OSError, ImportError) as failure:
        why = _lack_of_memory(failure)
        if why is None:
            raise
        program = command_line.partition(".")[0]
        sys.stderr.write(f"{program}: not enough memory: {why}; raise its limit (ulimit -v, or the container's)\n")
        raise SystemExit(1) from None


def _lack_of_memory(failure: BaseException | None) -> str | None:
    """How memory was lacking, if `failure` or one of its causes says so."""
    found = None
    while failure is not None:
        # A library that cannot be loaded for lack of memory is an OSError or ImportError without a number.
        if isinstance(failure, MemoryError) or "failed to map" in str(failure):
            found = " ".join(str(failure).split()) or "an allocation failed"
        failure = failure.__cause__ or failure.__context__
    return found
