"""Media time as people read it."""


def clock(seconds: float) -> str:
    """`seconds` as h:mm:ss; parts of a second are cut off."""
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"
