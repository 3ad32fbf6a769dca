"""Media time as people read it."""


def clock(seconds: float) -> str:
    """`seconds` as m:ss, or h:mm:ss from an hour on; parts of a second are cut off."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
