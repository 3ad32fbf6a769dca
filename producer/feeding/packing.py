"""Frames into chunks, the unit in which workers take them."""

from collections.abc import Iterable, Iterator

from producer.feeding.frame import SampledFrame
from worker.contract.messages import Chunk, ChunkHead, FrameStamp

# A job costs about 10 ms of Redis and RQ beside its frames, so a few frames a job; but a worker that dies costs the
# whole chunk again, and events come chunk by chunk: hence a bound in media time,
CHUNK_S = 8.0
# in the work of one job (49 faces in each of 16 frames are some 8 s of one core, see JOB_TIMEOUT_S),
CHUNK_FRAMES = 16
# and in what one Redis command carries. 16 frames of 720p are some 3 MiB, of Full HD 6.
CHUNK_BYTES = 4 * 2**20


def packed(frames: Iterable[SampledFrame], width: int, height: int) -> Iterator[Chunk]:
    """Consecutive frames of a source of `width` x `height` pixels as chunks, within all three bounds above.

    A frame that is larger than CHUNK_BYTES by itself is a chunk of its own. Reads one frame beyond a chunk.
    """
    pending: list[SampledFrame] = []
    size = 0
    for frame in frames:
        if pending and (
            len(pending) == CHUNK_FRAMES or frame.t - pending[0].t >= CHUNK_S or size + len(frame.jpeg) > CHUNK_BYTES
        ):
            yield chunk_of(pending, width, height)
            pending, size = [], 0
        pending.append(frame)
        size += len(frame.jpeg)
    if pending:
        yield chunk_of(pending, width, height)


def chunk_of(frames: list[SampledFrame], width: int, height: int) -> Chunk:
    """Frames, at least one, as a chunk."""
    head = ChunkHead([FrameStamp(frame.frame, frame.t) for frame in frames], width, height)
    return Chunk(head, [frame.jpeg for frame in frames])
