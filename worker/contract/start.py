"""The start of the three programs. It loads nothing that takes time."""

from importlib import import_module

from worker.contract.credentials import hide_credentials


def start(command_line: str) -> None:
    """Run `main` of the module `command_line`, after hiding credentials from the list of processes."""
    hide_credentials()
    try:
        module = import_module(command_line)
    except KeyboardInterrupt:  # loading takes a second
        raise SystemExit(130) from None
    module.main()
