"""Media time as people read it."""


def clock(seconds: float) -> str:
    """`seconds` as h:mm:ss, cut to whole seconds."""
    minutes, second = divmod(int(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"
