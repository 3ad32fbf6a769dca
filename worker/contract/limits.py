"""What is too much. Far above any lecture, and low enough that one sender cannot take a machine or a Redis.

Both sides hold to them: the producer so that it can say what is wrong, the worker because anybody might have written
what it reads.
"""


class TooMuch(ValueError):
    """Something is beyond a limit; the message says what and which."""


FRAME_PIXELS = 8192 * 8192
"""Width times height of a source: 8K video has half of it, and a picture of it takes 200 MB to decode."""

RECORDING_S = 24 * 3600.0
"""Seconds of a recording: a day. A time stamp gone wrong makes centuries of a few bytes."""

RECORDING_BYTES = 256 * 2**30
"""Bytes of a recording: a day of 4K at 24 Mbit/s."""

CHUNK_BYTES = 64 * 2**20
"""Bytes of the pictures of one chunk: 16 times what the producer packs, for one frame of many recordings."""

CHUNK_PICTURES = 1000
"""Pictures of one chunk: those of one frame of as many recordings as a lecture has participants."""

CHUNKS_A_LECTURE = 10**9
"""Chunks of a lecture: thirty years of a live stream."""

FACES_A_FRAME = 250
"""Faces looked at in one picture, the surest: five times a gallery of 49."""

PARTICIPANTS = 1000
"""Participants of a lecture, each of whom has a stream of events: what the largest meetings admit."""

LECTURES_RUNNING = 1000
"""Lectures that run at once on one Redis, each with up to 64 MiB of frames in flight."""

LONGEST_RETENTION_S = 3650 * 24 * 3600
"""Seconds for which results may be kept: ten years."""
