"""Why there is no comparison. A module of its own, because the command line must load quickly."""


class CompareRefused(Exception):
    """There is nothing to compare; the message says why."""
