"""The largest sizes that are accepted. No lecture comes near them, and no sender can exhaust a machine or a Redis.

Both sides check them: the producer to report the reason, the worker because a stranger may have written the values.
"""

MAX_FRAME_PIXELS = 8192 * 8192
"""Width times height of a source. 8K video has half of it; decoding one picture of it takes 200 MB."""

MAX_RECORDING_S = 24 * 3600.0
"""Seconds of a recording: one day. A wrong time stamp in a few bytes can claim centuries."""

MAX_RECORDING_BYTES = 256 * 2**30
"""Bytes of a recording: one day of 4K at 24 Mbit/s."""

MAX_CHUNK_BYTES = 64 * 2**20
"""Bytes of all JPEGs of one chunk. The producer packs 16 times less, except for one frame of many recordings."""

MAX_CHUNK_PICTURES = 1000
"""Pictures of one chunk: one frame of as many recordings as a lecture has participants."""

MAX_CHUNKS = 10**9
"""Chunks of a lecture: thirty years of a live stream."""

MAX_FACES = 250
"""Faces that are read in one picture, those with the highest detection scores: five times a gallery of 49."""

MAX_IGNORED = 100
"""Regions of a picture in which faces do not count."""

MAX_PARTICIPANTS = 1000
"""Participants of a lecture, each with a stream of events. The largest meetings admit this many."""

MAX_RUNNING_LECTURES = 1000
"""Lectures that run at the same time on one Redis, each with up to 64 MiB of frames in flight."""

MAX_RETENTION_S = 3650 * 24 * 3600
"""Seconds for which results may be kept: ten years."""

MAX_STREAM_EVENTS = 100_000
"""Events kept in one stream: thirteen hours at 2 frames per second."""


class LimitExceeded(ValueError):
    """Something is larger than a limit; the message gives the value and the limit."""
