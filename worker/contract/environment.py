"""Environment variables that both sides read. Pure."""

EMBEDDED = "LECTUREPULSE_EMBEDDED"
"""Set for workers that one command starts for itself. Such a worker ends when its standard input ends. That input is a
pipe held by the command, so the worker also ends if the command is killed."""
