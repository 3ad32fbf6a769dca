"""Environment variables that more than one process reads. Pure."""

EMBEDDED = "LECTUREPULSE_EMBEDDED"
"""Set for workers that one command starts for itself. Such a worker ends when its standard input ends. That input is a
pipe held by the command, so the worker also ends if the command is killed."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which all processes of one supervisor store their counters. prometheus_client reads this variable when
it is first imported."""
