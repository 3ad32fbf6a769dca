"""Environment variables that more than one process reads. Pure."""

EMBEDDED = "LECTUREPULSE_EMBEDDED"
"""Set for workers that one command starts for itself. Such a worker ends when its standard input ends. That input is a
pipe held by the command, so the worker also ends if the command is killed."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which all processes of one supervisor store their counters. prometheus_client reads this variable when
it is first imported. A supervisor makes a folder of its own, in the one that the user may have named here."""

METRICS_FOLDERS = (METRICS_FOLDER, METRICS_FOLDER.lower())
"""The variable, and its old name, which prometheus_client still reads."""
