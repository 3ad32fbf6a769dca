"""A small file of the user, read whole."""

from pathlib import Path


def read_small(path: Path, limit: int) -> bytes:
    """The content; ValueError if the file cannot be read, or has more than `limit` bytes."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as failure:
        raise ValueError(f"cannot be read: {failure.strerror or failure}") from None
    if len(content) > limit:
        raise ValueError(f"is larger than {limit // 1024} KiB, the limit")
    return content
