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
        # A library that cannot be loaded for lack of memory is an OSError or ImportError without a number.
        if not isinstance(failure, MemoryError) and "failed to map" not in str(failure):
            raise
        program = command_line.partition(".")[0]
        sys.stderr.write(f"{program}: not enough memory: {failure}; raise its limit (ulimit -v, or the container's)\n")
        raise SystemExit(1) from None
