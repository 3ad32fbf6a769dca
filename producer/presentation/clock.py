"""Media time and dates as people read them."""

from datetime import datetime


def clock(seconds: float) -> str:
    """`seconds` as h:mm:ss, cut to whole seconds."""
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"


def date(seconds: float) -> str:
    """`seconds` since 1970 as a date and a time of day, in the time zone of this machine: 2026-11-29 14:05."""
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
